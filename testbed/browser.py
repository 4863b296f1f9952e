"""A Chromium for the tests of the pages: found on the machine, or installed from the distribution's packages.

``python -m testbed.browser`` prints its path. CI's machines bring one; elsewhere Debian's package is installed, which takes
a minute. A machine that has neither fails with what to do: the tests of the pages are never skipped.
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
    """The browser named by the variable, else the first on the PATH."""
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given)
    return next((Path(found) for name in NAMES if (found := shutil.which(name))), None)


def ensure() -> Path:
    """The browser, installed where there is none and that is possible. Raises TestbedError."""
    found = locate()
    if found is not None:
        return found
    apt = shutil.which("apt-get")
    rights = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if apt is not None and (not rights or shutil.which("sudo")):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for arguments in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", "chromium"]):
            subprocess.run([*rights, apt, *arguments], env=environment, timeout=_LIMIT, check=False, stdout=sys.stderr)
        found = locate()
    if found is None:
        raise TestbedError(f"no Chromium: install one (apt-get install chromium), or name one by ${VARIABLE}")
    return found


if __name__ == "__main__":
    print(ensure())
