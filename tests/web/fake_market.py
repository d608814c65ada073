"""A scanner for the page's tests: the eleven built-in lists over an invented market that moves at every step."""

import random
import tomllib
from datetime import UTC, date, datetime, timedelta
from importlib import resources

from tradeul.bus.topics import FEED_STATUS
from tradeul.records.breadth import Breadth, Proxy
from tradeul.records.events import FeedStatus
from tradeul.records.lists import ListDefinition, ListFrame
from tradeul.records.messages import Add, Delta, Remove, Rerank, Snapshot, Update, encode

SESSION = date(2026, 3, 9)
START = datetime(2026, 3, 9, 14, 0, tzinfo=UTC)  # 10:00 ET
FIRST = [
    "Amber",
    "Cobalt",
    "Delta",
    "Ever",
    "Falcon",
    "Granite",
    "Harbor",
    "Iron",
    "Juniper",
    "Kestrel",
    "Lumen",
    "Meridian",
    "Nova",
    "Orchard",
]
SECOND = ["Therapeutics", "Robotics", "Energy", "Bancorp", "Mining", "Software", "Foods", "Logistics", "Semiconductor", "Holdings"]
HOSTILE = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>'
EMPTY = "reversals"
BADGES = {
    "halted": True,
    "ssr": True,
    "ipo": True,
    "leverage": "3x",
    "corp_action": "1:8 split",
    "filing_form": "8-K",
    "news_at": "2026-03-09T13:00:00Z",
}


def definitions():
    """The built-in lists; the eleven of `builtin.toml`."""
    text = (resources.files("tradeul") / "scanner" / "builtin.toml").read_text()
    return [
        ListDefinition(
            name,
            table["title"],
            table["where"].strip(),
            tuple((expression, direction) for expression, direction in table["order"]),
            tuple(table["columns"]),
            built_in=True,
        )
        for name, table in tomllib.loads(text)["lists"].items()
    ]


