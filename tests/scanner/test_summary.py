from tradeul.records.breadth import Proxy
from tradeul.scanner.summary import breadth


def test_breadth_counts_stocks_by_their_last_close_and_halts_of_all(make):
    frame = make.frame(
        "10:00",
        A={"price": 11.0},
        B={"price": 9.0, "halted": 1},
        C={"price": 10.0, "halted": 0},
        D={"volume": 0},  # not traded yet
        E={"price": 12.0, "halted": 1},  # a fund
        SPY={"price": 10.1234567},
    )
    held = make.baselines(
        **{name: {"prev_close": 10.0} for name in "ABCD"}, **{name: {"prev_close": 10.0, "kind": "ETF"} for name in ("E", "SPY")}
    )
    found = breadth(make.market(frame, held))
    assert (found.up, found.down, found.unchanged, found.halted) == (1, 1, 1, 2)
    assert found.proxies == (Proxy("SPY", 10.1235, 1.23), Proxy("QQQ", None, None), Proxy("IWM", None, None))
    assert (found.session, found.timestamp) == (make.session, round(make.eastern("10:00").timestamp() * 1000))
