"""Try a gateway against the rules of docs/protocol.md: ``python -m tradeul.client.conformance ws://127.0.0.1:9000/ws``

Each rule is one function, its docstring the sentence that stands in
docs/protocol.md (a test holds the two together). It opens sockets of its own
and says `passed`, `failed` with what came instead, or `skipped` with what did
not happen meanwhile. It judges what comes from outside only.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import aiohttp
import msgspec

from tradeul.client.client import WINDOW_BITS, checked
from tradeul.client.talk import ANSWER_SECONDS, LOOK_SECONDS, Failed, Gateway, Skipped, a_change, a_snapshot, follow, subscribed
from tradeul.errors import TradeulError
from tradeul.ops.callers import Callers
from tradeul.records import messages
from tradeul.records.lists import CLASSES, variant_name
from tradeul.records.messages import Add, Delta, Pong, Remove, Rerank, Rows, Snapshot, Status, Subscribed, Unsubscribed, Update

STATUS_SECONDS = 8.0  # every five, and something for the way
QUIET_SECONDS = 1.0
ENOUGH = 100  # deltas
BURST, MISTAKES = 100, 20
TOO_LARGE_BYTES, CLOSED_ABOVE_BYTES = 4097, 65_537
ABUSE, TOO_BIG = 1008, 1009
ORDER = (Remove, Add, Rerank, Update)

Rule: TypeAlias = Callable[[Gateway], Awaitable[None]]


async def greeting(gateway: Gateway) -> None:
    """The first message on a socket is `connected`, on `/ws` and on `/ws/scanner`."""
    for path in ("/ws", "/ws/scanner"):
        async with gateway.talk(path=path):
            pass


async def ping(gateway: Gateway) -> None:
    """`ping` is answered by `pong`; a field that the gateway does not know is ignored."""
    async with gateway.talk() as (talk, _):
        await talk.say("ping", mood="good")
        await talk.next(Pong)


async def status(gateway: Gateway) -> None:
    """`status` comes every 5 s."""
    async with gateway.talk() as (talk, _):
        await talk.next(Status, STATUS_SECONDS)


async def subscribing(gateway: Gateway) -> None:
    """`subscribe` and `subscribe_list` are answered by `subscribed`, then by a snapshot of the connection's session."""
    for action in ("subscribe", "subscribe_list"):
        async with gateway.talk() as (talk, connected):
            name = (await subscribed(talk, connected)).popitem()[0]
        async with gateway.talk() as (talk, connected):
            await talk.say(action, list=name)
            await talk.next(Subscribed, name=name)
            session = (await talk.next(Snapshot, name=name)).session
            if session < connected.session:
                raise Failed(f"the connection is in {connected.session}, the snapshot of {session}")


async def snapshots(gateway: Gateway) -> None:
    """The `count` rows of a snapshot stand by rank, 0 to n-1, each symbol once, with the same fields and all the list's columns."""
    async with gateway.talk() as (talk, connected):
        columns = {head.name: set(head.columns) for head in connected.lists}
        for name, snapshot in (await subscribed(talk, connected)).items():
            rows = snapshot.rows
            if [row.get("rank") for row in rows] != list(range(snapshot.count)) or len({row.get("symbol") for row in rows}) != len(rows):
                raise Failed(f"{name}: count {snapshot.count}, rows {[(row.get('symbol'), row.get('rank')) for row in rows]}")
            if strange := [row for row in rows if not row.keys() >= columns[name] or row.keys() != rows[0].keys()]:
                raise Failed(
                    f"{name}: the columns are {sorted(columns[name])}, the first row's {sorted(rows[0])}, another's {sorted(strange[0])}"
                )


async def deltas(gateway: Gateway) -> None:
    """A delta follows what was sent before it, its steps stand in order, and they lead to ranks 0 to n-1 and the same columns."""
    async with gateway.talk() as (talk, connected):
        held, seen = await subscribed(talk, connected), 0
        async for message in talk.messages(LOOK_SECONDS):
            before = held.get(getattr(message, "list", ""))
            follow(held, message)
            if not isinstance(message, Delta):
                continue
            seen += 1
            _check_steps(message)
            fields = before.rows[0].keys() if before is not None and before.rows else None
            if strange := [row for row in held[message.list].rows if fields is not None and row.keys() != fields]:
                raise Failed(f"{message.list}: after sequence {message.sequence} {strange[0]['symbol']} has {sorted(strange[0])}")
            if seen == ENOUGH:
                break
    if not seen:
        raise Skipped(f"no list changed within {LOOK_SECONDS:.0f} s")


