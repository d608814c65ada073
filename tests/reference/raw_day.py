"""A simulated day as the vendor's raw messages, with every nuisance; a function of its seed alone.

    RawDay(seed) -> past      raw REST rows of earlier sessions (history.py `Past`)
                 -> frames    what the stream sends, by second of arrival
                 -> snapshot, minutes   what REST answers at an instant of the day

Some two hundred tickers: busy ones, quiet ones, gappers, runners and reversers, so
that each list has members and near misses in each phase. Between the hours that
are looked at the day trades thinly. Imports nothing of the product.
"""

import math
import random
from collections import defaultdict
from datetime import date, timedelta
from typing import Any, NamedTuple

from tests.reference.history import Past
from tests.reference.hours import OPEN, hours_of

Row = dict[str, Any]
SLOT_SESSIONS = 23
KINDS = ["CS"] * 12 + ["ADRC", "ETF", "WARRANT", "OS", None, "PFD"]
ODD_SPELLINGS = {"BACpM": None, "ACT.WS": None, "ACT.U": None, "QRS.RT": None, "BRK.B": "CS", "LONE": None}


class Script(NamedTuple):
    """What one ticker does today."""

    symbol: str
    kind: str | None
    close_before: float  # in today's shares
    daily_volume: float
    density: float  # how likely a minute of regular hours trades
    busy: float  # today's volume beside the usual
    gap: float  # of the first price
    bursts: list[tuple[int, int, float]]  # (minute, length, drift a minute): ten times the volume
    has_seconds: bool
    listed: bool
    begins: int  # minute of the first trade
    halts: list[tuple[int, int]]  # minutes
    hears_resume: bool  # else the word is lost, and prints alone tell of it
    split: tuple[float, float] | None  # (from, to), effective today
    believes: bool  # the price follows the split
    official_open: bool  # messages tell it
    extended_only: bool  # never opens


