"""What all tests share: the folder of real data, a PostgreSQL server; in CI a skipped test is a failure."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.postgres import binaries, running_postgres

# A deadline is a timing assertion: on a busy machine it fails what is right.
settings.register_profile("tradeul", deadline=None)
settings.load_profile("tradeul")

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"


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


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport():
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("TRADEUL_TEST_NO_SKIPS"):
        report.outcome = "failed"
