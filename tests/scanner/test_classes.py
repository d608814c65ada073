import csv
import gzip

import pytest

from tradeul.scanner.classes import is_of_class, leverage_of

STOCK, ETF, LEVERAGED, OTHER = "stocks", "etf", "leveraged", None


@pytest.mark.parametrize(
    ("symbol", "kind", "name", "want"),
    [
        *(("ABC", kind, None, STOCK) for kind in ("CS", "ADRC", "OS", "GDR", "NYRS")),
        *(("ABC", kind, None, OTHER) for kind in ("PFD", "WARRANT", "UNIT", "RIGHT", "FUND", "SP", "ADRW", "BOND")),
        *((symbol, None, None, STOCK) for symbol in ("AAPL", "GOOGL", "BRK.B", "BF.A", "F", "LAZR", "PUMP", "SNOW", "MOG.A")),
        *(
            (symbol, None, None, OTHER)
            for symbol in ("BACpM", "GSp", "ACT.WS", "ACT.WS.A", "AAM.U", "AAM.W", "XYZ.RT", "AACBR", "PSNYW", "CDZIP", "AACBU")
        ),
        *((symbol, "CS", None, STOCK) for symbol in ("AACBR", "FNKOW")),  # a known class wins over the spelling
        ("SPY", "ETF", "SPDR S&P 500 ETF Trust", ETF),
        ("VUSB", "ETF", "Vanguard Ultra-Short Bond ETF", ETF),
        ("XXX", "ETV", None, ETF),
        ("TQQQ", "ETF", "ProShares UltraPro QQQ", LEVERAGED),
        ("SH", "ETF", "ProShares Short S&P500 -1x Shares", LEVERAGED),
        ("SOXL", "ETF", "Direxion Daily Semiconductor Bull 3X Shares", LEVERAGED),
        ("SH", "ETF", "ProShares Short S&P500", LEVERAGED),
        ("UYLD", "ETF", "Angel Oak UltraShort Income ETF", ETF),
        ("UJUN", "ETF", "Innovator U.S. Equity Ultra Buffer ETF - June", ETF),
        ("MSOX", "ETF", "AdvisorShares MSOS Daily Leveraged ETF", LEVERAGED),
        ("SQ3X", "CS", "Square 3x Inc.", STOCK),
    ],
)
def test_the_class_of_an_issue(symbol, kind, name, want):
    assert [found for found in ("stocks", "etf", "leveraged") if is_of_class(symbol, kind, name, found)] == ([] if want is None else [want])
    assert is_of_class(symbol, kind, name, "all")


# Names as the exchanges' directories have them (2025-07).
NAMES = {
    "3x": [
        "ProShares UltraPro QQQ",
        "UltraPro MidCap400",
        "Direxion Daily FTSE China Bull 3x Shares",
        "Bank Of Montreal MicroSectors  U.S. Big Banks 3  Leveraged ETNs due February 17, 2045",
    ],
    "-3x": [
        "ProShares UltraPro Short QQQ",
        "UltraPro Short Dow30",
        "ProShares UltraPro Short 20 Year Treasury",
        "Direxion Daily Semiconductor Bear 3X Shares",
        "Bank Of Montreal MicroSectors  U.S. Big Oil -3  Inverse Leveraged ETNs due February 17, 2045",
    ],
    "2x": [
        "ProShares Ultra Top QQQ",
        "ProShares Trust ProShares Ultra Bitcoin ETF",
        "ProShares Ultra 20+ Year Treasury",
        "GraniteShares 2x Long AAPL Daily ETF",
        "Direxion Daily Gold Miners Index Bull 2XShares",
        "Defiance Daily Target 2X Long AVGO ETF",
        "ETRACS Monthly Pay 2xLeveraged US High Dividend Low Volatility ETN Series B due September 30, 2044",
    ],
    "-2x": [
        "ProShares UltraShort Nasdaq Biotechnology",
        "ProShares Ultrashort FTSE China 50",
        "ProShares UltraShort Lehman 7-10 Year Treasury",
        "GraniteShares 2x Short COIN Daily ETF",
    ],
    "-1x": [
        "ProShares Short S&P500",
        "ProShares Short 7 10 Year Treasury",
        "Direxion Daily AAPL Bear 1X Shares",
        "J P Morgan Chase & Co Inverse VIX  Short-Term Futures ETNs due March 22, 2045",
    ],
    "1.5x": ["ProShares Trust Ultra VIX Short Term Futures ETF"],
    "-0.5x": ["ProShares Short VIX Short Term Futures ETF"],
    None: [
        "SPDR S&P 500 ETF Trust",
        "Vanguard Ultra-Short Treasury ETF",
        "Nuveen Ultra Short Income ETF",
        "Angel Oak UltraShort Income ETF",
        "F/m Ultrashort Treasury Inflation-Protected Security (TIPS) ETF",
        "Innovator U.S. Equity Ultra Buffer ETF - June",
        "Invesco Exchange-Traded Fund Trust II Invesco S&P Ultra Dividend Revenue ETF",
        "ProShares Trust VIX Short-Term Futures ETF",
        "ProShares Long Online/Short Stores ETF",
        "First Trust Long/Short Equity",
        "Global X Funds Global X Short-Term Treasury Ladder ETF",
        "Tidal Trust II YieldMax Short TSLA Option Income Strategy ETF",
        "Elevation Series Trust TrueShares Quarterly Bear Hedge ETF",
        "AdvisorShares MSOS Daily Leveraged ETF",
    ],
}


@pytest.mark.parametrize(("name", "want"), [(name, want) for want, names in NAMES.items() for name in names])
def test_a_funds_leverage_is_what_its_name_says(name, want):
    assert leverage_of("ETF", name) == want


def test_only_funds_are_leveraged():
    assert leverage_of("CS", "Square 3x Inc.") is None
    assert leverage_of(None, "ProShares UltraPro QQQ") is None
    assert leverage_of("ETF", None) is None


def listed_funds(shared_data):
    for name, symbol, flag in (("nasdaqlisted", "Symbol", "ETF"), ("otherlisted", "ACT Symbol", "ETF")):
        with gzip.open(shared_data / f"universe/{name}.txt.gz", "rt") as file:
            for row in csv.DictReader(file, delimiter="|"):
                if row[flag] == "Y":
                    yield row[symbol], row["Security Name"]


def test_of_all_listed_funds_those_with_a_multiple_in_their_name_have_it_and_bond_funds_have_none(shared_data):
    funds = dict(listed_funds(shared_data))
    found = {symbol: leverage for symbol, name in funds.items() if (leverage := leverage_of("ETF", name))}
    assert len(funds) > 4_000
    assert len(found) == 378
    known = {"TQQQ": "3x", "SQQQ": "-3x", "SOXL": "3x", "SOXS": "-3x", "SSO": "2x", "SDS": "-2x", "SH": "-1x", "NVDL": "2x", "TSLQ": "-2x"}
    assert {symbol: found.get(symbol) for symbol in known} == known
    assert not [
        symbol for symbol, name in funds.items() if symbol in found and ("Bond ETF" in name or "Buffer" in name or "Income" in name)
    ]
    assert {float(leverage.removesuffix("x")) for leverage in found.values()} <= {-3, -2, -1.5, -1, -0.5, 1.25, 1.5, 1.75, 2, 3, 4}