class Market:
    """A hundred companies that walk at random; every list shows some of them, ordered by its first numeric column."""

    def __init__(self, seed=1):
        self.random = random.Random(seed)
        self.definitions = definitions()
        self.now = START
        self.sequence = 0
        self.companies = [self.company() for _ in range(100)]
        self.companies[0]["name"] = HOSTILE
        self.companies[1]["halted"] = True
        self.rows = {each.name: [] for each in self.definitions}

    def company(self):
        chance = self.random
        symbol = "".join(chance.choices("ABCDEFGHKLMNPRSTVX", k=chance.choice([3, 4, 4, 5])))
        price = round(chance.lognormvariate(2.4, 1.2), 4)
        return {
            "symbol": symbol,
            "name": f"{chance.choice(FIRST)} {chance.choice(SECOND)}, Inc. Common Stock",
            "halted": False,
            "price": price,
            "prev_close": round(price / (1 + chance.uniform(-0.1, 0.4)), 4),
            "volume": int(chance.lognormvariate(14, 1.5)),
            "seen": {},
        }

    def walk(self):
        chance = self.random
        self.now += timedelta(seconds=1)
        for company in self.companies:
            company["seen"] = {}
            if chance.random() < 0.4:
                company["price"] = round(company["price"] * (1 + chance.gauss(0, 0.004)), 4)
                company["volume"] += int(chance.expovariate(1 / 4000))

    def value(self, company, column):
        """One column; what the company does not carry is invented from it, the same for every list of one step."""
        price, volume = company["price"], company["volume"]
        anchor = random.Random(f"{company['symbol']}{column}")
        known = {
            "change_pct": round(100 * (price / company["prev_close"] - 1), 2),
            "dollar_volume": round(price * volume),
            "rvol": round(anchor.lognormvariate(0.6, 0.7) + volume / 1e8, 2),
            "gap_pct": round(100 * (price / company["prev_close"] - 1) * 0.8, 2),
            "baseline": anchor.choice(["ready", "ready", "thin"]),
            "gap_state": anchor.choice(["holding", "fading", "filled"]),
        }
        if column in company:
            return company[column]
        if column in known:
            return known[column]
        if column in BADGES:
            return BADGES[column] if anchor.random() < 0.05 else None
        if anchor.random() < 0.06:
            return None
        if column.endswith("_at"):
            return (START - timedelta(seconds=anchor.randrange(1800))).isoformat().replace("+00:00", "Z")
        if column in ("vol_pct_adv", "range_pos", "atr_pct", "spread_pct"):
            return round(anchor.uniform(0.5, 99), 2)
        if column.endswith("_pct") or column.startswith("chg_"):
            return round(anchor.gauss(2, 6) + self.random.gauss(0, 0.05), 2)
        if column.endswith("_count"):
            return anchor.randrange(2, 30)
        if column in ("slot_lz", "range_atr", "rvol_5m"):
            return round(anchor.lognormvariate(0.8, 0.6), 2)
        if column.startswith(("vol_", "dvol_", "avg_", "expected", "trades")):
            return int(anchor.lognormvariate(11, 2))
        return round(price * anchor.uniform(0.9, 1.1), 4)

    def members(self, definition):
        if definition.name == EMPTY:
            return []
        choice = random.Random(definition.name)
        size = choice.choice([100, 60, 34])
        chosen = choice.sample(self.companies, size)
        if chosen[0]["symbol"] and self.random.random() < 0.3:
            chosen = chosen[: -self.random.randrange(1, 4)]
        rows = [
            {"symbol": each["symbol"], **{column: self.value(each, column) for column in dict.fromkeys((*definition.columns, *BADGES))}}
            for each in chosen
        ]
        key = definition.columns[1]
        rows.sort(key=lambda row: (row[key] is None or isinstance(row[key], str), -(row[key] if isinstance(row[key], int | float) else 0)))
        return [row | {"rank": rank} for rank, row in enumerate(rows)]

    def delta_steps(self, old, new):
        was, now = {row["symbol"]: row for row in old}, {row["symbol"]: row for row in new}
        steps = [Remove(symbol) for symbol in was if symbol not in now]
        steps += [Add(symbol, row["rank"], row) for symbol, row in now.items() if symbol not in was]
        steps += [Rerank(symbol, row["rank"]) for symbol, row in now.items() if symbol in was and was[symbol]["rank"] != row["rank"]]
        for symbol, row in now.items():
            changed = {name: value for name, value in row.items() if name != "rank" and symbol in was and was[symbol][name] != value}
            if changed:
                steps.append(Update(symbol, changed))
        return steps

    async def step(self, bus):
        """Move the market and publish what changed; the first step publishes snapshots."""
        self.walk()
        base, self.sequence = self.sequence, self.sequence + 1
        timestamp = int(self.now.timestamp() * 1000)
        frames = []
        for definition in self.definitions:
            old, new = self.rows[definition.name], self.members(definition)
            self.rows[definition.name] = new
            head = (definition.name, SESSION, "SIMULATED", 1, self.sequence)
            message = Delta(*head, base, self.delta_steps(old, new), timestamp) if base else Snapshot(*head, len(new), new, timestamp)
            frame = ListFrame(SESSION, 1, self.sequence, new, "SIMULATED", timestamp)
            frames.append((definition.name, frame, encode(message), True))
        await bus.publish_frames(frames)
        feed = FeedStatus(SESSION, "MARKET_OPEN", "SIMULATED", 2140, 2600, stale=False, messages=self.sequence, symbols=12_400)
        await bus.publish(FEED_STATUS, feed)
        await bus.put_breadth(self.breadth())

    def breadth(self):
        ups = sum(company["price"] > company["prev_close"] for company in self.companies)
        proxies = Proxy("SPY", 512.34, 0.42), Proxy("QQQ", 430.1, -0.17), Proxy("IWM", None, None)
        return Breadth(SESSION, int(self.now.timestamp() * 1000), ups, len(self.companies) - ups, 0, 1, proxies)