def _check_steps(delta: Delta) -> None:
    kinds = [ORDER.index(type(step)) for step in delta.deltas]
    if kinds and (kinds != sorted(kinds, key=lambda kind: kind > 0)):
        raise Failed(f"{delta.list}: sequence {delta.sequence} removes after other steps")
    for step in delta.deltas:
        if isinstance(step, Update) and (not step.data or {"symbol", "rank"} & step.data.keys()):
            raise Failed(f"{delta.list}: sequence {delta.sequence} updates {sorted(step.data)} of {step.symbol}")


async def resync(gateway: Gateway) -> None:
    """`resync` is answered by a snapshot of the state that stands then, and deltas go on from it."""
    async with gateway.talk() as (talk, connected):
        held = await subscribed(talk, connected)
        name = (await a_change(talk, held)).list
        before = held[name]
        await talk.say("resync", list=name)
        answer = await a_snapshot(talk, held, name)
        if (answer.epoch, answer.sequence) < (before.epoch, before.sequence):
            raise Failed(f"{name}: the snapshot goes back behind sequence {before.sequence}, to {answer.sequence}")
        await a_change(talk, held)


async def agreement(gateway: Gateway) -> None:
    """At the same epoch and sequence all clients hold the same rows, whether they offered compression or not."""

    async def seen(compress: int) -> dict[tuple[str, int, int], Rows]:
        async with gateway.talk(compress=compress) as (talk, connected):
            held = await subscribed(talk, connected)
            states = {(name, state.epoch, state.sequence): state.rows for name, state in held.items()}
            async for message in talk.messages(ANSWER_SECONDS):
                follow(held, message)
                if isinstance(message, Delta | Snapshot):
                    states[message.list, message.epoch, message.sequence] = held[message.list].rows
            return states

    one, other = await asyncio.gather(seen(0), seen(WINDOW_BITS))
    if not (same := one.keys() & other.keys()):
        raise Skipped("the two never held the same sequence")
    for place in same:
        if one[place] != other[place]:
            raise Failed(f"{place} differs: {one[place]} and {other[place]}")


async def subscribing_again(gateway: Gateway) -> None:
    """To subscribe again is answered as the first time, and the list's deltas still come once."""
    async with gateway.talk() as (talk, connected):
        held = await subscribed(talk, connected)
        name = (await a_change(talk, held)).list
        await talk.say("subscribe", list=name)
        await a_snapshot(talk, held, name)
        for _ in range(3):
            await a_change(talk, held)


async def unsubscribing(gateway: Gateway) -> None:
    """`unsubscribe` and `unsubscribe_list` are answered by `unsubscribed`, and no message of the list comes after it."""
    for action in ("unsubscribe", "unsubscribe_list"):
        async with gateway.talk() as (talk, connected):
            held = await subscribed(talk, connected)
            name = (await a_change(talk, held)).list
            await talk.say(action, list=name)
            await talk.next(Unsubscribed, name=name)
            async for message in talk.messages(QUIET_SECONDS):
                if isinstance(message, Snapshot | Delta) and message.list == name:
                    raise Failed(f"`{type(message).__name__.lower()}` of {name} came after `unsubscribed`")


async def classes(gateway: Gateway) -> None:
    """A list in another class is `LIST~CLASS`, in its own the list itself; an unknown class is `unknown_list`."""
    async with gateway.talk() as (talk, connected):
        if not connected.lists:
            raise Skipped("there are no lists")
        head = connected.lists[0]
        for issue_class in CLASSES:
            name = head.name if issue_class == head.issue_class else variant_name(head.name, issue_class)
            for fields in ({"list": head.name, "class": issue_class}, {"list": variant_name(head.name, issue_class)}):
                await talk.say("subscribe", **fields)
                if (answer := await talk.next(Subscribed)).list != name:
                    raise Failed(f"to {fields} it subscribed {answer.list}")
        await talk.say("subscribe", **{"list": head.name, "class": "nonsense"})
        await talk.error(messages.UNKNOWN_LIST)


