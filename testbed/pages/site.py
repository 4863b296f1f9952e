"""The documentation site, built in strict mode by the locked MkDocs in a separate virtual environment.

``python -m testbed.pages.site`` builds it into build/site and prints the path. The environment is in the test bed's cache
under a name derived from its contents, so it is created once and separate from the operator's own dependencies.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from testbed.install.build import cache_dir
from testbed.locking import locked
from testbed.process import TestbedError

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "requirements" / "docs.txt"
_LIMIT = 600.0  # seconds, for a slow package index


def _run(command: list[str], what: str, environment: dict[str, str] | None = None) -> str:
    answer = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=_LIMIT, check=False, env=environment
    )
    output = answer.stdout + answer.stderr
    if answer.returncode != 0:
        raise TestbedError(f"{what} failed at `{' '.join(command)}`:\n{output}")
    return output


def tools() -> Path:
    """The directory with ``mkdocs``, installed the first time. Raises TestbedError."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:16]
    home = cache_dir() / f"docs-{digest}"
    with locked(cache_dir() / "locks" / "docs", "the tools of the documentation site", print):
        ready = home / ".ready"
        if not ready.exists():
            shutil.rmtree(home, ignore_errors=True)
            _run([sys.executable, "-m", "venv", str(home)], "making a virtual environment for MkDocs")
            pip = [str(home / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
            _run([*pip, "--require-hashes", "-r", str(REQUIREMENTS)], "installing MkDocs")
            ready.touch()
    return home / "bin"


def build(target: Path) -> str:
    """Build the site into ``target``; returns the output of MkDocs. Raises TestbedError with all broken links."""
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return _run(
        [str(tools() / "mkdocs"), "build", "--strict", "--quiet", "--site-dir", str(target)],
        "building the documentation site",
        environment,
    )


def main() -> int:
    """Build the site into the directory given on the command line."""
    parser = argparse.ArgumentParser(prog="python -m testbed.pages.site", description=__doc__)
    parser.add_argument("--target", type=Path, default=ROOT / "build" / "site")
    target = parser.parse_args().target.absolute()
    try:
        build(target)
    except TestbedError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"the documentation site is in {target}; open {target / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
