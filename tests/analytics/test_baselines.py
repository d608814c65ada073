from datetime import date

import numpy as np
import polars as pl
import pytest

from tradeul.analytics.baselines import COLUMNS, SLOTS, Baselines
from tradeul.errors import StoreError


def test_the_blob_keeps_every_value():
    table = pl.DataFrame({"symbol": ["A", "BACpM"], "prev_close": [1.5, None]}).with_columns(
        **{name: pl.lit(None, dtype) for name, dtype in COLUMNS.items() if name not in ("symbol", "prev_close")}
    )
    profiles = np.random.default_rng(1).random((3, 2, SLOTS))
    profiles[0, 1, 5] = np.nan
    made = Baselines(date(2026, 3, 9), False, 20, table.select(*COLUMNS), *profiles)
    read = Baselines.from_arrow(made.to_arrow())
    assert (read.session, read.complete, read.rvol_sessions) == (date(2026, 3, 9), False, 20)
    assert read.table.equals(made.table)
    np.testing.assert_array_equal([read.cumulative, read.log_mean, read.log_sd], profiles)


def test_a_broken_blob_is_a_store_error():
    with pytest.raises(StoreError, match="cannot be read"):
        Baselines.from_arrow(b"not arrow")
