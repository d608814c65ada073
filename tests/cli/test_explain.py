import io
from datetime import UTC, date, datetime

from rich.console import Console

from tradeul.cli.explain import shown
from tradeul.records.explanations import Condition, Explanation, Input, OrderKey


def test_a_person_reads_each_condition_what_it_stands_on_and_what_is_unknown():
    gap = Input("gap_pct", None, "computed", 7.0, ("open",))
    conditions = (
        Condition("trades", "trades >= 150", True, False, note="not applied: this source never delivers trades"),
        Condition("where", "gap_pct >= 4", None, inputs=(gap, Input("open", None, "live", 7.0)), unknown_because="open is null"),
    )
    told = Explanation(
        list="gappers_up",
        symbol="A",
        session=date(2026, 3, 9),
        phase="MARKET_OPEN",
        epoch=3,
        sequence=9,
        as_of=datetime(2026, 3, 9, 14, tzinfo=UTC),
        on_list=False,
        fulfils=False,
        rank=None,
        limit=100,
        summary="A is not on Gappers up.",
        conditions=conditions,
        order=(OrderKey("gap_pct", "desc", None),),
        columns={},
    )
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(shown(told))
    text = console.export_text()
    words = "A is not on Gappers up.|as of 10:00:00 ET|epoch 3, 9|trades >= 150|never delivers trades|gap_pct = unknown · 7 s old"
    for said in (words + "|  open = unknown|? |open is null|ordered by gap_pct desc = unknown").split("|"):
        assert said in text, text
