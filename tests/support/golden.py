"""Golden files: compared, or written with --update-golden."""

from __future__ import annotations

from pathlib import Path

FILES = Path(__file__).resolve().parents[1] / "golden" / "files"


def check(name: str, text: str, update: bool) -> None:
    """Compare with the golden file, or write it."""
    file = FILES / name
    if update:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert text == file.read_text(), f"{name} differs; look at the difference, then renew it with --update-golden"
