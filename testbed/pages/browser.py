"""A Chromium for the page tests: the installed one, or the distribution's package.

``python -m testbed.pages.browser`` prints its path. CI runners include one; elsewhere Debian's package is installed, which
takes a minute. If neither works, an error says what to do: the page tests are never skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from testbed.process import TestbedError

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "chromium-headless-shell")
VARIABLE = "CONCERTMASTER_CHROMIUM"
_LIMIT = 600.0  # seconds for the package manager


def locate() -> Path | None:
    """The browser named by the variable, else the first one on PATH; None if there is none."""
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given)
    return next((Path(found) for name in NAMES if (found := shutil.which(name))), None)


def ensure() -> Path:
    """Path of the browser, which is installed if missing and possible. Raises TestbedError."""
    path = locate()
    if path is not None:
        return path
    apt = shutil.which("apt-get")
    rights = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if apt is not None and (not rights or shutil.which("sudo")):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for arguments in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", "chromium"]):
            subprocess.run([*rights, apt, *arguments], env=environment, timeout=_LIMIT, check=False, stdout=sys.stderr)
        path = locate()
    if path is None:
        raise TestbedError(f"no Chromium: install one (apt-get install chromium), or name one by ${VARIABLE}")
    return path


if __name__ == "__main__":
    print(ensure())
