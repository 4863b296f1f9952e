"""Options and result files of the simulated campaigns."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def options_of(about: str | None, *, each: int) -> argparse.Namespace:
    """The parsed command line, with a default of ``each`` campaigns per kind."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--each", type=int, default=each, help="campaigns of each kind")
    parser.add_argument("--seed", type=int, default=20261120)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--dry", action="store_true", help="print only")
    return parser.parse_args()


def publish(file: Path, result: Mapping[str, Any], *, dry: bool) -> None:
    """Write ``result`` to ``file``, unless ``dry``. ``python -m benchmarks.page`` adds it to the page."""
    if not dry:
        file.write_text(json.dumps(result, indent=1) + "\n")
