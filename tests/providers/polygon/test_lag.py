from tradeul.providers.polygon.lag import LagMeter
from tradeul.records.bars import StreamBar


def bars(end_ms, number):
    return [StreamBar("A", end_ms - 1000, end_ms, 1, 1, 1, 1, 1)] * number


def test_percentiles_count_bars_not_frames():
    lag = LagMeter()
    lag.note(bars(100_000, 97), 102_010)
    lag.note(bars(100_000, 3), 109_990)
    assert (lag.percentile_ms(0.5, 110_000), lag.percentile_ms(0.99, 110_000)) == (2_050, 10_000)


def test_older_than_a_minute_is_forgotten_and_silence_is_unknown():
    lag = LagMeter()
    lag.note(bars(100_000, 1), 101_000)
    assert lag.percentile_ms(0.5, 150_000) == 1_050
    assert lag.percentile_ms(0.5, 170_000) is None
    assert LagMeter().percentile_ms(0.5, 0) is None


def test_memory_is_bounded_and_a_bar_from_the_future_is_on_time():
    lag = LagMeter()
    for second in range(1000):
        lag.note(bars(second * 1000 + 5_000, 2), second * 1000)
    assert len(lag._slots) == 12
    assert lag.percentile_ms(1.0, 999_000) == 50
    lag.note(bars(0, 1), 10**12)
    assert lag.percentile_ms(1.0, 10**12) == 600_050
