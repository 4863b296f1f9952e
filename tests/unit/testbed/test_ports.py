"""Ports for the servers of the test bed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from testbed import ports
from testbed.ports import free_port
from testbed.process import TestbedError

GIVEN = "from testbed.ports import free_port; print(*[free_port() for _ in range(250)]); input()"


def test_free_ports_differ_and_lie_below_the_range_of_outgoing_connections() -> None:
    given = [free_port() for _ in range(50)]
    assert len(set(given)) == 50
    assert max(given) < 32768


def test_no_two_processes_are_given_the_same_port(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Not even before anything listens on it: five would share some of 250 random ones of 12,000 each."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    pipe = subprocess.PIPE
    others = [subprocess.Popen([sys.executable, "-c", GIVEN], stdin=pipe, stdout=pipe, text=True) for _ in range(5)]
    lines = [other.stdout.readline() for other in others if other.stdout is not None]
    for other in others:
        other.communicate("\n", timeout=30)
    given = [port for line in lines for port in line.split()]
    assert len(given) == len(set(given)) == 1250


def test_without_a_block_left_it_says_where_the_locks_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(ports, "_PORTS", range(20000, 20400))
    monkeypatch.setattr(ports, "_left", [])
    monkeypatch.setattr(ports, "_locks", [])
    assert 20000 <= free_port() < 20400
    ports._left.clear()
    with pytest.raises(TestbedError, match=r"every block of ports between 20000 and 20400 .*locks in"):
        free_port()
