import csv
import io

import pytest

from tradeul.api.lists import to_csv


def test_csv_has_rank_and_symbol_first_and_unknown_is_empty():
    rows = [
        {"symbol": "A", "rank": 0, "price": 1.5, "name": 'Some, "quoted" name', "halted": None},
        {"symbol": "B", "rank": 1, "price": None},
    ]
    assert to_csv(["symbol", "price", "name", "halted"], rows) == (
        'rank,symbol,price,name,halted\r\n0,A,1.5,"Some, ""quoted"" name",\r\n1,B,,,\r\n'
    )


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_text_never_becomes_a_formula(text):
    (_, (_, _, cell)) = csv.reader(io.StringIO(to_csv(["name"], [{"symbol": "A", "rank": 0, "name": text}]), newline=""))
    assert cell == f"'{text}"


def test_a_negative_number_stays_a_number():
    assert to_csv(["gap_pct"], [{"symbol": "A", "rank": 0, "gap_pct": -2.5}]).endswith("0,A,-2.5\r\n")
