"""What of a state folder a backup holds, and how it comes back. Calls block: use a thread.

    the catalog (ledger, runs, layouts, filings and news, how far each was read), lists, tape, who was on which
    list, alarms told, the simulated market and its clock; the rest of the lake when asked

What is made again by itself is left out: logs, locks, today's table beside the
tape, staged work. A product may run on the folder meanwhile. It does not know
how a folder is filled whole or not at all (`store/backups.py`).
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from datetime import date, datetime
from pathlib import Path

from tradeul import __version__
from tradeul.assemble.parts import ROLES
from tradeul.assemble.state import LAKE, REAL_DATA, SIMULATED, catalog_file, catalog_url, standing_catalog_url, state_folder
from tradeul.errors import StoreError
from tradeul.ops.start import sole_owner, usable_folder
from tradeul.records.partitions import LedgerRow
from tradeul.settings import Settings
from tradeul.store.backups import FILES, LOCKS, Manifest, check_empty, copied, entry_of, filling, put_back, read_backup, write_backup
from tradeul.store.catalog import Catalog
from tradeul.store.catalog_copy import copy_catalog, form_to_copy, put_catalog
from tradeul.store.databases import is_server

OF_FOLDER = ("lists/*.toml", REAL_DATA)
NO_VENDOR_HAS = "lake/membership/session=*/part.parquet"  # of the lake what cannot be loaded anew
OF_MARKET = ("tape/session=*", "membership/*.log", "alarms.json", "market.json", "clock.json")
OF_LAKE = ("lake/[!.]*/session=*/part.parquet",)


def backup(settings: Settings, folder: Path, now: datetime, *, simulate: bool, lake: bool) -> Manifest:
    """Of the real market, where the folder holds it, else or on demand of the simulated one, into an empty folder; no key is needed.

    Raises:
        StoreError: there is nothing to back up, the folder is not empty, or something could not be read or written.
    """
    if lake and settings.lake_url is not None:
        raise StoreError(
            f"The lake is in {settings.lake_url}, and a backup holds what is in the state folder: leave out --lake, and have the bucket "
            "keep earlier versions, or copied elsewhere."
        )
    simulated = simulate or not (settings.state / REAL_DATA).exists()
    url = standing_catalog_url(settings, simulated=simulated)
    if url is None:
        raise StoreError(f"{state_folder(settings, simulated=simulated)} holds no catalog yet, so there is nothing to back up.")
    form, name = form_to_copy(url), _catalog_name(settings, simulated)
    market = f"{SIMULATED}/" if simulated else ""
    of_lake = () if settings.lake_url is not None else OF_LAKE if lake else (NO_VENDOR_HAS,)
    kept = [*OF_FOLDER, *(market + pattern for pattern in (*OF_MARKET, *of_lake))]

    def make(files: Path) -> Manifest:
        ledger = _ledger(url) if lake else None
        (files / name).parent.mkdir(exist_ok=True)
        copy_catalog(url, files / name)
        entries = {name: entry_of(files / name)} | copied(settings.state, _names(settings.state, kept), files)
        if lake and _ledger(url) != ledger:
            what = "Maintenance loaded history while it was copied"
            raise StoreError(f"{what}: try again when `tradeul status` says that no run is under way.")
        return Manifest(made_at=now, version=__version__, form=form, simulated=simulated, files=entries)

    return write_backup(folder, make)


def restore(settings: Settings, folder: Path) -> Manifest:
    """A backup into the empty state folder of the settings, its catalog into their database.

    Raises:
        FolderInUse: a product runs on it.
        StoreError: it is not empty, the backup is not whole, or something could not be written; then nothing is left of it.
    """
    manifest = read_backup(folder)
    if settings.lake_url is not None and any(f"/{LAKE}/" in f"/{name}" for name in manifest.files):
        raise StoreError(
            f"{folder} holds files of a lake, and TRADEUL_LAKE_URL={settings.lake_url} is set: unset it to restore, and copy the folder "
            f"{LAKE} of the state folder into the bucket then."
        )
    state, url = settings.state, catalog_url(settings, simulated=manifest.simulated)
    if not (state / LOCKS).exists():
        check_empty(state)
    with ExitStack() as stack:
        for role in ROLES:
            stack.enter_context(sole_owner(usable_folder(state), role))
        stack.enter_context(filling(state))
        catalog = _catalog_name(settings, manifest.simulated)
        put_back(folder, manifest, state, but=catalog if is_server(url) else None)
        if is_server(url):
            put_catalog(folder / FILES / catalog, url)
    return manifest


def _catalog_name(settings: Settings, simulated: bool) -> str:
    return str(catalog_file(settings, simulated=simulated).relative_to(settings.state))


def _names(state: Path, patterns: Sequence[str]) -> Iterator[str]:
    for pattern in patterns:
        yield from (str(path.relative_to(state)) for path in sorted(state.glob(pattern)))


def _ledger(url: str) -> dict[tuple[str, date], LedgerRow]:
    with closing(Catalog(url)) as catalog:
        return {(row.dataset, row.session): row for row in catalog.ledger()}
