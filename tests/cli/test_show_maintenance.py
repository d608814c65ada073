import io
import json
from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest
from rich.console import Console

from tradeul.cli.show_maintenance import JsonLines, Terminal, status_view
from tradeul.maintenance.report import Partition, Status, Trust
from tradeul.maintenance.server import Foreseen, Triggered
from tradeul.records.events import Progress
from tradeul.records.partitions import LedgerRow, State
from tradeul.records.runs import Run, RunOptions

BEGUN = datetime(2026, 3, 9, 21, 0, tzinfo=UTC)
SESSION = date(2026, 3, 9)
RUN = Run(id="a1", date=SESSION, options=RunOptions(), started_at=BEGUN)
FAILED = LedgerRow(dataset="ohlc_daily", session=SESSION, state=State.FAILED, error="14 of 11,846; missing: [AAPL]")


def partition(number, state):
    session = SESSION - timedelta(days=number)
    return Partition(session, "ohlc_daily", state, 11_846, 14, ("AAPL", "BRK.B"), 1.5, BEGUN, 2, "14 of 11,846")


def shown(view, width=160):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(view)
    return console.export_text()


def test_a_step_under_way_is_told_once_until_it_moves(capsys):
    view = JsonLines()
    with view.following(Triggered(joined=False, run=RUN)):
        for done in (0, 0, 1):
            view.progress(msgspec.structs.replace(RUN, progress=Progress("ohlc_daily", done, 2, "2026-03-06")))
    view.finished(msgspec.structs.replace(RUN, success=True))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["started", "progress", "progress", "finished"]
    assert lines[2] == {"event": "progress", "task": "ohlc_daily", "done": 1, "total": 2, "detail": "2026-03-06"}


def test_a_terminal_says_what_failed_word_for_word(capsys):
    view = Terminal()
    with view.following(Triggered(joined=True, run=RUN)):
        view.progress(msgspec.structs.replace(RUN, progress=Progress("ohlc_daily", 1, 2, "")))
    done = msgspec.structs.replace(
        RUN, finished_at=BEGUN + timedelta(seconds=3), success=False, failed=(FAILED,), tasks={"volume_slots": State.PENDING}
    )
    view.finished(done)
    said = capsys.readouterr().out
    assert "Not complete: 0 partitions in 3.0 s." in said
    assert "ohlc_daily 2026-03-09: 14 of 11,846; missing: [AAPL]" in said
    assert "volume_slots: not begun" in said


def test_a_dry_run_names_ranges_by_their_ends(capsys):
    Terminal().steps([Foreseen("volume_slots", (date(2026, 3, 5), date(2026, 3, 6)), True)])
    Terminal().steps([])
    assert capsys.readouterr().out.splitlines() == [
        "volume_slots     2026-03-05 to 2026-03-06, ticker by ticker",
        "Nothing is due.",
    ]


def test_a_dry_run_with_nothing_to_do_says_so_to_a_program_too(capsys):
    JsonLines().steps([])
    assert json.loads(capsys.readouterr().out) == {"event": "nothing_due"}


@pytest.fixture
def status():
    counts = {"ohlc_daily": {State.COMPLETED: 235, State.FAILED: 25}}
    partitions = [partition(number, State.FAILED) for number in range(25)] + [partition(25, State.COMPLETED)]
    return Status(
        "today's numbers: none yet",
        SESSION,
        "SIMULATED",
        BEGUN,
        BEGUN,
        25,
        None,
        counts,
        partitions,
        (),
        Trust(False, None, None, 0, (0, 260), (0, 30)),
    )


def test_status_shows_the_sentence_first_and_only_what_is_not_complete(status):
    text = shown(status_view(status))
    assert text.splitlines()[0] == "Today's numbers: none yet."
    assert "next wake-up Mon 17:00 ET" in text
    assert text.count("14 of 11,846") == 20 and "and 5 more" in text
    assert "235" in text and "AAPL, BRK.B" in text
    assert "2026-02-12" not in text, "complete"


def test_status_says_when_nobody_maintains_and_what_runs(status):
    assert "nobody maintains it now" in shown(status_view(msgspec.structs.replace(status, next_run_at=None)))
    run = msgspec.structs.replace(RUN, progress=Progress("ohlc_daily", 1_000, 12_400, "tickers"))
    assert "A run is under way: ohlc_daily 1,000 of 12,400 tickers" in shown(status_view(msgspec.structs.replace(status, run=run)))
