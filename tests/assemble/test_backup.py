"""A backup of a running product becomes a state folder on which another product goes on."""

import hashlib
from contextlib import closing
from datetime import UTC, datetime
from itertools import product as pairs

import polars as pl
import pytest

from tests.product import eventually, running
from tests.store.test_catalog import ROW
from tradeul.assemble.backup import backup, restore
from tradeul.assemble.parts import ROLES
from tradeul.assemble.state import claimed_state
from tradeul.errors import FolderInUse, StoreError
from tradeul.ops.start import sole_owner
from tradeul.records.partitions import LedgerRow, State
from tradeul.settings import Settings
from tradeul.store.backups import FILES, LOCKS, UNFINISHED, copied, read_backup
from tradeul.store.catalog import Catalog
from tradeul.store.databases import in_schema
from tradeul.store.lake import Lake
from tradeul.store.layouts import LayoutStore

NOW = datetime(2026, 3, 9, 21, tzinfo=UTC)
SMALL = {"simulator_tickers": 100, "daily_sessions": 21, "slot_sessions": 5, "rvol_sessions": 5}
LIST = '[lists.cheap]\ntitle = "Cheap"\nwhere = "price < 1e6"\norder = [["price", "asc"]]\ncolumns = ["price"]\n'
DIRECTIONS = list(pairs(("sqlite", "postgresql"), repeat=2))


