"""A real day's minute bars, sent as AM alone, against polars over the same file."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from tradeul.live.frames import market_frame
from tradeul.live.today_table import TodayTable
from tradeul.market_calendar import nyse
from tradeul.records.bars import StreamBar, StreamBatch

HOURS = nyse().hours(date(2025, 2, 13))
LOOKS = [HOURS.open_at + timedelta(minutes=minutes) for minutes in (-60, 1, 30, 150, 385, 391, 500)]


@pytest.fixture(scope="module")
def bars(shared_data):
    path = shared_data / "bars" / "us_1min_ext_2025-01-02_2025-02-28.parquet"
    if not path.exists():
        pytest.skip(f"{path.name} is absent")
    inside = pl.col("ts").is_between(HOURS.pre_open_at, HOURS.post_close_at, closed="left")
    return pl.read_parquet(path).filter(inside).with_columns(end=pl.col("ts") + timedelta(minutes=1)).sort("ts", "ticker")


def expected(bars, t):
    """As CONTRACT.md defines them, by group_by over the bars that ended by ``t``."""
    start, end, close, volume = pl.col("ts"), pl.col("end"), pl.col("close"), pl.col("volume")
    regular = start.is_between(HOURS.open_at, HOURS.close_at, closed="left")
    five = t - timedelta(minutes=5)
    early = HOURS.open_at <= t <= HOURS.open_at + timedelta(minutes=5)
    opens = pl.col("open").filter(regular).first()
    reference = opens if early else close.filter(end <= five).last()
    return (
        bars.filter(end <= t)
        .group_by("ticker")
        .agg(
            price=close.last(),
            open=opens,
            high=pl.col("high").max(),
            low=pl.col("low").min(),
            volume=volume.sum(),
            dollar_volume=(close * volume).sum(),
            pm_high=pl.col("high").filter(start < HOURS.open_at).max(),
            pm_volume=volume.filter(start < HOURS.open_at).sum(),
            post_volume=volume.filter(start >= HOURS.close_at).sum() if t >= HOURS.close_at else pl.lit(None),
            close=close.filter(regular).last() if t >= HOURS.close_at + timedelta(minutes=1) else pl.lit(None),
            vol_5m=volume.filter(end > five).sum(),
            vol_30m=volume.filter(end > t - timedelta(minutes=30)).sum(),
            chg_5m=100 * (close.last() - reference) / reference,
            updated_at=end.last().dt.epoch("ms") / 1000,
        )
        .sort("ticker")
    )


def test_a_real_day_equals_polars_at_every_look(bars):
    table = TodayTable(HOURS)
    looks = list(LOOKS)
    for (end,), group in bars.group_by("end", maintain_order=True):
        while looks and end > looks[0]:
            compare(table, bars, looks.pop(0))
        minutes = [
            StreamBar(symbol, int((end.timestamp() - 60) * 1000), int(end.timestamp() * 1000), *prices, float(volume))
            for symbol, _, *prices, volume, _ in group.iter_rows()
        ]
        table.apply(StreamBatch(int(end.timestamp() * 1000), [], minutes))
    for look in looks:
        compare(table, bars, look)


def compare(table, bars, t):
    wanted, frame = expected(bars, t), market_frame(table, datetime.fromtimestamp(t.timestamp(), UTC))
    assert frame.symbols == wanted["ticker"].to_list()
    for name in wanted.columns[1:]:
        np.testing.assert_allclose(frame.columns[name], wanted[name].cast(pl.Float64).to_numpy(), rtol=1e-9, err_msg=f"{name} at {t}")
    assert np.isnan(frame.columns["trades"]).all()
