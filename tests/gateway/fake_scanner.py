"""A scanner for tests: random but lawful flows of frames and messages, published through the real bus."""

import random
from datetime import date

from tradeul.records.lists import ListDefinition, ListFrame
from tradeul.records.messages import Add, Delta, Remove, Rerank, Snapshot, Update, encode

SESSION = date(2026, 3, 9)
COLUMNS = ("price", "change_pct", "gap_pct", "volume", "rvol")
NAMES = ("gappers_up", "winners")
DEFINITIONS = [
    ListDefinition(name, name.replace("_", " ").title(), "change_pct >= 5", (("change_pct", "desc"),), COLUMNS, built_in=True)
    for name in NAMES
]


class Flow:
    """One list's life: `frame` is its state, `step` its next message."""

    def __init__(self, name, seed, session=SESSION, epoch=1, symbols=12):
        self.name, self.session, self.epoch, self.sequence = name, session, epoch, 0
        self.random = random.Random(seed)
        self.symbols = [f"T{number}" for number in range(symbols)]
        self.rows = []

    @property
    def timestamp(self):
        return 1_773_063_000_000 + 1000 * self.sequence

    @property
    def frame(self):
        rows = [dict(row) for row in self.rows]
        return ListFrame(self.session, self.epoch, self.sequence, rows, "SIMULATED", self.timestamp)

    @property
    def snapshot(self):
        rows = self.frame.rows
        return Snapshot(self.name, self.session, "SIMULATED", self.epoch, self.sequence, len(rows), rows, self.timestamp)

    def data(self):
        return {column: self.random.choice([None, round(self.random.uniform(-9, 99), 2)]) for column in COLUMNS}

    def step(self):
        """The next delta, its rows applied; written independently of the gateway's own way."""
        old = {row["symbol"]: row for row in self.rows}
        members = self.random.sample(self.symbols, self.random.randint(0, len(self.symbols)))
        removes = [Remove(symbol) for symbol in old if symbol not in members]
        adds, reranks, updates, rows = [], [], [], []
        for rank, symbol in enumerate(members):
            if symbol not in old:
                data = self.data()
                adds.append(Add(symbol, rank, {"symbol": symbol, "rank": rank, **data}))
                rows.append({"symbol": symbol, "rank": rank, **data})
                continue
            if old[symbol]["rank"] != rank:
                reranks.append(Rerank(symbol, rank))
            changed = {column: value for column, value in self.data().items() if self.random.random() < 0.3}
            if changed:
                updates.append(Update(symbol, changed))
            rows.append(old[symbol] | changed | {"rank": rank})
        base, self.sequence, self.rows = self.sequence, self.sequence + 1, rows
        steps = [*removes, *adds, *reranks, *updates]
        return Delta(self.name, self.session, "SIMULATED", self.epoch, self.sequence, base, steps, self.timestamp)


def apply(rows, delta):
    """What a naive client does with a delta: the wire's JSON, a dict of rows, one step after the other."""
    held = {row["symbol"]: dict(row) for row in rows}
    for step in delta["deltas"]:
        if step["action"] == "remove":
            held.pop(step["symbol"])
        elif step["action"] == "add":
            held[step["symbol"]] = {**step["data"], "symbol": step["symbol"], "rank": step["rank"]}
        elif step["action"] == "rerank":
            held[step["symbol"]]["rank"] = step["rank"]
        else:
            held[step["symbol"]].update(step["data"])
    return sorted(held.values(), key=lambda row: row["rank"])


async def publish(bus, *flows, messages=None):
    """Write each flow's frame and send its message (its snapshot, unless ``messages`` says otherwise)."""
    messages = messages or [flow.snapshot for flow in flows]
    await bus.publish_frames([(flow.name, flow.frame, encode(message), True) for flow, message in zip(flows, messages, strict=True)])