async def mistakes(gateway: Gateway) -> None:
    """A mistake is answered by `error` with its code, and the socket stays open."""
    large = msgspec.json.encode({"action": "ping", "pad": "x" * TOO_LARGE_BYTES}).decode()
    said: list[tuple[str | bytes, str]] = [("{", messages.BAD_JSON), ("[]", messages.BAD_JSON), (b"{}", messages.BAD_JSON)]
    said += [('{"action":7}', messages.BAD_JSON), ('{"action":"buy"}', messages.UNKNOWN_ACTION), (large, messages.TOO_LARGE)]
    said += [(f'{{"action":"{action}","list":"no list"}}', messages.UNKNOWN_LIST) for action in ("subscribe", "unsubscribe", "resync")]
    async with gateway.talk() as (talk, _):
        for text, code in said:
            await talk.say_raw(text)
            await talk.error(code)
        await talk.say("ping")
        await talk.next(Pong)


async def flood(gateway: Gateway) -> None:
    """More than 100 messages at once are answered by `too_many`; after a pause the gateway listens again."""
    async with gateway.talk() as (talk, _):
        for _ in range(BURST + MISTAKES // 2):
            await talk.say("ping")
        await talk.error(messages.TOO_MANY)
        async for _ in talk.messages(QUIET_SECONDS):
            pass
        await talk.say("ping")
        await talk.next(Pong)


async def abuse(gateway: Gateway) -> None:
    """20 mistakes in a row close the socket with 1008."""
    async with gateway.talk() as (talk, _):
        for _ in range(MISTAKES):
            await talk.say_raw("{")
        await talk.closed(ABUSE)


async def oversize(gateway: Gateway) -> None:
    """A message of more than 65,536 bytes closes the socket with 1009."""
    async with gateway.talk() as (talk, _):
        await talk.say_raw(" " * CLOSED_ABOVE_BYTES)
        await talk.closed(TOO_BIG)


async def strangers(gateway: Gateway) -> None:
    """A page of another origin, and a call by a name that is not the gateway's, get 403."""
    for headers in ({"Origin": "https://stranger.example"}, {"Host": "stranger.example"}):
        if (status := await gateway.status_of(headers)) != 403:
            raise Failed(f"with {headers} the handshake was answered by {status}")


RULES: tuple[Rule, ...] = (
    *(greeting, ping, status, subscribing, snapshots, deltas, resync, agreement),
    *(subscribing_again, unsubscribing, classes, mistakes, flood, abuse, oversize, strangers),
)


async def try_rules(address: str, token: str | None = None, only: Sequence[str] = ()) -> dict[str, str]:
    """Each rule's outcome: "passed", "failed: ..." or "skipped: ..."; said as it is known."""
    outcomes: dict[str, str] = {}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None, connect=ANSWER_SECONDS)) as http:
        for name, rule in ((f"R{number}", rule) for number, rule in enumerate(RULES, 1)):
            if not only or name in only:
                outcomes[name] = await _outcome(rule, Gateway(http, checked(address), token))
                print(f"{name:<4}{outcomes[name].partition(':')[0]:<8} {rule.__doc__}", flush=True)  # noqa: T201
                if why := outcomes[name].partition(": ")[2]:
                    print(f"    {why}", flush=True)  # noqa: T201
    return outcomes


async def _outcome(rule: Rule, gateway: Gateway) -> str:
    try:
        await rule(gateway)
    except Failed as error:
        return f"failed: {error}"
    except Skipped as error:
        return f"skipped: {error}"
    except (aiohttp.ClientError, OSError) as error:
        return f"failed: {error or type(error).__name__}"
    return "passed"


def main() -> int:
    """The exit code: 1 when a rule failed."""
    parser = argparse.ArgumentParser(prog="python -m tradeul.client.conformance", description="Try a gateway against docs/protocol.md.")
    parser.add_argument("address", help="as ws://127.0.0.1:9000/ws; the token is read from TRADEUL_TOKEN")
    parser.add_argument("rules", nargs="*", metavar="RULE", help="these only, as R4")
    arguments = parser.parse_args()
    try:
        outcomes = asyncio.run(try_rules(arguments.address, Callers(token=os.environ.get("TRADEUL_TOKEN")).token, arguments.rules))
    except TradeulError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    return int(any(outcome.startswith("failed") for outcome in outcomes.values()))


if __name__ == "__main__":
    sys.exit(main())
