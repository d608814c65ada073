"""How tenures lie in the lake: the partitions of `tickers`. Who bore what is not decided here (`analytics/tenures.py`)."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

import polars as pl
from polars.datatypes import DataTypeClass

from tradeul.records.tickers import Tenure
from tradeul.store.lake import Lake

DATASET = "tickers"
COLUMNS = {
    **dict.fromkeys(("symbol", "name", "kind", "exchange", "cik"), pl.String),
    "list_date": pl.Date,
    "figi": pl.String,
    "since": pl.Date,
    "until": pl.Date,
}


def tenures_on(lake: Lake, session: date) -> pl.DataFrame:
    """The partition; of one that an earlier version wrote, what it did not know is null."""
    return whole_columns(lake.read(DATASET, session))


def whole_columns(frame: pl.DataFrame, columns: Mapping[str, DataTypeClass] = COLUMNS) -> pl.DataFrame:
    return frame.with_columns(pl.lit(None, kind).alias(name) for name, kind in columns.items() if name not in frame.columns)


def listed_on(lake: Lake, session: date) -> pl.DataFrame:
    """What is listed: one row for each ticker."""
    return tenures_on(lake, session).filter(pl.col("until").is_null())


def records_of(frame: pl.DataFrame) -> Iterator[Tenure]:
    names = list(COLUMNS)
    return (Tenure(**dict(zip(names, row, strict=True))) for row in frame.select(names).iter_rows())


def frame_of(found: Sequence[Tenure]) -> pl.DataFrame:
    return pl.DataFrame({name: [getattr(tenure, name) for tenure in found] for name in COLUMNS}, schema=COLUMNS)
