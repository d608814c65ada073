"""The fictional issues: names, symbols, classes, and what makes one liquid, dear or wild.

Arrays for the arithmetic, records for the answers.

In a large universe four companies change tickers, as real ones do: one is
delisted, one is renamed, and one's ticker passes to another. Three funds bear
the tickers of real index funds and move with the market.

Shares of classes, spread of prices and liquidity are those of the real market
(some 12,400 issues, of which the first thousand make most of the volume).
No prices here: `daily.py`.
"""

import random
from collections.abc import Iterator
from datetime import date, timedelta

import msgspec
import numpy as np
from numpy.typing import NDArray

from tradeul.simulator import words_of_names as names
from tradeul.simulator.hashing import Floats, bell, fine_uniform, key

SHARE_OF_KIND = {
    "CS": 0.497,
    "ETF": 0.290,
    "ADRC": 0.034,
    "WARRANT": 0.042,
    "PFD": 0.042,
    "FUND": 0.036,
    "UNIT": 0.024,
    "RIGHT": 0.010,
    "ETN": 0.006,
    "ETS": 0.008,
    "OS": 0.006,
    "SP": 0.004,
    "NYRS": 0.001,
}
# Below 1: the class sits low in the ranking by liquidity.
LIQUIDITY_OF_KIND = {"CS": 1.0, "ETF": 0.75, "ADRC": 0.85, "OS": 0.8, "NYRS": 1.0, "FUND": 0.4, "WARRANT": 0.22, "RIGHT": 0.18}
OTHER_LIQUIDITY = 0.12
# (median price, spread of its logarithm, median daily deviation)
CHARACTER = {
    "CS": (16.0, 1.25, 0.021),
    "ADRC": (13.0, 1.2, 0.020),
    "OS": (12.0, 1.1, 0.021),
    "NYRS": (60.0, 0.6, 0.016),
    "ETF": (34.0, 0.6, 0.009),
    "ETN": (28.0, 0.6, 0.013),
    "ETS": (31.0, 0.6, 0.014),
    "FUND": (12.5, 0.35, 0.008),
    "PFD": (22.0, 0.15, 0.006),
    "SP": (24.0, 0.1, 0.006),
    "UNIT": (10.3, 0.03, 0.004),
    "WARRANT": (0.4, 1.1, 0.08),
    "RIGHT": (0.25, 0.7, 0.09),
}
REAL_SIZE = 12_400  # the ranks of a smaller universe are stretched over this many
STOCK_KINDS = frozenset({"CS", "ADRC", "OS", "NYRS"})
# Four companies of a large universe whose tickers do not stay theirs. All of them trade, none halts, splits or leads a story.
FATES_FROM_SIZE, FATES_FROM_RANK = 1_000, 7_000
DELISTED_AFTER = date(2026, 2, 20)
REUSED_AFTER, REUSED_FROM = date(2026, 1, 23), date(2026, 2, 9)  # one company's ticker, then another's
RENAMED_FROM = date(2026, 2, 17)
# The most traded plain ETFs stand for indexes: ticker, name, price, shares a day, how much they move with the market.
INDEX_FUNDS = (
    ("SPY", "Fictional Large Company Index ETF", 610.0, 7.5e7, 1.0),
    ("QQQ", "Fictional Technology Index ETF", 520.0, 5e7, 1.25),
    ("IWM", "Fictional Small Company Index ETF", 225.0, 3e7, 1.15),
)
INDEX_FUNDS_FROM_SIZE = 100
INDEX_DEVIATION = 0.002  # beside the market's move
_PRICE, _WILD, _RANK, _TURNOVER = 1, 2, 3, 4  # streams of random words


class Issue(msgspec.Struct, frozen=True, gc=False):
    number: int
    symbol: str
    name: str
    kind: str
    exchange: str
    cik: str | None
    list_date: date
    leverage: int  # 1: none
    sic_code: str | None
    sic_description: str | None
    shares: int  # outstanding
    float_share: float
    figi: str | None = None
    last_date: date | None = None  # on which it is listed; None: it stays
    former: tuple[str, date] | None = None  # another symbol, and the date from which on it has its own

    def symbol_on(self, session: date) -> str:
        return self.former[0] if self.former is not None and session < self.former[1] else self.symbol

    def is_listed(self, session: date) -> bool:
        return self.list_date <= session and (self.last_date is None or session <= self.last_date)


