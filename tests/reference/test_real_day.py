"""The product's decoding, table, columns and lists against the reference, on recorded days of 2025."""

import asyncio
from datetime import date

import pytest

from tests.reference.hours import OPEN
from tests.reference.model import Reference
from tests.reference.product import Play, Product, baselines_of
from tests.reference.recorded import RecordedDay, read

RECORDING = "bars/us_1min_ext_2025-01-02_2025-02-28.parquet"
CLOSE = 12 * 3600
SAMPLE = [(60, 300), (OPEN - 900, OPEN + 1500), (CLOSE - 300, CLOSE + 600), (57_300, 57_720)]


@pytest.fixture(scope="module")
def recording(shared_data):
    return read(shared_data / RECORDING)


def compare(recording, session, folder, spans):
    day = RecordedDay(recording, session)
    play = Play(day, Product(asyncio.run(baselines_of(day.past, folder))), Reference(day.past, day.hours))
    for begin, end in spans:
        for t in range(begin, end, 60):
            play.look(t + 10)
    play.check()
    return play


def test_a_real_days_columns_and_lists_are_the_references_around_open_and_close(recording, tmp_path):
    play = compare(recording, date(2025, 2, 13), tmp_path, SAMPLE)
    assert sum(count > 0 for count in play.members.values()) >= 8, "few of the lists have members"


@pytest.mark.long
@pytest.mark.parametrize("session", [date(2025, 1, 3), date(2025, 2, 3), date(2025, 2, 13), date(2025, 2, 28)], ids=str)
def test_real_days_columns_and_lists_are_the_references_at_every_minute(recording, tmp_path, session):
    compare(recording, session, tmp_path, [(0, 57_600 + 300)])
