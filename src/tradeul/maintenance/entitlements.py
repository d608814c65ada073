"""What follows from a key's entitlements: the mode, what each missing one costs, what the first load takes. Pure.

    probe (start, daily, on a 403) -> Entitlements -> mode, costs, windows
    live's stream is refused       ->      "        (without it live polls the snapshot)

What is not known counts as had: nothing is taken away on a guess. It asks nobody.
"""

from math import ceil

import msgspec

from tradeul.maintenance.datasets import Windows
from tradeul.records.entitlements import Entitlements, Mode

TICKERS = 12_400  # the whole market
FREE_REQUESTS_PER_MINUTE = 5
LONGEST_SLOT_LOAD_MINUTES = 240  # one request a ticker: as long as this is, it can be done between two sessions


def mode_of(had: Entitlements) -> Mode:
    """The mode of a real key."""
    if had.snapshot is False:
        return Mode.END_OF_DAY
    return Mode.DELAYED if had.real_time is False else Mode.LIVE


def is_free_plan(had: Entitlements) -> bool:
    """The plan that has days only, at 5 requests a minute: the others have snapshots."""
    return had.snapshot is False


def requests_per_minute(had: Entitlements, setting: int, *, chosen: bool) -> int:
    """What the limiter should keep to; ``chosen``: a person set the setting, who knows better."""
    return FREE_REQUESTS_PER_MINUTE if is_free_plan(had) and not chosen else setting


def slots_can_be_had(had: Entitlements, per_minute: int) -> bool:
    """From one file a session, or ticker by ticker in reasonable time."""
    if had.files is not False and not is_free_plan(had):
        return True
    return had.minutes is not False and TICKERS / per_minute <= LONGEST_SLOT_LOAD_MINUTES


def entitled_windows(had: Entitlements, windows: Windows, per_minute: int) -> Windows:
    """The windows without what cannot be had: ``slot_sessions`` 0 means no slots at all."""
    sessions = windows.slot_sessions if slots_can_be_had(had, per_minute) else 0
    minutes = 0 if had.files is False else windows.minute_sessions
    return msgspec.structs.replace(windows, slot_sessions=sessions, minute_sessions=minutes, end_of_day=mode_of(had) is Mode.END_OF_DAY)


def missing(had: Entitlements, windows: Windows, per_minute: int) -> tuple[str, ...]:
    """Each missing entitlement, with its cost in one sentence."""
    mode, slots = mode_of(had), slots_can_be_had(had, per_minute)
    said = []
    if mode is Mode.END_OF_DAY:
        said.append("No snapshot and no stream: no live prices, the numbers are those of past closes.")
    elif had.stream is False:
        said.append("No stream: prices are asked every few seconds, windows are right to the minute, and halts are not known.")
    if mode is Mode.DELAYED:
        said.append("No real-time data: everything is 15 minutes late, and halts are not known.")
    if not slots:
        hours = ceil(TICKERS / per_minute / 60)
        why = f"{TICKERS:,} single requests would take {hours} hours" if had.minutes is not False else "there are no minute bars either"
        said.append(f"No flat files, and {why}: volume_slots is not entitled, relative volume stays empty.")
    elif had.files is False:
        said.append(
            f"No flat files: slots are loaded by {TICKERS:,} requests, one a ticker, instead of one a session (TRADEUL_VENDOR_FILES_KEY)."
        )
    if had.files is False and windows.minute_sessions:
        said.append("No flat files: no minute bars are kept (TRADEUL_KEEP_MINUTE_BARS).")
    if had.minutes is False:
        said.append("No minute bars: what a start inside a session missed cannot be made up for.")
    if had.free_float is False:
        said.append("No free float: free_float and float_rotation stay empty.")
    if had.short_interest is False:
        said.append("No short interest: short_pct_float stays empty.")
    if is_free_plan(had) or had.too_many_requests:
        said.append(_pace(windows, per_minute))
    return tuple(said)


def _pace(windows: Windows, per_minute: int) -> str:
    if per_minute > FREE_REQUESTS_PER_MINUTE:
        return f"The vendor allows fewer requests than {per_minute:,} a minute: set TRADEUL_REQUESTS_PER_MINUTE=5 for the free plan."
    minutes = ceil(windows.daily_sessions / per_minute)
    return (
        f"The free plan's {per_minute} requests a minute: the first load of {windows.daily_sessions} sessions takes {minutes} minutes; "
        "TRADEUL_REQUESTS_PER_MINUTE says if yours has more."
    )
