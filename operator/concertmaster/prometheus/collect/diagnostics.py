"""What a check of ``concertmaster doctor`` found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class DiagnosticStatus(StrEnum):
    """The result of a check. FAIL: recommendations are impossible or wrong; WARN: some figures stay unknown."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One check: its subject, its result, and what to do when it did not pass."""

    name: str
    mark: DiagnosticStatus
    result: str
    fix: str = ""


def ok(name: str, result: str) -> Diagnostic:
    """A check that passed."""
    return Diagnostic(name, DiagnosticStatus.OK, result)


def warn(name: str, result: str, fix: str = "") -> Diagnostic:
    """A check after which some figures stay unknown."""
    return Diagnostic(name, DiagnosticStatus.WARN, result, fix)


def fail(name: str, result: str, fix: str = "") -> Diagnostic:
    """A check after which recommendations are impossible or wrong."""
    return Diagnostic(name, DiagnosticStatus.FAIL, result, fix)
