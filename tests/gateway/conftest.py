"""The fake scanner as a fixture: test modules do not import each other under pytest's importlib mode."""

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def scanner():
    spec = importlib.util.spec_from_file_location("fake_scanner", Path(__file__).parent / "fake_scanner.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
