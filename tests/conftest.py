"""What all tests share: the folder of real data, servers of PostgreSQL and Redis, a cluster; in CI a skipped test is a failure."""

import os
from pathlib import Path

import psycopg
import pytest
import structlog
from hypothesis import settings

from tests.postgres import binaries, running_postgres
from tests.redis_server import running_redis
from tests.s3_server import running_s3
from tests.valkey_cluster import running_cluster

# A deadline is a timing assertion: on a busy machine it fails what is right.
settings.register_profile("tradeul", deadline=None)
settings.load_profile("tradeul")

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"

# Of minutes each: begun last, they would keep one core while the others rest.
LONGEST = ("test_soak.py", "test_product.py", "test_readmes.py", "test_new_day.py")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(autouse=True)
def logging_stays_as_it_was():
    """A test that starts the product configures the logs of its process; the next test's must still be heard."""
    before = structlog.get_config()
    yield
    if structlog.get_config() != before:
        structlog.configure(**before)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the folder of real data (../shared/data) is absent")
    return SHARED


@pytest.fixture(scope="session")
def postgres():
    """One server for all tests of this process; each takes a database of its own."""
    if binaries() is None:
        pytest.skip("PostgreSQL is not installed")
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def cluster():
    """Of three masters, for all tests of this process: who takes it empties it first."""
    with running_cluster() as running:
        yield running


@pytest.fixture(scope="session")
def server():
    """Redis with a password, likewise."""
    with running_redis() as running:
        yield running


@pytest.fixture(scope="session")
def s3():
    """One S3-compatible server for all tests of this process; each takes a place of its own in its bucket."""
    with running_s3() as server:
        yield server


TIMESCALE = os.environ.get("TRADEUL_TEST_TIMESCALE_URL")


@pytest.fixture(params=["postgresql", *(["timescaledb"] if TIMESCALE else [])])
def mirror_url(request):
    """An empty database; on TimescaleDB too, where the variable names a server on which databases may be made."""
    if request.param == "postgresql":
        yield request.getfixturevalue("postgres").new_database()
        return
    name = f"tradeul_test_{os.getpid()}"
    head, _, query = TIMESCALE.partition("?")
    with psycopg.connect(TIMESCALE, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            url = f"{head.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")
            with psycopg.connect(url, autocommit=True) as inside:
                inside.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
            yield url
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport():
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("TRADEUL_TEST_NO_SKIPS"):
        report.outcome = "failed"