def sums(folder):
    """By path, of all but the locks."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    found = {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    return {name: each for name, each in found.items() if not name.startswith(LOCKS)}


@pytest.fixture
def database(postgres):
    """The settings of an empty one of this kind."""
    return lambda kind: {} if kind == "sqlite" else {"database_url": postgres.new_database()}


# Products as processes; the commands are typed by `test_readmes.py`.


def moved(tmp_path, first, second, loaded, *, lake=False):
    """A backup while the one runs, restored for the other: once its lists stand its runs and tasks, and the backup."""
    state, folder, back = tmp_path / "state", tmp_path / "backup", tmp_path / "back"
    (state / "lists").mkdir(parents=True)
    (state / "lists" / "cheap.toml").write_text(LIST)
    with running(state, **SMALL, **first) as product:
        eventually(lambda: product.rows("cheap") and loaded(product), 300)
        backup(Settings(state=state, **first), folder, NOW, simulate=False, lake=lake)
        with pytest.raises(FolderInUse, match="runs on"):
            restore(Settings(state=state, **first), folder)
    restore(Settings(state=back, **second), folder)
    with running(back, **SMALL, **second) as product:
        eventually(lambda: product.rows("cheap"))
        said = product.get("api/maintenance/runs"), product.events("task_completed")
    return said, read_backup(folder)


def complete(product):
    return any(event["success"] for event in product.events("maintenance_cycle_finished"))


def test_a_product_goes_on_where_the_backup_was_taken(tmp_path, database):
    _, manifest = moved(tmp_path, database("sqlite"), database("postgresql"), lambda _: True)
    assert {"lists/cheap.toml", "simulated/catalog.db", "simulated/clock.json"} <= set(manifest.files)
    assert any(name.startswith("simulated/tape/") for name in manifest.files)


@pytest.mark.long
@pytest.mark.parametrize(("first", "second"), DIRECTIONS)
def test_with_the_lake_nothing_is_loaded_again(tmp_path, database, first, second):
    (runs, tasks), manifest = moved(tmp_path, database(first), database(second), complete, lake=True)
    assert runs and any("/lake/" in name for name in manifest.files)
    assert {task["task"] for task in tasks} <= {"redis_sync", "timescale_mirror"}


# Files and rows.


@pytest.fixture
def filled(tmp_path):
    """Fills a state folder of the real market with something of each kind."""

    def fill(**settings):
        ours = Settings(state=tmp_path / "state", **settings)
        lake = Lake(ours.state / "lake", "0.1", simulated=False)
        for name in ("ohlc_daily", "membership"):
            lake.write(name, ROW.session, pl.DataFrame({"symbol": ["A"]}), "test")
        things = {"lists/mine.toml": LIST, "tape/session=2026-03-09.tape": "t", "membership/2026-03-09.log": "m", "alarms.json": "{}"}
        left_out = {"tape/checkpoints/session=2026-03-09.1": "c", "logs/tradeul.jsonl": "l", "lake/.staging/ohlc_daily/r/b.parquet": "s"}
        for name, content in (things | left_out | {"vendor-data": ""}).items():
            (ours.state / name).parent.mkdir(parents=True, exist_ok=True)
            (ours.state / name).write_text(content)
        with closing(Catalog(ours.database_url or f"sqlite:///{ours.state / 'catalog.db'}")) as catalog:
            catalog.note([ROW])
            LayoutStore(catalog).put("mine", b"{}")
        return ours, {*things, "vendor-data", "catalog.db", f"lake/membership/session={ROW.session}/part.parquet"}

    return fill


@pytest.mark.parametrize(("first", "second"), DIRECTIONS)
def test_what_cannot_be_made_again_comes_back_with_equal_checksums(filled, tmp_path, database, first, second):
    ours, kept = filled(**database(first))
    before, folder = sums(ours.state), tmp_path / "backup"
    manifest = backup(ours, folder, NOW, simulate=False, lake=False)
    assert set(manifest.files) == kept
    assert sums(ours.state) == before
    theirs = Settings(state=tmp_path / "back", **database(second))
    restore(theirs, folder)
    in_folder = kept - ({"catalog.db"} if theirs.database_url else set())
    assert sums(theirs.state) == {name: manifest.files[name].sha256 for name in in_folder}
    with closing(Catalog(theirs.database_url or f"sqlite:///{theirs.state / 'catalog.db'}")) as catalog:
        assert (catalog.ledger(), LayoutStore(catalog).get("mine")) == ([ROW], b"{}")


def test_the_lake_comes_too_when_asked(filled, tmp_path):
    ours, kept = filled()
    manifest = backup(ours, tmp_path / "backup", NOW, simulate=False, lake=True)
    assert set(manifest.files) == kept | {f"lake/ohlc_daily/session={ROW.session}/part.parquet"}


def test_a_lake_in_a_bucket_is_no_part_of_a_backup_and_neither_way_is_taken_for_it(filled, tmp_path):
    """Without a bucket that answers: none is asked."""
    ours, kept = filled()
    bucket = {"lake_url": "s3://bucket/lake", "lake_key": "k", "lake_secret": "s", "lake_endpoint": "http://127.0.0.1:1"}
    in_bucket = Settings(state=ours.state, **bucket)
    with pytest.raises(
        StoreError, match="The lake is in s3://bucket/lake, and a backup holds what is in the state folder: leave out --lake"
    ):
        backup(in_bucket, tmp_path / "backup", NOW, simulate=False, lake=True)
    assert not (tmp_path / "backup").exists()
    backup(ours, tmp_path / "with", NOW, simulate=False, lake=False)
    with pytest.raises(StoreError, match="TRADEUL_LAKE_URL=s3://bucket/lake is set: unset it to restore, and copy the folder lake"):
        restore(Settings(state=tmp_path / "back", **bucket), tmp_path / "with")
    assert not (tmp_path / "back").exists()
    manifest = backup(in_bucket, tmp_path / "backup", NOW, simulate=False, lake=False)
    assert set(manifest.files) == {name for name in kept if not name.startswith("lake/")}
    restore(Settings(state=tmp_path / "back", **bucket), tmp_path / "backup")
    assert set(sums(tmp_path / "back")) == set(manifest.files)


def test_a_lake_that_maintenance_loads_meanwhile_makes_no_backup(filled, tmp_path, monkeypatch):
    ours, _ = filled()

    def note_and_copy(*arguments):
        with closing(Catalog(f"sqlite:///{ours.state / 'catalog.db'}")) as catalog:
            catalog.note([LedgerRow(dataset=ROW.dataset, session=ROW.session, state=State.COMPLETED)])
        return copied(*arguments)

    monkeypatch.setattr("tradeul.assemble.backup.copied", note_and_copy)
    with pytest.raises(StoreError, match="Maintenance loaded history while it was copied: try again when `tradeul status`"):
        backup(ours, tmp_path / "backup", NOW, simulate=False, lake=True)
    assert list((tmp_path / "backup").iterdir()) == []


def test_a_folder_in_use_or_not_empty_is_left_as_it_is(filled, tmp_path):
    ours, _ = filled()
    backup(ours, tmp_path / "backup", NOW, simulate=False, lake=False)
    before = sums(ours.state)
    with pytest.raises(StoreError, match="is not empty, and nothing is written over"):
        restore(ours, tmp_path / "backup")
    for role in ROLES:
        back = tmp_path / f"held by {role}"
        back.mkdir()
        with sole_owner(back, role), pytest.raises(FolderInUse, match=f"runs on {back}"):
            restore(Settings(state=back), tmp_path / "backup")
        assert sums(back) == {}
    assert sums(ours.state) == before and not (ours.state / LOCKS).exists()


def test_a_damaged_backup_or_a_database_in_use_leaves_nothing(filled, tmp_path, database):
    ours, _ = filled()
    folder, back = tmp_path / "backup", tmp_path / "back"
    backup(ours, folder, NOW, simulate=False, lake=False)
    settings = Settings(state=back, **database("postgresql"))
    with closing(Catalog(settings.database_url)) as catalog:
        catalog.next_epoch()
        with pytest.raises(StoreError, match="holds a catalog already: name a database that is empty"):
            restore(settings, folder)
        assert (sums(back), catalog.ledger(), catalog.next_epoch()) == ({}, [], 2)
    (folder / FILES / "alarms.json").write_text("[]")
    with pytest.raises(StoreError, match=r"is damaged: alarms\.json"):
        restore(Settings(state=tmp_path / "other"), folder)
    assert not (tmp_path / "other").exists()


def test_an_interrupted_restore_starts_no_product_and_is_done_again(filled, tmp_path):
    ours, kept = filled()
    backup(ours, tmp_path / "backup", NOW, simulate=False, lake=False)
    settings = Settings(state=tmp_path / "back")
    (settings.state / "lists").mkdir(parents=True)
    (settings.state / "lists" / "half.toml").write_text("")
    (settings.state / UNFINISHED).touch()
    with pytest.raises(StoreError, match="was interrupted: do it again"), claimed_state(settings, ROLES, (), simulated=True):
        pass
    restore(settings, tmp_path / "backup")
    assert set(sums(settings.state)) == kept


def test_a_simulated_market_is_kept_apart_from_the_real_one(postgres, tmp_path):
    url = postgres.new_database()
    with closing(Catalog(in_schema(url, "simulated"))) as simulated, closing(Catalog(url)) as real:
        simulated.note([ROW])
        real.next_epoch()
    backup(Settings(state=tmp_path, database_url=url), tmp_path / "backup", NOW, simulate=False, lake=False)
    theirs = Settings(state=tmp_path / "back", database_url=postgres.new_database())
    restore(theirs, tmp_path / "backup")
    with closing(Catalog(in_schema(theirs.database_url, "simulated"))) as catalog:
        assert catalog.ledger() == [ROW]


def test_a_folder_without_a_catalog_is_nothing_to_back_up(tmp_path):
    with pytest.raises(StoreError, match="holds no catalog yet, so there is nothing to back up"):
        backup(Settings(state=tmp_path), tmp_path / "backup", NOW, simulate=False, lake=False)
    assert not (tmp_path / "backup").exists()
