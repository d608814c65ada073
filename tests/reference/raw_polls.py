"""A raw day as polls of the snapshot show it, with what may be wrong with them. Imports nothing of the product.

The minute is shown while it grows; for some tickers it lags behind the last trade,
for others no last trade is told (a plan without trades), or no number of trades.
Now and then a row counts too much and the next takes it back, or shows an older state.
"""

import random
from typing import Any

from tests.reference.hours import OPEN
from tests.reference.raw_day import RawDay

Row = dict[str, Any]
DAY = 86_400_000


class RawPolls:
    def __init__(self, day: RawDay, seed: int) -> None:
        self.day, self.rng = day, random.Random(seed)
        self.number = {script.symbol: number for number, script in enumerate(day.scripts)}
        self.shown: dict[str, Row] = {}
        # symbol -> (start, the minute, shares and dollars before it)
        self.minutes: dict[str, list[tuple[int, Row, float, float]]] = {}
        for symbol, minutes in day.truth.items():
            shares = dollars = 0.0
            self.minutes[symbol] = []
            for start, minute in sorted(minutes.items()):
                self.minutes[symbol].append((start, minute, shares, dollars))
                shares, dollars = shares + minute["v"], dollars + minute["v"] * minute["vw"]

    def rows(self, t: float) -> list[Row]:
        return [self.row(script.symbol, t) for script in self.day.scripts]

    def row(self, symbol: str, t: float) -> Row:
        luck = self.rng.random()
        if luck < 0.01 and symbol in self.shown:
            return self.shown[symbol]
        number, begun = self.number[symbol], [entry for entry in self.minutes[symbol] if entry[0] < t]
        if not begun:
            return self.silent(symbol, number)
        lag = self.rng.randrange(15) if number % 3 == 0 else 0
        lagged = [entry for entry in begun if entry[0] < t - lag]
        row: Row = {"ticker": symbol, "updated": self.nanoseconds(self.last_trade(begun[-1], t)[0]), "min": {}, "day": {}}
        if lagged:
            minute = row["min"] = self.minute_so_far(lagged[-1], t - lag)
            if luck > 0.99:
                minute["v"], minute["av"] = minute["v"] + 700, minute["av"] + 700
            if number % 7 == 3:
                del minute["n"]
            if luck < 0.05:
                del minute["vw"]
            row["day"] = self.regular_day(symbol, lagged, minute)
        if number % 4 != 1:
            at, price = self.last_trade(begun[-1], t)
            row["lastTrade"] = {"p": price, "t": self.nanoseconds(at)}
        self.shown[symbol] = row
        return row

    def silent(self, symbol: str, number: int) -> Row:
        """Who did not trade yet: zeros, and of some still the session before."""
        zeros = dict.fromkeys(("o", "h", "l", "c", "v", "vw"), 0)
        row = {"ticker": symbol, "updated": 0, "day": zeros, "min": zeros | {"t": 0, "av": 0, "n": 0}}
        if number % 2:
            yesterday = self.day.hours.pre_open * 1000 - DAY // 3
            row["min"] = {"o": 9, "h": 9, "l": 9, "c": 9, "v": 900, "vw": 9, "t": yesterday, "av": 10**6, "n": 4}
            row["updated"] = yesterday * 10**6
        return row

    def minute_so_far(self, entry: tuple[int, Row, float, float], t: float) -> Row:
        start, minute, shares, _ = entry
        gone = min((t - start) / 60, 1.0)
        close = round(minute["o"] + (minute["c"] - minute["o"]) * gone, 4)
        volume = max(int(minute["v"] * gone), 1)
        found = {"o": minute["o"], "c": close, "h": max(minute["o"], close), "l": min(minute["o"], close)}
        if gone == 1.0:
            found |= {"h": minute["h"], "l": minute["l"]}
        return found | {"v": volume, "vw": minute["vw"], "n": max(int(minute["n"] * gone), 1), "t": minute["t"], "av": shares + volume}

    def last_trade(self, entry: tuple[int, Row, float, float], t: float) -> tuple[float, float]:
        start, minute = entry[:2]
        gone = min((t - start) / 60, 1.0)
        return start + max(60 * gone - 0.4, 0), round(minute["o"] + (minute["c"] - minute["o"]) * gone, 4)

    def regular_day(self, symbol: str, begun: list[tuple[int, Row, float, float]], minute: Row) -> Row:
        """`day`: prices of regular hours, shares of all."""
        regular = [row for start, row, _, _ in begun if OPEN <= start < self.day.hours.close]
        if not regular:
            return dict.fromkeys(("o", "h", "l", "c", "v", "vw"), 0)
        _, _, shares, dollars = begun[-1]
        vwap = (dollars + minute.get("vw", minute["c"]) * minute["v"]) / (shares + minute["v"])
        lowest, highest = min(row["l"] for row in regular), max(row["h"] for row in regular)
        return {"o": self.day.opens[symbol], "h": highest, "l": lowest, "c": regular[-1]["c"], "v": minute["av"], "vw": round(vwap, 4)}

    def nanoseconds(self, at: float) -> int:
        return (self.day.hours.pre_open * 1000 + int(at * 1000)) * 10**6