class RawDay:
    def __init__(
        self,
        seed: int,
        session: date,
        close: str = "16:00",
        tickers: int = 200,
        busy_hours: list[tuple[float, float]] | None = None,
        seconds_every: int = 12,
        daily_sessions: int = 252,
    ) -> None:
        """``busy_hours``: what will be looked at, in seconds since 04:00; there each ``seconds_every``-th ticker has second bars."""
        self.rng = random.Random(seed)
        self.hours = hours_of(session, close)
        self.busy_hours, self.seconds_every = busy_hours or [(0.0, self.hours.end)], seconds_every
        self.daily_sessions = daily_sessions
        self.scripts = [self._script(number) for number in range(tickers)]
        self.past = self._past()
        self.truth: dict[str, dict[int, Row]] = {}  # symbol -> start -> the minute as it finally stands
        self.opens: dict[str, float] = {}
        self.frames: dict[int, list[Row]] = defaultdict(list)  # second of arrival -> messages
        self._accumulated: dict[str, float] = {}  # shares since 04:00
        self._paid: dict[str, float] = {}  # dollars
        for script in self.scripts:
            self._trade(script)
        self._noise()
        for frame in self.frames.values():
            self.rng.shuffle(frame)

    # --- the cast -----------------------------------------------------------------------------------------------------

    def _script(self, number: int) -> Script:
        rng = self.rng
        odd = list(ODD_SPELLINGS.items())
        kind = rng.choice(KINDS)
        symbol = f"{'BMS'[number % 3]}{chr(65 + number // 26 % 26)}{chr(65 + number % 26)}X"[:4]
        if number < len(odd):
            symbol, kind = odd[number]
        density = (0.98, 0.6, 0.12)[number % 3]
        size = (3e6, 6e5, 8e4)[number % 3] * math.exp(rng.gauss(0, 0.8))
        minutes = self.hours.end // 60
        bursts = [(rng.randrange(minutes), rng.randrange(4, 9), rng.choice([-1, 1]) * rng.uniform(0.001, 0.012)) for _ in range(8)]
        # More of them where the looks are.
        moments = [at for at in (15, 300, 325, 331, 340, self.hours.close // 60 - 12, self.hours.close // 60 + 6) if rng.random() < 0.25]
        bursts += [(at + rng.randrange(10), rng.randrange(4, 12), rng.choice([-1, 1]) * rng.uniform(0.002, 0.01)) for at in moments]
        gap = rng.choice([0, 0, 0.005, -0.01, 0.025, -0.025, 0.045, -0.05, 0.09, -0.08]) * rng.uniform(0.8, 1.3)
        if abs(gap) > 0.03 and rng.random() < 0.6:
            bursts.append((332 + rng.randrange(12), 14, -math.copysign(rng.uniform(0.002, 0.006), gap)))
        split = {7: (1, 10), 8: (8, 1), 9: (1, 10), 10: (8, 1), 12: (1, 10)}.get(number)
        if split:
            gap = rng.uniform(-0.01, 0.01)
        return Script(
            symbol=symbol,
            kind=kind,
            close_before=round(0.7 if number % 41 == 3 else math.exp(rng.uniform(1.2, 5)), 2),
            daily_volume=size,
            density=density,
            busy=rng.choice([0.4, 0.8, 1.0, 1.3, 2.5, 6.0]),
            gap=gap,
            bursts=bursts,
            has_seconds=number % self.seconds_every == 0,
            listed=number % 37 != 11,
            begins=rng.choice([0, 0, 0, 0, 331, 335, 500]) if number % 37 != 11 else rng.choice([6, 337, 480]),
            halts=[(at, at + rng.randrange(3, 12)) for at in (rng.randrange(331, 390),) if number % 16 == 0],
            hears_resume=number % 32 != 0,
            split=split,
            believes=number != 12,
            official_open=number % 5 != 0,
            extended_only=number % 29 == 6,
        )

    # --- the past -----------------------------------------------------------------------------------------------------

    def _past(self) -> Past:
        """Raw rows; a split of five sessions ago, and those of today, leave earlier ones in their own shares."""
        rng, sessions, day = self.rng, [], self.hours.session
        while len(sessions) < self.daily_sessions:
            day -= timedelta(days=1)
            if is_session(day):
                sessions.insert(0, day)
        daily: dict[date, list[Row]] = {session: [] for session in sessions}
        slots: dict[date, dict[str, dict[int, float]]] = {session: {} for session in sessions[-SLOT_SESSIONS:]}
        splits, details, floats, shorts = [], {}, {}, {}
        for number, script in enumerate(self.scripts):
            splits += self._splits(script, number, sessions)
            lived = rng.choice([252, 252, 252, 120, 40, 16, 14, 3, 1]) if script.split is None else 200
            if number % 37 == 11:
                continue  # not listed yet, and never traded
            self._history(script, splits, sessions[-lived:], daily, slots)
            details[script.symbol] = {"weighted_shares_outstanding": script.daily_volume * 40 // 1, "sic_description": "MINING"}
            if number % 2:
                floats[script.symbol] = {"free_float": script.daily_volume * 30 // 1}
                shorts[script.symbol] = {"short_interest": script.daily_volume // 1}
        tickers = [
            {"ticker": s.symbol, "name": f"{s.symbol} Inc", "type": s.kind, "primary_exchange": "XNAS"} for s in self.scripts if s.listed
        ]
        full_length = {session for session in sessions if session.isoformat() not in EARLY_CLOSES}
        return Past(self.hours.session, sessions, full_length, tickers, splits, daily, slots, details, floats, shorts)

    def _splits(self, script: Script, number: int, sessions: list[date]) -> list[Row]:
        told = []
        if script.split:
            told.append((self.hours.session, *script.split))
        if number in (9, 20, 21):
            told.append((sessions[-5], *((2, 1) if number == 20 else (1, 4))))
        return [
            {"ticker": script.symbol, "execution_date": day.isoformat(), "split_from": begin, "split_to": end} for day, begin, end in told
        ]

    def _history(
        self, script: Script, splits: list[Row], sessions: list[date], daily: dict[date, list[Row]], slots: dict[date, Any]
    ) -> None:
        rng, price = self.rng, script.close_before
        mine = [split for split in splits if split["ticker"] == script.symbol]
        for session in reversed(sessions):
            day = session.isoformat()
            unadjust = math.prod(split["split_to"] / split["split_from"] for split in mine if day < split["execution_date"])
            close = price
            price *= math.exp(rng.gauss(0, 0.02))
            if rng.random() < (0.004 if script.density > 0.5 else 0.08) and session != sessions[-1]:
                continue  # no trade
            high, low = max(close, price) * math.exp(rng.uniform(0, 0.015)), min(close, price) * math.exp(-rng.uniform(0, 0.015))
            if session == sessions[-1] and rng.random() < 0.06:
                low *= 0.85
            volume = round(script.daily_volume * math.exp(rng.gauss(0, 0.35)) / unadjust)
            told = {"o": price, "h": high, "l": low, "c": close}
            row: Row = {"T": script.symbol, "v": volume} | {name: round(value * unadjust, 6) for name, value in told.items()}
            if rng.random() > 0.05:
                row |= {"vw": round((high + low) / 2 * unadjust, 4), "n": max(volume // 90, 1)}
            daily[session].append(row)
            if session in slots and volume:
                slots[session][script.symbol] = self._slots(script, volume)

    def _slots(self, script: Script, volume: float) -> dict[int, float]:
        rng, found = self.rng, {}
        for slot in range(192):
            regular = 66 <= slot < 144
            if rng.random() < (1 - (1 - script.density) ** 5 if regular else 0.3 * script.density):
                weight = 4 if slot in (66, 144) else 1 if regular else 0.12
                found[slot] = float(round(volume / 86 * weight * math.exp(rng.gauss(0, 0.3))) + 1)
        return found or {66: float(volume)}

    # --- today --------------------------------------------------------------------------------------------------------

    def _trade(self, script: Script) -> None:
        """The true minutes, and what the stream makes of them."""
        rng, price = self.rng, script.close_before * (1 + script.gap)
        if script.split and not script.believes:
            price *= script.split[1] / script.split[0]
        self.truth[script.symbol] = {}
        self._accumulated[script.symbol] = self._paid[script.symbol] = 0.0
        for begin, end in script.halts:
            self._halt(script, begin * 60 + 3, end * 60 + 3)
        for minute in range(script.begins, self.hours.end // 60):
            phase = self.hours.phase(minute * 60)
            burst = next((drift for begin, length, drift in script.bursts if begin <= minute < begin + length), None)
            is_looked_at = any(begin - 2400 <= minute * 60 < end for begin, end in self.busy_hours)
            density = script.density if phase == "MARKET_OPEN" else 0.95 if script.extended_only else 0.55 * script.density
            density = min(density + 0.3, 1.0) if burst else density
            price *= math.exp((burst or 0.0) + rng.gauss(0, 0.0012))
            if is_looked_at and script.has_seconds and any(minute == begin for begin, _ in script.halts):
                self._last_print(script, minute * 60, round(price, 4))
            halted = (script.extended_only and phase == "MARKET_OPEN") or any(begin <= minute < end for begin, end in script.halts)
            if halted or rng.random() > (density if is_looked_at else 0.12 * density):
                continue
            usual = script.daily_volume / 400 * (1 if phase == "MARKET_OPEN" else 0.25)
            volume = max(round(usual * script.busy * (10 if burst else 1) * math.exp(rng.gauss(0, 0.5))), 1)
            self._minute(script, minute * 60, price, volume, seconds=script.has_seconds and is_looked_at)

    def _halt(self, script: Script, begin: int, end: int) -> None:
        """Its word comes again long after; that of its end may never come."""
        for at, arrival, indicator in ((begin, begin + 1, 17), (end, end + 1, 18), (begin, end + 190, 17)):
            if indicator == 17 or script.hears_resume:
                instant = (self.hours.pre_open + at) * 1_000_000_000
                message = {"ev": "LULD", "T": script.symbol, "h": 1.0, "l": 1.0, "i": [indicator], "z": 3, "t": instant}
                self.frames[arrival].append(message)

    def _last_print(self, script: Script, start: int, price: float) -> None:
        """Five seconds after the halt: it was on its way."""
        bar = {"o": price, "h": price, "l": price, "c": price, "v": 300, "vw": price, "n": 3}
        self._send_second(script, start + 8, bar)
        self._stand(script, start, bar)

    def _minute(self, script: Script, start: int, price: float, volume: int, *, seconds: bool) -> None:
        rng = self.rng
        opens, close = round(price * math.exp(rng.gauss(0, 0.0008)), 4), round(price, 4)
        wick = rng.choice([0, 0, 0.0005, 0.002])
        low, high = round(min(opens, close) * (1 - wick), 4), round(max(opens, close) * (1 + wick), 4)
        trades = max(round(volume / rng.uniform(30, 250)), 1)
        minute = {"o": opens, "h": high, "l": low, "c": close, "v": volume, "vw": round((low + high) / 2, 4), "n": trades}
        if seconds:
            minute = self._seconds(script, start, minute)
        self._stand(script, start, minute)

    def _stand(self, script: Script, start: int, minute: Row) -> None:
        """The minute is over, and as it finally stands."""
        if start >= OPEN and script.symbol not in self.opens and start < self.hours.close:
            self.opens[script.symbol] = round(minute["o"] * 1.001, 4)
        minute = minute | {"t": (self.hours.pre_open + start) * 1000}
        self.truth[script.symbol][start] = minute
        self._accumulated[script.symbol] += minute["v"]
        self._paid[script.symbol] += minute["v"] * minute["vw"]
        self._send_minute(script, start, minute)

    def _message(self, script: Script, kind: str, start: int, length: int, bar: Row) -> Row:
        start_ms = (self.hours.pre_open + start) * 1000
        message = {"ev": kind, "sym": script.symbol, "s": start_ms, "e": start_ms + length * 1000} | {name: bar[name] for name in "ohlcv"}
        message |= {"vw": bar["vw"], "z": max(bar["v"] // bar["n"], 1), "av": self._accumulated[script.symbol]}
        message["a"] = round(self._paid[script.symbol] / message["av"], 4) if message["av"] else 0
        message |= {"dv": f"{bar['v']}.0", "dav": "1.0"}
        if script.official_open and script.symbol in self.opens:
            message["op"] = self.opens[script.symbol]
        if self.rng.random() < 0.02:
            del message["vw"]
        if self.rng.random() < 0.02:
            message["z"] = 0
        return message

    def _send_minute(self, script: Script, start: int, minute: Row) -> None:
        """On time; late; lost; twice; first wrong and then right."""
        rng, due = self.rng, start + 62 + self.rng.randrange(3)
        message, luck = self._message(script, "AM", start, 60, minute), rng.random()
        if luck < 0.01:
            return
        if luck < 0.04:
            due += rng.choice([rng.randrange(5, 90), rng.randrange(90, 2500)])
        elif luck < 0.09:
            spike = rng.choice([1.0, 1.0, 1.02, 1.2])
            share = rng.choice([0, 0.4, 0.9, 1.3])
            wrong = {"h": minute["h"] * spike, "l": minute["l"] / spike, "v": round(minute["v"] * share), "c": minute["l"]}
            self.frames[due].append(message | {name: round(value, 4) for name, value in wrong.items()})
            due += rng.choice([0, rng.randrange(1, 60), rng.randrange(60, 1200)])
        elif luck < 0.13:
            self.frames[due + rng.choice([0, rng.randrange(1, 200)])].append(message)
        self.frames[due].append(message)

    def _seconds(self, script: Script, start: int, minute: Row) -> Row:
        """Second bars within the minute; the minute becomes their sum, but where the vendor counts some trade in it alone."""
        rng, bars = self.rng, []
        price, left = minute["o"], minute["v"]
        for second in sorted(rng.sample(range(60), rng.randrange(2, 9))):
            volume = max(round(left * rng.uniform(0.1, 0.5)), 1) if rng.random() > 0.03 else 0
            left = max(left - volume, 1)
            opens, price = price, round(price * math.exp(rng.gauss(0, 0.001)), 4)
            low, high = min(opens, price), max(opens, price)
            bar = {"o": opens, "h": high, "l": low, "c": price, "v": volume, "vw": round((low + high) / 2, 4), "n": max(volume // 80, 1)}
            bars.append(bar)
            self._send_second(script, start + second, bar)
        total = sum(bar["v"] for bar in bars)
        vwap = sum(bar["vw"] * bar["v"] for bar in bars) / max(total, 1)
        whole = {"o": bars[0]["o"], "c": bars[-1]["c"], "h": max(b["h"] for b in bars), "l": min(b["l"] for b in bars)}
        whole |= {"v": total, "vw": round(vwap, 6), "n": sum(bar["n"] for bar in bars)}
        if rng.random() < 0.2:
            whole["v"] += rng.randrange(1, 500)
            whole["h"] = round(whole["h"] * 1.001, 4)
        return whole

    def _send_second(self, script: Script, start: int, bar: Row) -> None:
        rng, due = self.rng, start + 3 + self.rng.randrange(2)
        message, luck = self._message(script, "A", start, 1, bar), rng.random()
        if luck < 0.02:
            return
        if luck < 0.08:
            due += rng.randrange(1, 50)
        elif luck < 0.14:
            self.frames[due].append(message | {"v": bar["v"] + 7, "h": round(bar["h"] * 1.004, 4)})
            due += rng.randrange(0, 30)
        elif luck < 0.2:
            self.frames[due + rng.randrange(0, 40)].append(message)
        self.frames[due].append(message)

    def _noise(self) -> None:
        """What must be refused: another session's, what cannot be, what nobody knows."""
        rng = self.rng
        for at in range(130, self.hours.end, 600):
            script = rng.choice(self.scripts)
            bar = {"o": 9.0, "h": 99.0, "l": 9.0, "c": 90.0, "v": 10**6, "vw": 50.0, "n": 10}
            good = self._message(script, "AM", at // 60 * 60 - 60, 60, bar) | {"z": 50}
            yesterday = {"s": good["s"] - 86_400_000, "e": good["e"] - 86_400_000}
            wrong = rng.choice([yesterday, {"v": -5}, {"c": 0}, {"l": 100.0}, {"o": None}, {"sym": "X" * 200}, {"ev": "T"}])
            self.frames[at].append(good | wrong)

    # --- REST ---------------------------------------------------------------------------------------------------------

    def minutes(self, symbol: str, t: float) -> list[Row]:
        """The minutes that ended by ``t``, as they finally stand."""
        return [minute for start, minute in sorted(self.truth.get(symbol, {}).items()) if start + 60 <= t]

    def grouped(self) -> list[Row]:
        """The session's daily bars: prices of regular hours, shares of all; some rows lack `vw` and `n`. Who never opened has none."""
        rows = []
        for number, script in enumerate(self.scripts):
            minutes = self.minutes(script.symbol, self.hours.end)
            regular = [m for m in minutes if OPEN <= m["t"] // 1000 - self.hours.pre_open < self.hours.close]
            if not regular:
                continue
            volume = sum(minute["v"] for minute in minutes)
            row = {"T": script.symbol, "o": self.opens[script.symbol], "c": regular[-1]["c"], "v": volume, "t": self.hours.pre_open * 1000}
            row |= {"h": max([row["o"], *(m["h"] for m in regular)]), "l": min([row["o"], *(m["l"] for m in regular)])}
            if number % 11:
                row |= {"vw": sum(m["vw"] * m["v"] for m in minutes) / volume, "n": sum(m["n"] for m in minutes)}
            rows.append(row)
        return rows

    def snapshot(self, t: float) -> list[Row]:
        rows = []
        for script in self.scripts:
            minutes = self.minutes(script.symbol, t)
            running = self.truth[script.symbol].get(t // 60 * 60)
            if running and t % 60 > 1:
                minutes.append(running | {"v": running["v"] // 3, "c": running["o"]})
            if not minutes:
                continue
            last, volume = minutes[-1], sum(minute["v"] for minute in minutes)
            nanoseconds = min(last["t"] + 60_000, (self.hours.pre_open + int(t)) * 1000 - 250) * 1_000_000
            regular = [m for m in minutes if OPEN <= m["t"] // 1000 - self.hours.pre_open < self.hours.close]
            day = {"o": 0, "h": 0, "l": 0, "c": 0, "v": 0, "vw": 0}
            if regular:
                day = {"o": self.opens[script.symbol], "h": max(m["h"] for m in regular), "l": min(m["l"] for m in regular)}
                day |= {"c": regular[-1]["c"], "v": volume, "vw": sum(m["vw"] * m["v"] for m in minutes) / max(volume, 1)}
            told = {"ticker": script.symbol, "updated": nanoseconds, "day": day, "lastTrade": {"p": last["c"], "t": nanoseconds}}
            rows.append(told | {"min": last | {"av": volume}})
        return rows


# Of the years that tests use.
EARLY_CLOSES = {"2024-11-29", "2024-12-24", "2025-07-03", "2025-11-28", "2025-12-24"}
HOLIDAYS = {
    *("2024-11-28", "2024-12-25", "2025-01-01", "2025-01-09", "2025-01-20", "2025-02-17", "2025-04-18", "2025-05-26", "2025-06-19"),
    *("2025-07-04", "2025-09-01", "2025-11-27", "2025-12-25", "2026-01-01", "2026-01-19", "2026-02-16", "2026-09-07"),
}


def is_session(day: date) -> bool:
    return day.weekday() < 5 and day.isoformat() not in HOLIDAYS
