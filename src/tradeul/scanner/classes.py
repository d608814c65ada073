"""What kind of issue a ticker is, as the class switch sees it: a stock, a fund, a leveraged fund, something else.

The vendor's class code decides; where it tells none, the symbol's spelling. It
does not tell leverage: that is read from the fund's name. Pure functions of texts.
"""

import re
from functools import lru_cache

STOCKS = frozenset({"CS", "ADRC", "OS", "GDR", "NYRS"})
FUNDS = frozenset({"ETF", "ETN", "ETV", "ETS"})
# Spellings of what is no common stock, for issues whose class is unknown: BACpM, ACT.WS, ACT.U, ACT.RT, and
# Nasdaq's fifth letter (W Z warrants, U unit, R right, P M N O preferred). Against the exchanges' own directories
# of 7,237 issues (2025-07) it takes no common stock for another; L is left out, because of GOOGL.
NO_STOCK = re.compile(r"^[A-Z]+(p[A-Z]?|r|w)$|\.(WS|WT|W|UN?|RT?|PR)(\.?[A-Z])?$|^[A-Z]{4}[WZURPMNO]$")

# A multiple in so many words: 2x, -1X, 1.25x, 2XShares; "-3  Inverse Leveraged" where a directory lost the sign.
MULTIPLE = re.compile(r"(?<![\w.])(-?\d(?:\.\d+)?)(?:x(?![a-z])|x(?=shares|leveraged)| +(?=(?:inverse +)?leveraged))", re.IGNORECASE)
# Against its index: bear, inverse, short; but not short-term bonds, nor an index of short-term futures.
AGAINST = re.compile(r"\b(bear|inverse)\b|short\b(?![- ]?(term|duration|maturity))", re.IGNORECASE)
# ProShares say it in words, and only theirs mean it: an ultra-short bond fund is another thing.
PROSHARES = re.compile(
    r"\b(?:ProShares\b.*?\b(Ultra ?Pro|Ultra ?Short|Ultra|(?<!/)Short)|(UltraPro))\b(?![- ](?:term|duration|maturity))", re.IGNORECASE
)
WORDS = {"ultrapro": 3.0, "ultrashort": 2.0, "ultra": 2.0, "short": 1.0}
# Their two VIX funds have had other multiples since 2018-02-27.
VIX = {"ultra": 1.5, "short": 0.5}
# Leveraged by what it says, though not how much.
SOMEHOW = re.compile(r"\b(daily|monthly pay)\b.*\b(leveraged|bull|bear)\b|\bleveraged? (etf|etn)", re.IGNORECASE)


@lru_cache(maxsize=32_768)
def leverage_of(kind: str | None, name: str | None) -> str | None:
    """What a fund promises of its index's day, as "3x", "-2x", "-1x"; None: no fund, not leveraged, or its name does not say how much."""
    if kind not in FUNDS or name is None:
        return None
    against = AGAINST.search(name) is not None
    found = MULTIPLE.search(name)
    if found is not None:
        multiple = float(found[1])
    elif (words := PROSHARES.search(name)) is not None:
        word = (words[1] or words[2]).lower().replace(" ", "")
        multiple = (VIX if "vix" in name.lower() else WORDS).get(word, WORDS[word])
    elif re.search(r"\binverse\b", name, re.IGNORECASE):
        multiple = 1.0
    else:
        return None
    signed = -abs(multiple) if against else multiple
    return None if signed in (0.0, 1.0) else f"{signed:g}x"


def is_of_class(symbol: str, kind: str | None, name: str | None, issue_class: str) -> bool:
    """Unknown is stock unless its spelling says otherwise."""
    if issue_class == "all":
        return True
    if issue_class == "stocks":
        return kind in STOCKS or (kind is None and NO_STOCK.search(symbol) is None)
    if kind not in FUNDS:
        return False
    leveraged = leverage_of(kind, name) is not None or SOMEHOW.search(name or "") is not None
    return leveraged is (issue_class == "leveraged")
