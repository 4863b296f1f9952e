"""Runs all tests in tiers, each with a time limit, and prints how long each took.

While the tiers that need no cluster run, the test bed builds beside them. A tier that runs into its limit is killed with
its whole process group, so that a hanging test costs minutes and not the whole run.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
HARD_STOP = 75 * 60.0


@dataclass(frozen=True)
class Tier:
    """A command with a limit in seconds. ``bed``: it needs the test bed's binaries."""

    name: str
    command: tuple[str, ...]
    limit: float
    bed: bool = False


def _pytest(*arguments: str) -> tuple[str, ...]:
    return (str(BIN / "pytest"), "-q", "--color=no", *arguments)


CHECKS = (
    Tier("lint", (str(BIN / "ruff"), "check", "."), 60),
    Tier("format", (str(BIN / "ruff"), "format", "--check", "."), 60),
    Tier(
        "types",
        (
            str(BIN / "mypy"),
            "operator/concertmaster",
            "testbed",
            "benchmarks",
            "charts",
            "tests/tiers.py",
            "tests/support/builders.py",
        ),
        300,
    ),
    Tier("contracts", (str(BIN / "lint-imports"), "--no-cache"), 120),
    Tier("generated", (str(BIN / "concertmaster"), "crds", "--check", "crds"), 60),
    Tier("chart files", (sys.executable, "-m", "charts.sync", "--check"), 60),
)
TIERS = (
    *CHECKS,
    Tier("unit", _pytest("-n", "2", "tests/unit", "tests/property", "tests/golden"), 1800),
    Tier("cluster", _pytest("-n", "2", "--dist", "loadfile", "tests/cluster"), 2700, bed=True),
    Tier("engines", (sys.executable, "-m", "testbed", "netns", "--", *_pytest("tests/engines")), 1200, bed=True),
    Tier("loop", (sys.executable, "-m", "testbed", "netns", "--", *_pytest("tests/loop")), 1500, bed=True),
    Tier("chart", _pytest("-n", "2", "--dist", "loadfile", "tests/chart"), 1800, bed=True),
    Tier("browser", (sys.executable, "-m", "testbed.pages.browser"), 600),
    Tier("web", _pytest("tests/web"), 600),
    Tier("docs", _pytest("tests/docs"), 900, bed=True),
)
BUILD = Tier("test bed", (sys.executable, "-m", "testbed", "build", "all"), 50 * 60)


def _say(text: str) -> None:
    print(text, flush=True)


def _environment() -> dict[str, str]:
    found = dict(os.environ)
    found["PYTHONPATH"] = f"{ROOT / 'operator'}:{ROOT}"
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        found.setdefault(name, "1")
    return found


def _stop(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    except ProcessLookupError:
        pass


def _run(tier: Tier, output: int | None = None) -> tuple[int, float]:
    """Exit status and seconds; 124 when the limit was reached."""
    start = time.monotonic()
    process = subprocess.Popen(tier.command, cwd=ROOT, env=_environment(), start_new_session=True, stdout=output)
    try:
        status = process.wait(tier.limit)
    except subprocess.TimeoutExpired:
        _say(f"tier {tier.name}: still running after {tier.limit:.0f} s, stopped")
        status = 124
    except KeyboardInterrupt:
        _stop(process)
        raise
    if status == 124:
        _stop(process)
    return status, time.monotonic() - start


class Build:
    """The build of the test bed, beside the tiers that do not need it."""

    def __init__(self) -> None:
        self._log = tempfile.NamedTemporaryFile("w+b", suffix=".log", delete=False)  # noqa: SIM115 - closed in wait
        self._start = time.monotonic()
        self._process = subprocess.Popen(
            BUILD.command,
            cwd=ROOT,
            env=_environment(),
            start_new_session=True,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def _tail(self, lines: int = 1) -> str:
        text = Path(self._log.name).read_text(errors="replace").strip().splitlines()
        return "\n".join(text[-lines:])

    def wait(self) -> bool:
        """True when every component is there."""
        while self._process.poll() is None:
            if time.monotonic() - self._start > BUILD.limit:
                _stop(self._process)
                break
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                _say(f"  building the test bed: {self._tail()}")
        self._log.close()
        good = self._process.returncode == 0
        _say(f"test bed: {'ready' if good else 'FAILED'} after {time.monotonic() - self._start:.0f} s")
        if not good:
            _say(self._tail(30))
        Path(self._log.name).unlink()
        return good

    def stop(self) -> None:
        """End the build when the run ends early."""
        if self._process.poll() is None:
            _stop(self._process)


def _skips_allowed() -> set[str]:
    """Reasons a test may be skipped for; an unlisted one fails the run."""
    return set((ROOT / "tests" / "allowed-skips.txt").read_text().split("\n")) - {""}


def _check_skips(output: Path) -> list[str]:
    found = re.findall(r"^SKIPPED \[\d+\] \S+ (.*)$", output.read_text(errors="replace"), re.MULTILINE)
    return [reason for reason in found if reason not in _skips_allowed()]


def _once(tier: Tier) -> tuple[int, list[str]]:
    """Exit status, and the reasons of skips that are not allowed."""
    with tempfile.NamedTemporaryFile("w+b", suffix=".log") as copy:
        tee = subprocess.Popen(["tee", copy.name], stdin=subprocess.PIPE)
        assert tee.stdin is not None
        status, _ = _run(tier, tee.stdin.fileno())
        tee.stdin.close()
        tee.wait()
        return status, _check_skips(Path(copy.name))


def _tier(tier: Tier) -> bool:
    """Run a tier. Where real processes run, failed tests get a second try, reported aloud: a test that needs one waits too
    little for a busy machine, which is a defect to be fixed but says nothing of the code under test."""
    _say(f"=== {tier.name} (limit {tier.limit:.0f} s)")
    begin = time.monotonic()
    status, skips = _once(tier)
    if status == 1 and tier.bed and not skips:
        _say(f"=== {tier.name}: trying the failed tests once more; one that passes now is UNSTEADY and must be mended")
        status, skips = _once(replace(tier, command=(*tier.command, "--last-failed", "--last-failed-no-failures=none")))
    for reason in skips:
        _say(f"tier {tier.name}: skipped for a reason that is not allowed: {reason}")
    good = status == 0 and not skips
    _say(f"=== {tier.name}: {'passed' if good else f'FAILED (exit {status})'} in {time.monotonic() - begin:.0f} s")
    return good


def main(arguments: list[str]) -> int:
    """Run the named tiers, or all."""
    chosen = [t for t in TIERS if not arguments or t.name in arguments]
    if unknown := set(arguments) - {t.name for t in TIERS}:
        _say(f"unknown tier {', '.join(sorted(unknown))}; there are {', '.join(t.name for t in TIERS)}")
        return 2
    begin, bad = time.monotonic(), []
    build = Build() if any(t.bed for t in chosen) else None
    try:
        for tier in chosen:
            if tier.bed and build is not None:
                ready = build.wait()
                build = None
                if not ready:
                    bad.append("test bed")
                    break
            if time.monotonic() - begin > HARD_STOP:
                _say("the hard stop was reached")
                bad.append(tier.name)
                break
            if not _tier(tier):
                bad.append(tier.name)
    finally:
        if build is not None:
            build.stop()
    _say(f"{'FAILED: ' + ', '.join(bad) if bad else 'all tiers passed'} in {time.monotonic() - begin:.0f} s")
    return 1 if bad else 0


def _interrupted(number: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupted)
    sys.exit(main(sys.argv[1:]))
