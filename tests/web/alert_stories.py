"""Random stories of a list that is watched, and what must be told of them: said once more, from the definition alone.

A story is a rule and what happens second by second: a state of the list is heard, or nothing is (a tick), the connection is
away for a while, another window takes over, a session ends. The page's own code runs the same stories in the browser.
"""

import random

AWAY_SECONDS = 60
SYMBOLS = "ABCDE"


def story(seed):
    chance = random.Random(seed)
    rule = {
        "event": chance.choice(["enter", "leave"]),
        "staySeconds": chance.choice([0, 0, 2, 9]),
        "coolDownSeconds": chance.choice([0, 5, 40]),
        "conditions": chance.choice([[], [{"column": "price", "comparison": ">=", "value": 5}]]),
    }
    members, session, steps, at = {}, 1, [], 0
    for _ in range(150):
        at += 1
        for symbol in SYMBOLS:
            if symbol in members and chance.random() < 0.12:
                del members[symbol]
            elif chance.random() < 0.08:
                members[symbol] = None
        members = {symbol: chance.choice([1, 5, 9, None]) if chance.random() < 0.3 else price for symbol, price in members.items()}
        what = chance.random()
        if what < 0.02:
            session, members = session + 1, {}
        elif what < 0.04:
            at += chance.choice([3, 50, 59, 61, 200])  # nothing is heard: the connection is lost
        elif what < 0.08:
            steps.append({"handover": True})
        if what < 0.02 or chance.random() < 0.6:
            steps.append({"at": at, "session": str(session), "rows": dict(members)})
            if chance.random() < 0.2:
                steps.append(steps[-1])  # a resync, or a snapshot in place of a delta
        else:
            steps.append({"at": at})
    return {"rule": rule, "steps": steps}


def told(story):
    """Second and symbol of every alert: over the stays that were seen, one after the other."""
    rule, fulfils = story["rule"], fulfilling(story["rule"])
    candidates = []
    for stay in stays(story["steps"]):
        if rule["event"] == "leave":
            began, ended, row, late = stay["began"], stay["ended"], stay["last"], stay["left_late"]
            if ended is not None and not late and ended - began >= rule["staySeconds"] and fulfils(row):
                candidates.append((ended, stay["symbol"]))
        elif not stay["late"] and stay["news"]:
            first = next((at for at, row in stay["looks"] if at - stay["began"] >= rule["staySeconds"] and fulfils(row)), None)
            candidates += [] if first is None else [(first, stay["symbol"])]
    alerts, last = [], {}
    for at, symbol in sorted(candidates):
        if symbol not in last or at - last[symbol] >= rule["coolDownSeconds"]:
            last[symbol] = at
            alerts.append([at, symbol])
    return alerts


def fulfilling(rule):
    return lambda row: not rule["conditions"] or (row is not None and row >= 5)


def stays(steps):
    """Each from the state in which it was first seen to that in which it no more was. A row is its price; a new window knows none."""
    found, open_, session, alive, known = [], {}, None, None, set()
    for step in steps:
        if "handover" in step:
            known = set()
            continue
        at = step["at"]
        late = alive is not None and at - alive > AWAY_SECONDS
        if "rows" in step:
            is_first = step["session"] != session
            if is_first:
                open_, session, late = {}, step["session"], False
            for symbol in [each for each in open_ if each not in step["rows"]]:
                stay = open_.pop(symbol)
                stay.update(ended=at, left_late=late, last=stay["last"] if symbol in known else None)
            for symbol, price in step["rows"].items():
                if symbol not in open_:
                    open_[symbol] = {
                        "symbol": symbol,
                        "began": at,
                        "ended": None,
                        "left_late": False,
                        "late": late,
                        "news": not is_first,
                        "looks": [],
                    }
                    found.append(open_[symbol])
                open_[symbol]["last"] = price
            known, alive = set(step["rows"]), at
        elif alive is not None and not late:
            alive = at
        for symbol, stay in open_.items():
            if symbol in known:
                stay["looks"].append((at, stay["last"]))
    return found
