"""Fixtures every tier may use: the test bed's cluster and Prometheus servers. Nothing starts before a test asks."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# A deadline measures the machine, not the property: speed has its own benchmarks.
settings.register_profile("steady", deadline=None)
settings.register_profile("repeatable", deadline=None, derandomize=True)  # CI judges the change, not its luck
settings.load_profile("repeatable" if os.environ.get("CI") else "steady")

pytest_plugins = ["testbed.pytest_plugin"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """One switch renews every golden file; the change is then reviewed like code."""
    parser.addoption("--update-golden", action="store_true", help="write the golden files instead of comparing them")
