"""What all tests share: the folder of real data; in CI a skipped test is a failure."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A deadline is a timing assertion: on a busy machine it fails what is right.
settings.register_profile("tradeul", deadline=None)
settings.load_profile("tradeul")

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the folder of real data (../shared/data) is absent")
    return SHARED


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport():
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("TRADEUL_TEST_NO_SKIPS"):
        report.outcome = "failed"
