"""What the key may ask, kept up to date and told when it changes. The judging is `entitlements.py`'s.

    look()            at start, daily, after a 403: asks the vendor
    stream_refused()  live's connection was refused
    -> mode, missing, windows, per_minute; a change is logged, published and told to who asked to be

What is not known keeps what was known before. Without a probe (the simulated
market) nobody is asked and nothing is missing.
"""

from collections.abc import Callable

import msgspec
import structlog

from tradeul.bus.redis import Bus
from tradeul.bus.topics import MODE_CHANGED
from tradeul.clock import Clock
from tradeul.maintenance import entitlements
from tradeul.maintenance.datasets import Windows
from tradeul.market_calendar import Calendar
from tradeul.providers.ports import Probe
from tradeul.records.entitlements import Entitlements, Mode, ModeChanged

FILED_SESSIONS_AGO = 5  # a session whose file stands without doubt

log = structlog.get_logger()


class Access:
    def __init__(
        self,
        probe: Probe | None,
        bus: Bus,
        clock: Clock,
        calendar: Calendar,
        windows: Windows,
        requests_per_minute: int,
        *,
        chosen: bool,
    ) -> None:
        """``chosen``: a person set the requests a minute."""
        self._probe, self._bus, self._clock, self._calendar = probe, bus, clock, calendar
        self._windows, self._setting, self._chosen = windows, requests_per_minute, chosen
        self._told: ModeChanged | None = None
        self._listeners: list[Callable[[], None]] = []
        self.had = Entitlements()

    @property
    def mode(self) -> Mode:
        return Mode.SIMULATED if self._probe is None else entitlements.mode_of(self.had)

    @property
    def per_minute(self) -> int:
        return entitlements.requests_per_minute(self.had, self._setting, chosen=self._chosen)

    @property
    def windows(self) -> Windows:
        return entitlements.entitled_windows(self.had, self._windows, self.per_minute)

    @property
    def missing(self) -> tuple[str, ...]:
        return () if self._probe is None else entitlements.missing(self.had, self._windows, self.per_minute)

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` now and at every change."""
        self._listeners.append(listener)
        listener()

    async def look(self) -> None:
        """Raises Unauthorized: the vendor refuses the key."""
        if self._probe is None:
            return
        session = self._calendar.before(self._calendar.current_session(self._clock.now()), FILED_SESSIONS_AGO)[0]
        found = await self._probe.entitlements(session)
        known = {name: value for name, value in msgspec.structs.asdict(found).items() if value is not None}
        self.had = msgspec.structs.replace(self.had, **known)
        await self._tell()

    async def stream_refused(self) -> None:
        self.had = msgspec.structs.replace(self.had, stream=False)
        await self._tell()

    async def _tell(self) -> None:
        """Say once what is different from what was said before."""
        now = ModeChanged(str(self.mode), self._told.mode if self._told else None, self.missing)
        if self._told is not None and (self._told.mode, self._told.missing) == (now.mode, now.missing):
            return
        self._told = now
        (log.warning if now.missing else log.info)("mode_changed", mode=now.mode, previous=now.previous, missing=now.missing)
        for listener in self._listeners:
            listener()
        await self._bus.publish(MODE_CHANGED, now)
