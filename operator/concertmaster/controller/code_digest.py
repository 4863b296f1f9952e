"""Which code this process runs, as a digest of its source files.

A version number cannot tell: builds of one version may differ. What another build kept is a reason to analyse again even
where its format is the same, because rules, sizes and sentences are not.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import concertmaster

_LENGTH = 16  # hexadecimal digits


@cache
def code_digest() -> str:
    """The digest of the installed package."""
    return digest_of(Path(concertmaster.__file__).parent)


def digest_of(package: Path) -> str:
    """The digest of all Python files below a folder, by their paths and contents."""
    found = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        content = path.read_bytes()
        found.update(f"{path.relative_to(package).as_posix()} {len(content)}\n".encode())
        found.update(content)
    return found.hexdigest()[:_LENGTH]
