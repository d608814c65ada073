"""News that explains why an issue is in play: one headline for each, before or early in its move. No feed, no HTTP."""

from datetime import timedelta

import numpy as np

from tradeul.market_calendar import SessionHours
from tradeul.simulator.daily import Moves
from tradeul.simulator.hashing import word
from tradeul.simulator.source import News
from tradeul.simulator.universe import Universe

_NEWS = 41  # stream of random words
_UP = [
    "{name} reports quarterly results above expectations and raises its outlook",
    "{name} announces positive topline data from its pivotal study",
    "{name} wins a multi-year contract",
    "{name} enters into a definitive agreement to be acquired",
    "{name} announces a strategic partnership",
    "{name} receives approval for its lead product",
]
_DOWN = [
    "{name} prices an underwritten public offering",
    "{name} lowers its full-year guidance",
    "{name} reports quarterly results below expectations",
    "{name} discontinues a late-stage study",
    "{name} announces the departure of its chief financial officer",
]


def headlines(seed: int, universe: Universe, hours: SessionHours, moves: Moves) -> list[News]:
    """The session's, oldest first. ``moves``: of this one session and the whole universe."""
    news = []
    for number in np.flatnonzero(moves.in_play[0] & universe.stock):
        drawn = word(seed, _NEWS, hours.session.toordinal(), int(number))
        move = moves.gap[0, number] + moves.day[0, number] * 0.3
        choices = _UP if move > 0 else _DOWN
        title = choices[drawn % len(choices)].format(name=universe.issues[number].name.removesuffix(" Common Stock"))
        gapped = abs(moves.gap[0, number]) > 0.03
        # A gap was caused before the opening; a runner's news comes in the morning.
        seconds = (drawn >> 24) % (4 * 3600) if gapped else 19_800 + (drawn >> 24) % 7200
        published_at = hours.pre_open_at + timedelta(seconds=seconds + 1800 if gapped else seconds)
        news.append(News(int(number), published_at, title, f"{title}. This text belongs to a simulated market."))
    return sorted(news, key=lambda item: (item.published_at, item.number))
