"""What benchmarks of simulated campaigns share: their options, and how a result gets into its file."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def options_of(about: str | None, *, each: int) -> argparse.Namespace:
    """The command line; ``each`` campaigns of a kind unless it says otherwise."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--each", type=int, default=each, help="campaigns of each kind")
    parser.add_argument("--seed", type=int, default=20261120)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--dry", action="store_true", help="print only")
    return parser.parse_args()


def publish(file: Path, result: Mapping[str, Any], *, dry: bool) -> None:
    """Write ``result`` to its ``file``; nothing when ``dry``. ``python -m benchmarks.page`` puts it onto the page."""
    if not dry:
        file.write_text(json.dumps(result, indent=1) + "\n")