class Universe(msgspec.Struct, frozen=True):
    issues: list[Issue]
    number_of: dict[str, int]
    start_price: Floats  # dollars, at the first simulated session
    adv_shares: Floats  # typical shares a day at the start price
    deviation: Floats  # of a day's return
    beta: Floats  # how much of the market's move is in it
    index: NDArray[np.bool_]  # funds that stand for an index
    listed: NDArray[np.int64]  # ordinal of the list date
    last: NDArray[np.int64]  # of the last date
    stock: NDArray[np.bool_]
    liquidity_rank: NDArray[np.int64]  # 0: the most traded, on the scale of REAL_SIZE


class _Draft(msgspec.Struct):
    symbol: str
    name: str
    kind: str
    exchange: str
    listed: date
    leverage: int = 1
    sic: tuple[str, str] | None = None


def make_universe(seed: int, size: int) -> Universe:
    drafts = list(_drafts(random.Random(seed), size))
    drafts.sort(key=lambda draft: draft.symbol)
    kinds = np.array([draft.kind for draft in drafts])
    leverage = np.array([abs(draft.leverage) for draft in drafts], np.float64)
    numbers = np.arange(size)
    liking = np.array([LIQUIDITY_OF_KIND.get(kind, OTHER_LIQUIDITY) for kind in kinds])
    score = fine_uniform(key(seed, _RANK, numbers, 0)) ** liking
    rank = np.empty(size, np.int64)
    rank[np.argsort(score, kind="stable")] = np.arange(size) * REAL_SIZE // size
    median, spread, wild = (np.array([CHARACTER[kind][column] for kind in kinds]) for column in range(3))
    # The most traded names are dear: mega caps and index funds.
    dear = 1.2 * np.exp(-rank / 700.0) * np.isin(kinds, ["CS", "ADRC", "ETF"])
    price = median * np.exp(spread * bell(key(seed, _PRICE, numbers, 0)) + dear)
    deviation = wild * np.exp(0.4 * bell(key(seed, _WILD, numbers, 0))) * leverage
    deviation *= np.where(np.isin(kinds, list(STOCK_KINDS)), 1.0 + 0.7 * rank / REAL_SIZE, 1.0)
    adv = 9e7 / (1.0 + rank / 30.0) ** 1.15 * np.exp(-((rank / 5600.0) ** 2)) * np.minimum(1.0, (60.0 / price) ** 0.7)
    turnover = 0.004 * np.exp(0.7 * bell(key(seed, _TURNOVER, numbers, 0)))
    shares = np.maximum(adv / turnover, 500_000).astype(np.int64)
    floats = 1.0 - 0.6 * fine_uniform(key(seed, _TURNOVER, numbers, 1)) ** 2
    issues = [_issue(number, draft, int(shares[number]), float(floats[number])) for number, draft in enumerate(drafts)]
    if size >= FATES_FROM_SIZE:
        _decide_fates(issues, rank, price)
    beta, index = np.minimum(np.clip(deviation, 0.0008, 0.14) / 0.015, 1.5), np.zeros(size, np.bool_)
    if size >= INDEX_FUNDS_FROM_SIZE:
        for number, (_, _, price[number], adv[number], beta[number]) in _name_index_funds(issues, rank):
            deviation[number], index[number] = INDEX_DEVIATION, True
    return Universe(
        issues=issues,
        number_of={issue.symbol: issue.number for issue in issues},
        start_price=np.clip(price, 0.02, 4000.0),
        adv_shares=np.maximum(adv, 150.0),
        deviation=np.clip(deviation, 0.0008, 0.14),
        beta=beta,
        index=index,
        listed=np.array([issue.list_date.toordinal() for issue in issues]),
        last=np.array([(issue.last_date or date.max).toordinal() for issue in issues]),
        stock=np.isin(kinds, list(STOCK_KINDS)),
        liquidity_rank=rank,
    )


def _issue(number: int, draft: _Draft, shares: int, float_share: float) -> Issue:
    code, description = draft.sic or (None, None)
    cik = f"{1_000_000 + number * 37:010d}" if draft.kind not in ("ETF", "ETN", "ETS") else None
    return Issue(
        number, draft.symbol, draft.name, draft.kind, draft.exchange, cik, draft.listed, draft.leverage, code, description, shares,
        round(float_share, 4), None if draft.kind in ("ETN", "SP") else f"BBG{number * 7_919 + 1:09d}",
    )  # fmt: skip


