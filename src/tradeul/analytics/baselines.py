"""What today's live values are held against: one row per listed ticker, made for one session.

Maintenance makes it from the lake; live and the scanner read it from the bus
as one zstd Arrow blob. It knows no clock and computes nothing.
"""

import io
from datetime import date

import msgspec
import numpy as np
import polars as pl

from tradeul.errors import StoreError
from tradeul.records.frame import FloatArray

SLOTS = 192  # five minutes each, 04:00-20:00 ET

# Null is unknown. Dollars and shares are split-adjusted for the session served.
COLUMNS = {
    "symbol": pl.String,  # sorted
    "name": pl.String,
    "kind": pl.String,  # the vendor's class code
    "exchange": pl.String,
    "list_date": pl.Date,
    "corp_action": pl.String,  # "1:8 split" when one is effective this session
    "prev_close": pl.Float64,  # the session before's official close
    "prev_close_raw": pl.Float64,  # the same, unadjusted
    "restricted_before": pl.Float64,  # 1: a regular-hours price of the session before was 10 % below its previous close; else 0
    "sessions": pl.Int32,  # of the slot averages, counted from the ticker's first in the window
    "atr": pl.Float64,
    "avg_volume_20d": pl.Float64,
    "avg_dollar_volume_20d": pl.Float64,
    "high_52w": pl.Float64,
    "low_52w": pl.Float64,
    "sma20": pl.Float64,  # of the last closes
    "sma50": pl.Float64,
    "sma200": pl.Float64,
    "sector": pl.String,
    "industry": pl.String,
    "shares": pl.Float64,
    "free_float": pl.Float64,
    "short_interest": pl.Float64,
}
PROFILES = ("cumulative", "log_mean", "log_sd")


class Baselines(msgspec.Struct, frozen=True):
    """``table`` has `COLUMNS`; the profiles are float64 of shape (rows of table, 192 slots), NaN where unknown.

    ``cumulative[:, s]`` is the mean volume traded by the END of slot s; ``log_mean``
    and ``log_sd`` are of ln(1 + the slot's own volume).
    """

    session: date  # the session that it serves
    complete: bool  # False: made early, from what was there
    rvol_sessions: int  # how many sessions of slots went in
    table: pl.DataFrame
    cumulative: FloatArray
    log_mean: FloatArray
    log_sd: FloatArray

    def to_frame(self) -> pl.DataFrame:
        profiles = [pl.Series(name, getattr(self, name), dtype=pl.Array(pl.Float64, SLOTS)) for name in PROFILES]
        return self.table.with_columns(
            *profiles,
            pl.lit(self.session).alias("_session"),
            pl.lit(self.complete).alias("_complete"),
            pl.lit(self.rvol_sessions).alias("_rvol_sessions"),
        )

    def to_arrow(self) -> bytes:
        buffer = io.BytesIO()
        self.to_frame().write_ipc(buffer, compression="zstd")
        return buffer.getvalue()

    @classmethod
    def from_arrow(cls, blob: bytes) -> "Baselines":
        """Raises StoreError: the blob is empty or of another form."""
        try:
            return cls.from_frame(pl.read_ipc(io.BytesIO(blob)))
        except (pl.exceptions.PolarsError, OSError) as error:
            raise StoreError(f"The baselines blob cannot be read ({error}); the next maintenance run writes it anew.") from error

    @classmethod
    def from_frame(cls, frame: pl.DataFrame) -> "Baselines":
        """Raises StoreError: the frame is empty or of another form."""
        try:
            first = frame.row(0, named=True)
            table = frame.select(*COLUMNS).cast(COLUMNS)  # type: ignore[arg-type]
            profiles = [np.ascontiguousarray(frame[name].to_numpy()).reshape(-1, SLOTS) for name in PROFILES]
        except pl.exceptions.PolarsError as error:
            raise StoreError(f"These baselines are of another form ({error}); the next maintenance run writes them anew.") from error
        return cls(first["_session"], first["_complete"], first["_rvol_sessions"], table, *profiles)
