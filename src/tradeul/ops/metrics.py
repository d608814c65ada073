"""`/metrics` in Prometheus's text form, made anew from what the services hold at each call.

No counters of its own: a number has one owner, here it is only shown.
"""

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

from tradeul import __version__
from tradeul.ops.watchdog import LoopWatchdog

TEXT_FORMAT = CONTENT_TYPE_PLAIN_0_0_4


def gauge(name: str, about: str, value: float | None) -> Metric:
    """One value; none at all while it is unknown."""
    return gauges(name, about, (), [] if value is None else [((), value)])


def gauges(name: str, about: str, labels: tuple[str, ...], values: Iterable[tuple[Sequence[str], float]]) -> Metric:
    family = GaugeMetricFamily(name, about, labels=labels)
    for key, value in values:
        family.add_metric(key, value)
    return family


def counter(name: str, about: str, value: float) -> Metric:
    return counters(name, about, (), [((), value)])


def counters(name: str, about: str, labels: tuple[str, ...], values: Iterable[tuple[Sequence[str], float]]) -> Metric:
    family = CounterMetricFamily(name, about, labels=labels)
    for key, value in values:
        family.add_metric(key, value)
    return family


def process_metrics(watchdog: LoopWatchdog | None) -> Iterator[Metric]:
    """What every service of a process shows: version, memory, processor, the loop's pauses."""
    yield gauges("tradeul_build_info", "The version that runs.", ("version",), [((__version__,), 1)])
    if watchdog is not None:
        about = "The longest pause of the event loop since the start."
        yield gauge("tradeul_event_loop_longest_pause_seconds", about, watchdog.longest_seconds)
        yield counter("tradeul_event_loop_long_pauses", "Pauses of the event loop above 50 ms.", watchdog.over_limit)
        about = "The same without what the kernel gave to others while the loop was ready to run."
        yield gauge("tradeul_event_loop_longest_own_pause_seconds", about, watchdog.longest_own_seconds)
        yield counter("tradeul_event_loop_long_own_pauses", "Those of them above 50 ms.", watchdog.own_over_limit)
    yield from ProcessCollector(registry=None).collect()


def exposition(families: Iterable[Metric]) -> bytes:
    class Shown:
        def collect(self) -> Iterable[Metric]:
            return families

    registry = CollectorRegistry()
    registry.register(Shown())
    return generate_latest(registry)