def _decide_fates(issues: list[Issue], rank: NDArray[np.int64], price: Floats) -> None:
    """The delisted one, the two that bear one ticker after each other, and the renamed one."""
    old = date(2024, 1, 1)
    chosen = [
        issue
        for issue in sorted(issues, key=lambda issue: int(rank[issue.number]))
        if rank[issue.number] >= FATES_FROM_RANK and issue.kind == "CS" and issue.list_date < old and 6.0 < price[issue.number] < 90.0
    ]
    delisted, before, after, renamed = chosen[:4]
    former = renamed.symbol[:2] + "QX"
    if any(issue.symbol == former for issue in issues):
        former += "Q"
    changed = msgspec.structs.replace
    issues[delisted.number] = changed(delisted, last_date=DELISTED_AFTER)
    issues[before.number] = changed(before, last_date=REUSED_AFTER)
    issues[after.number] = changed(after, symbol=before.symbol, list_date=REUSED_FROM)
    issues[renamed.number] = changed(renamed, former=(former, RENAMED_FROM))


def _name_index_funds(issues: list[Issue], rank: NDArray[np.int64]) -> list[tuple[int, tuple[str, str, float, float, float]]]:
    """The numbers of the funds that become INDEX_FUNDS; whoever bears such a ticker gets another."""
    changed = msgspec.structs.replace
    taken = {issue.symbol for issue in issues}
    for issue in issues:
        if issue.symbol in [symbol for symbol, *_ in INDEX_FUNDS]:
            issues[issue.number] = changed(issue, symbol=_claim(issue.symbol + "A", taken))
    plain = [issue for issue in issues if issue.kind == "ETF" and issue.leverage == 1 and issue.list_date < date(2024, 1, 1)]
    plain.sort(key=lambda issue: int(rank[issue.number]))
    named = list(zip([issue.number for issue in plain], INDEX_FUNDS, strict=False))
    for number, (symbol, name, *_) in named:
        issues[number] = changed(issues[number], symbol=symbol, name=name)
    return named


