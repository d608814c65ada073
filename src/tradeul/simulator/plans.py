"""What a key's plan includes, as the vendor sells it: by the key's name. Any other key has everything.

    free-plan        end of day: neither snapshot nor stream nor files, 5 requests a minute
    starter-plan     all of it 15 minutes late, without quotes and without single trades
    developer-plan   all of it 15 minutes late, without quotes
    snapshot-plan    all of it, at once, but no stream
    advanced-plan    all of it, at once

Pure; `server.py` refuses what is not included.
"""

from collections.abc import Collection
from datetime import timedelta

import msgspec

from tradeul.simulator.faults import FILES, STREAM

NOT_ENTITLED = "You are not entitled to this data. Please upgrade your plan at https://massive.com/pricing"
QUOTES = "quotes"  # a channel of the stream
NO_QUOTES = "not authorized to subscribe to Q. channels: your plan doesn't include quotes"
NO_STREAM = "Your plan doesn't include websocket access. Visit https://massive.com/pricing to upgrade."
LATE = timedelta(minutes=15)


class Plan(msgspec.Struct, frozen=True):
    lacks: Collection[str] = ()  # endpoints, as `faults.py` calls them
    delay: timedelta = timedelta(0)
    requests_per_minute: int | None = None
    hides: Collection[str] = ()  # fields of the snapshot's rows


ALL = Plan()
PLANS = {
    "free-plan": Plan(("snapshot", FILES, STREAM), LATE, 5),
    "starter-plan": Plan((QUOTES,), LATE, hides=("lastTrade", "lastQuote")),
    "developer-plan": Plan((QUOTES,), LATE, hides=("lastQuote",)),
    "snapshot-plan": Plan((STREAM,)),
    "advanced-plan": ALL,
}


def plan_of(key: str) -> Plan:
    return PLANS.get(key, ALL)


def may_stream(key: str, *, delayed: bool) -> bool:
    """Whether the key is let in at the stream, or at the delayed one."""
    plan = plan_of(key)
    return STREAM not in plan.lacks and (delayed or not plan.delay)


def signing_key(authorization: str) -> str:
    """The key of ``AWS4-HMAC-SHA256 Credential=KEY/20260309/us-east-1/s3/aws4_request, SignedHeaders=…``."""
    return authorization.partition("Credential=")[2].partition("/")[0]


def access_denied() -> bytes:
    return b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>'
