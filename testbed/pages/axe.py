"""axe-core, which the page tests run in the browser: the WCAG rules as published by Deque Systems.

Version and digest are pinned here. npm downloads the package without installing or running any of it: one file is
extracted, kept in the cache of the test bed, and injected by the tests only. Its licence is the Mozilla Public License
2.0; nothing of it is distributed with the project. ``python -m testbed.pages.axe`` prints the file's path.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from testbed.install.build import cache_dir
from testbed.process import TestbedError

VERSION = "4.14.1"
LICENCE = "MPL-2.0"
INTEGRITY = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="  # SHA-512
VARIABLE = "CONCERTMASTER_AXE"
_LIMIT = 300.0  # seconds for npm


def ensure() -> Path:
    """Path of the script: the file named by the variable, else the cached one, else downloaded. Raises TestbedError."""
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given)
    target = cache_dir() / "axe-core" / VERSION / "axe.min.js"
    if not target.is_file():
        _fetch(target)
    return target


def _fetch(target: Path) -> None:
    npm = shutil.which("npm") or _installed()
    with tempfile.TemporaryDirectory(prefix="axe-core-") as place:
        command = [npm, "pack", f"axe-core@{VERSION}", "--pack-destination", place]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT, check=False, cwd=place)
        archives = list(Path(place).glob("*.tgz"))
        if done.returncode != 0 or len(archives) != 1:
            raise TestbedError(f"npm could not fetch axe-core {VERSION}: {done.stderr.strip()[-500:]}")
        digest = base64.b64encode(hashlib.sha512(archives[0].read_bytes()).digest()).decode()
        if digest != INTEGRITY:
            raise TestbedError(f"axe-core {VERSION} has the digest {digest} instead of the pinned one")
        with tarfile.open(archives[0]) as packed:
            member = packed.extractfile("package/axe.min.js")
            assert member is not None
            content = member.read()
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    partial.write_bytes(content)
    partial.rename(target)


def _installed() -> str:
    """Path of npm, installed from the distribution's packages if missing."""
    apt = shutil.which("apt-get")
    rights = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if apt is not None and (not rights or shutil.which("sudo")):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for arguments in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", "npm"]):
            subprocess.run([*rights, apt, *arguments], env=environment, timeout=600.0, check=False, stdout=sys.stderr)
    path = shutil.which("npm")
    if path is None:
        raise TestbedError(
            f"no npm to fetch axe-core {VERSION} with: install it, or name the file axe.min.js by ${VARIABLE}"
        )
    return path


if __name__ == "__main__":
    print(ensure())
