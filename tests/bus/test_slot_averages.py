"""The server is the oracle: what it restores is what it would have stored itself."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.bus.test_bus import running
from tradeul.bus.slot_averages import FORMS, crc64, restores
from tradeul.errors import BusUnavailable

LIMITS = [limit for limit, _, _ in FORMS]


def test_the_checksum_is_the_servers():
    # the vector of redis's src/crc64.c; of several lengths at once
    assert crc64([b"123456789", b"", b"123456789", b"1"])[::2] == [0xE9C6D914C4B8D9CA] * 2
    assert crc64([b"", b"1"]) == [crc64([b""])[0], crc64([b"1"])[0]]
    assert crc64([]) == []


@given(st.lists(st.binary(max_size=40), max_size=8))
@example([b"a" * 30, b"b", b""])
def test_many_checksums_at_once_are_those_of_each_alone(payloads):
    assert crc64(payloads) == [crc64([payload])[0] for payload in payloads]


async def test_what_is_restored_is_what_hset_would_have_stored(tmp_path):
    edges = [limit + step for limit in (0, *LIMITS) for step in (-1, 0, 1) if 0 <= limit + step < 1 << 63]
    random = np.random.default_rng(1)
    shares = np.array([np.resize(edges, 192), np.zeros(192), random.integers(0, 1 << 62, 192), np.arange(192)], dtype=np.int64)
    shares = np.concatenate([shares, random.integers(0, 1 << random.integers(1, 62, (40, 192)))])
    symbols = [f"T{row}" for row in range(len(shares))]
    async with running(tmp_path) as (_, bus):
        await bus.redis.hset("rvol:hist:avg:T0", mapping={"192": 1, "old": "x"})  # replaced whole
        await bus.put_averages(restores(symbols, shares))
        for symbol, row in zip(symbols, shares.tolist(), strict=True):
            found = await bus.redis.hgetall(f"rvol:hist:avg:{symbol}")
            assert {int(slot): int(value) for slot, value in found.items()} == dict(enumerate(row))
            await bus.redis.hset("own", mapping=dict(enumerate(row)))
            assert await bus.redis.dump("own") == await bus.redis.dump(f"rvol:hist:avg:{symbol}")
            await bus.redis.delete("own")


async def test_a_payload_that_is_not_whole_is_refused_and_the_connection_serves_on(tmp_path):
    (command,) = restores(["A"], np.ones((1, 192), dtype=np.int64))
    async with running(tmp_path) as (_, bus):
        broken = bytearray(command)
        broken[100] ^= 1
        with pytest.raises(BusUnavailable, match="refuses a command"):
            await bus.put_averages([bytes(broken)])
        assert not await bus.redis.exists("rvol:hist:avg:A")
        await bus.put_averages([command])
        assert await bus.redis.hlen("rvol:hist:avg:A") == 192
