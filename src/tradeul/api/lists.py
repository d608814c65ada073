"""Rows as CSV, for spreadsheets; they run what looks like a formula, so text never does."""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def to_csv(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    """``rank`` (0-based), ``symbol``, then ``columns``; unknown is empty. Lines end in CR LF, as RFC 4180 says."""
    names = ["rank", "symbol", *(column for column in columns if column not in ("rank", "symbol"))]
    return csv_lines([names]) + csv_lines([row.get(name) for name in names] for row in rows)


def csv_lines(rows: Iterable[Iterable[object]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return f"'{value}"
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, date) else value
