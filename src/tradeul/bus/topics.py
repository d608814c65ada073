"""Every topic and key of the bus: what it carries, and its one publisher. A new one is a row here.

| name | record | publisher |
| --- | --- | --- |
| feed:status | FeedStatus | live |
| baselines:changed | BaselinesChanged | maintenance |
| mode:changed | ModeChanged | maintenance |
| maintenance:progress | Progress | maintenance |
| maintenance:status:{date}, maintenance:last_run | RunStatus; the date | maintenance |
| trading:new_day, trading:session | NewTradingDay; TradingSession | maintenance |
| lists:changed, lists:current | the definitions of all lists | scanner |
| frames:{list}, scanner:* , scanner:deltas:{n} | ListFrame; encoded messages | scanner |
| lists:watched | VariantsWatched | every gateway |
| explain:ask; answer:{id} | ExplainRequest; a list with one ExplainAnswer, gone after 10 s | whoever asks; scanner |
| lists:preview; answer:{id} | PreviewRequest; a list with one Preview, gone after 10 s | whoever asks; scanner |
| minutes:ask; answer:{id} | MinutesRequest; a list with one SessionMinutes, gone after 10 s | whoever asks; live |
| stream:sec:filings; stream:news | streams of Filing and of Article, trimmed; an entry's number is the catalog's | filings |
| polygon_ws:active_tickers | set of the symbols now on any list; live asks quotes of them | scanner |
| market:breadth | Breadth, of the last frame | scanner |
| baselines:{session} | one zstd Arrow blob (`analytics/baselines.py`) | maintenance |
| baselines:current | the session of the newest blob, moved last; for people | maintenance |
| ticker:universe, metadata:ticker:{symbol} | set of symbols; JSON | maintenance |
| rvol:hist:avg:{symbol} | hash: slot -> mean cumulative volume | maintenance |
| claim:{role} | who writes what the scanner, filings write here (`claim.py`); gone 6 s after that one is | whoever does |

Messages are lost when nobody listens; so each is only a hint that a key, the
lake or the catalog has something new, or is repeated soon. Streams keep their
last entries: who reads on from the number that it knows misses none.
"""

import binascii
from typing import Generic, TypeVar

import msgspec

from tradeul.records.bars import MinutesRequest
from tradeul.records.entitlements import ModeChanged
from tradeul.records.events import BaselinesChanged, FeedStatus, NewTradingDay, Progress, VariantsWatched
from tradeul.records.explanations import ExplainRequest
from tradeul.records.filings import FILINGS_STREAM, NEWS_STREAM, Article, Filing
from tradeul.records.lists import ListDefinition
from tradeul.records.previews import PreviewRequest

Record = TypeVar("Record")
DELTA_CHANNELS = 16


class Topic(Generic[Record]):
    def __init__(self, channel: str, record: type[Record]) -> None:
        self.channel = channel
        self._decoder = msgspec.json.Decoder(record)

    def decode(self, payload: bytes) -> Record:
        return self._decoder.decode(payload)


class Stream(Generic[Record]):
    """A Redis stream of one record a number."""

    def __init__(self, key: str, field: str, record: type[Record]) -> None:
        self.key, self.field = key, field
        self._decoder = msgspec.json.Decoder(record)

    def decode(self, payload: bytes) -> Record:
        return self._decoder.decode(payload)


FEED_STATUS = Topic("feed:status", FeedStatus)
BASELINES_CHANGED = Topic("baselines:changed", BaselinesChanged)
MODE_CHANGED = Topic("mode:changed", ModeChanged)
MAINTENANCE_PROGRESS = Topic("maintenance:progress", Progress)
NEW_DAY = Topic("trading:new_day", NewTradingDay)
LISTS_CHANGED = Topic("lists:changed", tuple[ListDefinition, ...])
VARIANTS_WATCHED = Topic("lists:watched", VariantsWatched)
EXPLAIN = Topic("explain:ask", ExplainRequest)
MINUTES = Topic("minutes:ask", MinutesRequest)
PREVIEW = Topic("lists:preview", PreviewRequest)

STREAM_LENGTH = 20_000  # entries: three busy days of filings
FILINGS = Stream(FILINGS_STREAM, "filing", Filing)
NEWS = Stream(NEWS_STREAM, "news", Article)

LISTS_KEY = "lists:current"
ACTIVE_KEY = "polygon_ws:active_tickers"
BREADTH_KEY = "market:breadth"
TRADING_SESSION_KEY = "trading:session"
UNIVERSE_KEY = "ticker:universe"
POINTER_KEY = "baselines:current"
LAST_RUN_KEY = "maintenance:last_run"


def draft_key(key: str) -> str:
    """Where what will replace ``key`` is made: by its braces in the same slot of a cluster, so that it can be renamed."""
    return f"{{{key}}}:draft"


def claim_key(role: str) -> str:
    return f"claim:{role}"


def frame_key(list_name: str) -> str:
    return f"frames:{list_name}"


def baselines_key(session: str) -> str:
    return f"baselines:{session}"


def answer_key(request_id: str) -> str:
    return f"answer:{request_id}"


def run_status_key(session: str) -> str:
    return f"maintenance:status:{session}"


def delta_channel(list_name: str) -> str:
    """The sharded channel of a list: crc16 (XMODEM, Redis's own) modulo 16."""
    return f"scanner:deltas:{binascii.crc_hqx(list_name.encode(), 0) % DELTA_CHANNELS}"


def metadata_key(symbol: str) -> str:
    return f"metadata:ticker:{symbol}"


def averages_key(symbol: str) -> str:
    return f"rvol:hist:avg:{symbol}"
