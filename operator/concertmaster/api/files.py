"""Generated files: written only when they change, and compared with what is committed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def write(directory: Path, files: Mapping[str, str]) -> list[Path]:
    """Write ``files`` (text by name) into ``directory``, created when missing; unchanged files stay untouched."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, text in files.items():
        path = directory / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths


def check(directory: Path, files: Mapping[str, str], *, foreign: str | None = None) -> list[str]:
    """How ``directory`` differs from ``files``, one sentence per file; empty when it is fresh. ``foreign`` is a pattern
    of names that must not exist beside them."""
    differences = []
    for name, text in files.items():
        path = directory / name
        if not path.is_file():
            differences.append(f"{name} is missing")
        elif path.read_text(encoding="utf-8") != text:
            differences.append(f"{name} is out of date")
    if foreign is not None:
        others = sorted(path.name for path in directory.glob(foreign) if path.name not in files)
        differences += [f"{name} does not belong here" for name in others]
    return differences
