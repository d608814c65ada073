"""Filings and news of the catalog as Parquet files, for a person's SQL (`lake_sql.py`): that process reads files and opens no database.

    catalog --one state of it, in parts--> JSON --> columns --> FOLDER/{view}/00000.parquet, 00001.parquet ...

Made for one question and gone after it. Calls block: use a thread.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from tradeul.store.filings import FilingsStore

ROWS_PER_FILE = 50_000  # some 50 MB while they are made
TEXT, TEXTS, FLAG = pl.String, pl.List(pl.String), pl.Boolean
# What is read of a record's JSON, and the columns made of it.
FILING: Mapping[str, Any] = {
    **dict.fromkeys(("accession", "form", "words"), TEXT),
    **dict.fromkeys(("amends", "dilutes"), FLAG),
    **dict.fromkeys(("filed", "accepted_at", "seen_at"), TEXT),
    "tickers": TEXTS,
    "filers": pl.List(pl.Struct({"cik": TEXT, "name": TEXT})),
    "items": pl.List(pl.Struct({"code": TEXT})),
    "url": TEXT,
}
ARTICLE: Mapping[str, Any] = {
    **dict.fromkeys(("id", "published_at", "seen_at", "headline"), TEXT),
    "tickers": TEXTS,
    **dict.fromkeys(("publisher", "url"), TEXT),
}


def _instants(*names: str) -> list[pl.Expr]:
    return [pl.col(name).str.to_datetime("%+", time_unit="us", time_zone="UTC") for name in names]


def _each(name: str, field: str) -> pl.Expr:
    return pl.col(name).list.eval(pl.element().struct.field(field))


FILINGS = (
    *(pl.col(name) for name in ("accession", "form", "words", "amends", "dilutes")),
    pl.col("filed").str.to_date(),
    *_instants("accepted_at", "seen_at"),
    pl.col("tickers"),
    _each("filers", "cik").alias("ciks"),
    _each("filers", "name"),
    _each("items", "code"),
    pl.col("url"),
)
NEWS = (pl.col("id"), *_instants("published_at", "seen_at"), *(pl.col(name) for name in ("headline", "tickers", "publisher", "url")))


def write_files(store: FilingsStore, folder: Path, views: Collection[str]) -> None:
    """All that is kept of these views (``filings``, ``news``)."""
    if "filings" in views:
        _write(store.all_filings(ROWS_PER_FILE), FILING, FILINGS, folder / "filings")
    if "news" in views:
        _write(store.all_news(ROWS_PER_FILE), ARTICLE, NEWS, folder / "news")


def _write(parts: Iterable[Sequence[bytes]], said: Mapping[str, Any], columns: Sequence[pl.Expr], folder: Path) -> None:
    folder.mkdir()
    for number, documents in enumerate(parts):
        rows = pl.read_ndjson(b"\n".join(documents), schema=dict(said))
        rows.select(columns).write_parquet(folder / f"{number:05}.parquet")
