"""Options of benchmarks: which parts to run, by kind and seed where they simulate histories, and where the result goes."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def by_kind(description: str | None, kinds: Iterable[str]) -> argparse.ArgumentParser:
    """A parser with ``--only``, ``--dry`` and ``--out``, to which a benchmark adds its own. ``kinds``: names that ``--only``
    accepts."""
    parser = argparse.ArgumentParser(description=description)
    names = list(kinds)
    parser.add_argument("--only", nargs="+", default=names, metavar="KIND", choices=names, help="kinds (default: all)")
    parser.add_argument("--dry", action="store_true", help="print only, and leave the published result")
    parser.add_argument("--out", metavar="FILE", help="write the result there, and leave the published one")
    parser.set_defaults(kinds=names)
    return parser


def by_kind_and_seed(
    description: str | None, kinds: Iterable[str], *, seeds: int, first: int = 1
) -> argparse.ArgumentParser:
    """``by_kind`` with ``--seeds``, ``--first``, ``--verbose``, ``--jobs``; ``seeds`` and ``first``: what is published."""
    parser = by_kind(description, kinds)
    parser.add_argument("--seeds", type=int, default=seeds, help="seeds of each kind (default: %(default)s)")
    parser.add_argument("--first", type=int, default=first, help="the first seed (default: %(default)s)")
    parser.add_argument("--verbose", action="store_true", help="print what was missed, and what is wrong")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: %(default)s)")
    return parser


def target(options: argparse.Namespace, published: Path, *, whole: bool = True) -> Path | None:
    """Where the result is written: where ``--out`` says, or over the ``published`` one if it is of all kinds (and
    otherwise ``whole``); None: nowhere."""
    if options.out is not None:
        return Path(options.out)
    return published if whole and not options.dry and options.only == options.kinds else None


def simulated(options: argparse.Namespace, make: Callable[[str, int], T]) -> Iterator[T]:
    """``make(kind, seed)`` of all kinds and seeds that are asked for, in their order, by several processes."""
    kinds, seeds = zip(*product(options.only, range(options.first, options.first + options.seeds)), strict=True)
    with ProcessPoolExecutor(options.jobs) as pool:
        yield from pool.map(make, kinds, seeds, chunksize=4)


def write(options: argparse.Namespace, published: Path, result: Any, *, whole: bool = True) -> None:
    """Write the result as JSON where ``target`` says."""
    path = target(options, published, whole=whole)
    if path is not None:
        path.write_text(json.dumps(result, indent=1) + "\n")
