"""Live's service on the stepped clock, started inside the session, its stream cut on the way, against the reference.

The vendor stands behind the provider's ports and answers with raw messages; what it is asked, and when, it tells the reference.
"""

import asyncio
import json
from datetime import UTC, date, datetime

from tests.reference.hours import OPEN
from tests.reference.model import Reference
from tests.reference.product import Play, Product, baselines_of, differences
from tests.reference.raw_day import RawDay
from tradeul.bus.embedded import EmbeddedServer
from tradeul.bus.redis import Bus
from tradeul.clock import SteppedClock
from tradeul.live.service import LiveService
from tradeul.market_calendar import nyse
from tradeul.providers.polygon.wire import decode_intraday
from tradeul.providers.polygon.wire_snapshot import decode_snapshot
from tradeul.providers.polygon.wire_stream import decode_frame
from tradeul.records.events import StreamHealth

SESSION = date(2026, 1, 5)
START, CUT, STANDS, END = OPEN - 165, OPEN - 40, OPEN + 62, OPEN + 130


class RawVendor:
    """REST and stream of a raw day; deaf from `CUT` to `STANDS`."""

    def __init__(self, clock, day, reference):
        self.clock, self.day, self.reference = clock, day, reference
        self.heard_since = START

    def now(self):
        return self.clock.now().timestamp() - self.day.hours.pre_open

    async def market_snapshot(self):
        rows = self.day.snapshot(int(self.now()))
        self.reference.seed(self.heard_since, {row["ticker"]: row for row in rows}, [])
        return decode_snapshot(json.dumps({"count": len(rows), "tickers": rows}).encode())

    async def intraday_bars(self, symbol, minutes, start, end):
        assert (minutes, start, end) == (1, SESSION, SESSION)
        rows = self.day.minutes(symbol, self.now())
        self.reference.ticker(symbol).is_partial = True
        self.reference.fill(symbol, rows)
        return decode_intraday(json.dumps({"resultsCount": len(rows), "results": rows}).encode(), symbol)[0]

    async def ticker(self, symbol):
        """Nothing is known of a newcomer."""

    async def want_quotes(self, symbols):
        """The raw day has none."""

    def health(self):
        return StreamHealth()

    async def batches(self):
        resubscribed = True  # the connection that the start made
        for second in sorted(self.day.frames):
            if second < START or CUT <= second < STANDS:
                resubscribed |= second >= CUT
                continue
            await self.clock.sleep_until(instant(self.day, second))
            if resubscribed and second // 60 != self.heard_since // 60:
                self.heard_since = second
            frame = decode_frame(json.dumps(self.day.frames[second]).encode(), second * 1000).batch
            self.reference.hear(self.day.frames[second])
            yield type(frame)(frame.received_ms, frame.seconds, frame.minutes, frame.halts, resubscribed=resubscribed and second >= STANDS)
            resubscribed = False


def instant(day, t):
    return datetime.fromtimestamp(day.hours.pre_open + t, UTC)


async def test_the_service_recovers_a_start_and_a_cut_to_what_the_reference_says(tmp_path):
    day = RawDay(30, SESSION, tickers=40, busy_hours=[(START - 1200, END)], seconds_every=6, daily_sessions=60)
    baselines, reference = await baselines_of(day.past, tmp_path / "lake"), Reference(day.past, day.hours)
    reference.restart(START)
    clock = SteppedClock(instant(day, START))
    server = EmbeddedServer(tmp_path, clock)
    await server.start()
    bus, vendor = Bus(server.url, clock), RawVendor(clock, day, reference)
    await bus.put_baselines(SESSION, baselines.to_arrow())
    service, product = LiveService(vendor, vendor, bus, clock, nyse(), "SIMULATED"), Product(baselines)
    running = asyncio.create_task(service.run())
    found = []
    try:
        for t in [*range(START + 2, CUT, 9), *range(STANDS + 8, END, 9)]:
            await clock.advance_to(instant(day, t))
            assert not running.done()
            product.table = service.table
            service.frame()  # takes what waits
            found += differences(*product.look(t), reference.look(t), t)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await bus.close()
        await server.stop()
    assert not found, f"{len(found)} differences, the first:\n" + "\n".join(found[:20])
    assert Play(day, product, reference).unheard(0, STANDS - 64) == [], "somebody's minutes were not asked for"