def _drafts(rng: random.Random, size: int) -> Iterator[_Draft]:
    """``size`` issues: companies first, then what hangs on them (preferreds, warrants ...), then funds."""
    wanted = {kind: max(int(size * share), 1) for kind, share in SHARE_OF_KIND.items()}
    wanted["CS"] += size - sum(wanted.values())
    taken: set[str] = set()
    companies: list[_Draft] = []
    shells: list[_Draft] = []
    for kind in ("CS", "ADRC", "OS", "NYRS"):
        for place in range(wanted[kind]):
            if kind == "CS" and place % 60 == 59 and len(companies[-1].symbol) <= 4 and f"{companies[-1].symbol}.B" not in taken:
                parent = companies[-1]
                draft = _Draft(_claim(f"{parent.symbol}.B", taken), f"{parent.name} Class B", kind, parent.exchange, parent.listed)
                draft.sic = parent.sic
            else:
                draft = _company(rng, kind, taken, shell=kind == "CS" and place % 14 == 13)
                (shells if "Acquisition" in draft.name else companies).append(draft)
            yield draft
    for kind in ("WARRANT", "UNIT", "RIGHT", "PFD", "SP"):
        parents = shells if kind in ("UNIT", "RIGHT") and shells else companies if kind in ("PFD", "SP") else shells + companies[::9]
        for place in range(wanted[kind]):
            yield _attached(kind, parents[place % len(parents)], place // len(parents), taken)
    for kind in ("FUND", "ETF", "ETN", "ETS"):
        for place in range(wanted[kind]):
            yield _fund(rng, kind, place, companies, taken)


def _list_date(rng: random.Random) -> date:
    """Most before the simulation's first session, one in fifteen within it."""
    if rng.random() < 0.07:
        return date(2024, 1, 15) + timedelta(days=rng.randrange(900))
    return date(1984, 1, 3) + timedelta(days=rng.randrange(14_500))


def _company(rng: random.Random, kind: str, taken: set[str], *, shell: bool) -> _Draft:
    stem = rng.choice(names.STEM_STARTS) + rng.choice(names.STEM_ENDS)
    if shell:
        numeral = rng.choice(["", " II", " III", " IV"])
        name, sic = f"{stem} Acquisition Corp.{numeral}", ("6770", "BLANK CHECKS")
    else:
        business, code, description = rng.choice(names.BUSINESSES)
        form = {"CS": rng.choice(names.FORMS), "ADRC": "plc American Depositary Shares", "NYRS": "N.V. New York Registry Shares"}
        name, sic = f"{stem} {business} {form.get(kind, 'Ltd. Ordinary Shares')}", (code, description)
    exchange = rng.choices(["XNAS", "XNYS", "XASE"], [62, 32, 6])[0]
    return _Draft(_symbol(rng, name, taken, 4 if exchange == "XNAS" else 3), name, kind, exchange, _list_date(rng), sic=sic)


def _attached(kind: str, parent: _Draft, turn: int, taken: set[str]) -> _Draft:
    """Preferreds `BACpM`; on Nasdaq a fifth letter (`ABCDW`), elsewhere a suffix (`ABC.WS`)."""
    root, suffix = parent.symbol, {"WARRANT": ("W", ".WS"), "UNIT": ("U", ".U"), "RIGHT": ("R", ".R")}
    if kind in ("PFD", "SP"):
        letter = "ABCDEFGHIJKLM"[turn % 13]
        name = f"{parent.name} Depositary Shares Series {letter} Preferred" if kind == "PFD" else f"{parent.name} Structured Note {letter}"
        symbol = f"{root}p{letter}" if kind == "PFD" else f"{root[:3]}{letter}Z"
    else:
        nasdaq = parent.exchange == "XNAS" and len(root) == 4
        symbol = root + suffix[kind][0 if nasdaq else 1] + (str(turn) if turn else "")
        name = f"{parent.name} {kind.capitalize()}" + ("s, each to buy one share" if kind == "WARRANT" else "")
    return _Draft(_claim(symbol, taken), name, kind, parent.exchange, parent.listed, sic=parent.sic)


def _fund(rng: random.Random, kind: str, place: int, companies: list[_Draft], taken: set[str]) -> _Draft:
    brand, leverage = rng.choice(names.FUND_BRANDS), 1
    if kind == "FUND":
        name = f"{brand} {rng.choice(names.CLOSED_END)} Fund"
        exchange = "XNYS"
    elif kind == "ETF" and place % 12 == 5:
        leverage = rng.choice([2, 2, 2, 3, 3, -1, -2, -3])
        theme = rng.choice(companies).symbol if abs(leverage) == 2 else rng.choice(names.THEMES)
        side = "Long" if leverage > 0 and abs(leverage) == 2 else "Bull" if leverage > 0 else "Bear"
        name = f"{brand} Daily {theme} {leverage}X {side} ETF"
        exchange = rng.choice(["ARCX", "BATS", "XNAS"])
    else:
        name = f"{brand} {rng.choice(names.THEMES)} {'ETN' if kind == 'ETN' else 'Trust' if kind == 'ETS' else 'ETF'}"
        exchange = rng.choices(["ARCX", "BATS", "XNAS"], [50, 28, 22])[0]
    length = 3 if kind == "FUND" else 4
    return _Draft(_symbol(rng, name, taken, length), name, kind, exchange, _list_date(rng), leverage)


def _symbol(rng: random.Random, name: str, taken: set[str], length: int) -> str:
    """Letters of the name, its first one first; any letters when those are taken."""
    letters = [letter for letter in name.upper() if "A" <= letter <= "Z"]
    for attempt in range(60):
        size = length if attempt < 20 or length == 4 else 4
        rest = sorted(rng.sample(range(1, min(len(letters), 9 + attempt)), size - 1))
        symbol = letters[0] + "".join(letters[place] for place in rest)
        # A Nasdaq fifth letter, and Z for tests of exchanges, would be taken for something else.
        if symbol not in taken and not symbol.startswith("Z"):
            return _claim(symbol, taken)
    return _claim("".join(rng.choices("ABCDEFGHIJKLMNOPQRSTUVXY", k=4)), taken)


def _claim(symbol: str, taken: set[str]) -> str:
    """``symbol``, its last letter moved on until nobody has it."""
    while symbol in taken:
        last = symbol[-1]
        symbol = symbol[:-1] + ("A" if last in "Z9" else chr(ord(last) + 1))
    taken.add(symbol)
    return symbol
