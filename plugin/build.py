"""``python -m plugin.build``: the archive of the kubectl plugin and its krew manifest, in ``dist/``.

The archive holds the launcher, the wheel and the locked dependencies with their hashes. It is the same, byte for byte,
for the same sources, so that the checksum in a manifest can be checked by building it again.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HERE = ROOT / "plugin"
# Placeholder until the archive is published somewhere; `kubectl krew install --archive` does not read it.
NOWHERE = "https://archive.invalid"


def version() -> str:
    """The version of the package."""
    found = re.search(
        r'^__version__ = "([^"]+)"', (ROOT / "operator/concertmaster/__init__.py").read_text(), re.MULTILINE
    )
    assert found is not None
    return found[1]


def wheel(target: Path) -> Path:
    """The package as a wheel, built by the locked build backend."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, "--no-build-isolation", "--wheel-dir", str(target), str(ROOT)], check=True)
    (built,) = target.glob("*.whl")
    return built


def archive(members: dict[str, bytes], executable: set[str]) -> bytes:
    """A gzipped tar of files: sorted, without times and owners."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, filename="") as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name in sorted(members):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(members[name]), 0o755 if name in executable else 0o644
            tar.addfile(info, io.BytesIO(members[name]))
    return buffer.getvalue()


def build(target: Path, base: str = NOWHERE) -> tuple[Path, Path]:
    """Write archive and manifest into ``target``; ``base`` is the address the archive will be served below."""
    target.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp())
    try:
        built = wheel(place)
        members = {
            "LICENSE": (ROOT / "LICENSE").read_bytes(),
            "kubectl-concertmaster": (HERE / "kubectl-concertmaster").read_bytes(),
            "requirements.txt": (ROOT / "requirements" / "runtime.txt").read_bytes(),
            built.name: built.read_bytes(),
        }
    finally:
        shutil.rmtree(place)
    packed = target / f"kubectl-concertmaster-v{version()}.tar.gz"
    packed.write_bytes(archive(members, {"kubectl-concertmaster"}))
    manifest = target / "concertmaster.yaml"
    text = (HERE / "concertmaster.yaml").read_text().partition("\n")[2]
    for name, value in {
        "version": version(),
        "uri": f"{base.rstrip('/')}/{packed.name}",
        "sha256": hashlib.sha256(packed.read_bytes()).hexdigest(),
    }.items():
        text = text.replace(f"{{{name}}}", value)
    manifest.write_text(text)
    return packed, manifest


def main() -> int:
    """Build, and print what to do with it."""
    parser = argparse.ArgumentParser(prog="python -m plugin.build", description=__doc__)
    parser.add_argument("--target", type=Path, default=ROOT / "dist")
    parser.add_argument("--base", default=NOWHERE, help="address of the directory the archive will be published in")
    options = parser.parse_args()
    packed, manifest = build(options.target, options.base)
    print(f"{packed}\n{manifest}\n")
    print(f"kubectl krew install --manifest={manifest} --archive={packed}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
