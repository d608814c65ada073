from tradeul.ops.metrics import counters, exposition, gauge, process_metrics
from tradeul.ops.watchdog import LoopWatchdog


def lines(*families):
    return [line for line in exposition(families).decode().splitlines() if not line.startswith("#")]


def test_what_is_unknown_is_not_shown():
    assert lines(gauge("a_seconds", "A.", None), gauge("b_seconds", "B.", 0)) == ["b_seconds 0.0"]


def test_a_hostile_label_stays_one_line():
    assert lines(counters("asked", "Asked.", ("status",), [(('2"\n0\\0',), 3)])) == ['asked_total{status="2\\"\\n0\\\\0"} 3.0']


def test_a_process_shows_the_loops_longest_pause():
    watchdog = LoopWatchdog()
    for pause, own in ((0.06, 0.055), (0.07, 0.01), (0.05, 0.04)):
        watchdog.note(pause, own)
    shown = {line for line in lines(*process_metrics(watchdog)) if "event_loop" in line}
    assert shown == {
        "tradeul_event_loop_longest_pause_seconds 0.07",
        "tradeul_event_loop_long_pauses_total 2.0",
        "tradeul_event_loop_longest_own_pause_seconds 0.055",
        "tradeul_event_loop_long_own_pauses_total 1.0",
    }
