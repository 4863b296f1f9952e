"""``python -m benchmarks.nested.unlike --data DIR [--traces DIR]``: how often is the next run unlike all those known?

Of n runs of a step taken at random, the next one exceeds the largest peak times a factor in a share s of cases; printed is
n * s, by how far apart the largest known peaks lie, by how large they are, and by n. The authors' request counts by this,
see concertmaster/core/sizing/authored_request.py.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.nested import cases
from benchmarks.nested.choose import Rows
from benchmarks.nested.traces import traces
from concertmaster.core.sizing.authored_request import EXPECTED
from concertmaster.core.sizing.tail import mean_log_excess

KNOWN = (3, 5, 8, 12, 18, 30)
FACTORS = np.array([1.15, 1.5, 2.0, 4.0, 8.0])
DRAWS = 10
AHEAD = 5
APART = (0.0, 0.03, 0.06, 0.1, 0.3, 1.0)
MIB = 2.0**20
SIZES = (0.0, 64.0, 512.0, 4096.0)


def unlike(
    families: Mapping[str, Sequence[cases.Step]],
) -> tuple[dict[float, Rows], dict[float, Rows], dict[float, Rows]]:
    """n times the share of next runs beyond each of the FACTORS, means over draws: by how far apart the largest peaks lie,
    by the size of the largest in MiB (keys are the lower ends of the ranges), and by n."""
    rng = np.random.default_rng(1)
    apart: dict[float, list[Rows]] = {}
    sizes: dict[float, list[Rows]] = {}
    runs: dict[float, list[Rows]] = {}
    for steps in families.values():
        for step in steps:
            for n in (n for n in KNOWN if step.peaks.size >= n + AHEAD):
                for _ in range(DRAWS):
                    order = rng.permutation(step.peaks.size)
                    known, ahead = step.peaks[order[:n]], step.peaks[order[n:]]
                    share = n * (ahead[:, None] > FACTORS * known.max()).mean(axis=0)
                    apart.setdefault(_floor(APART, mean_log_excess(known, EXPECTED)), []).append(share)
                    sizes.setdefault(_floor(SIZES, float(known.max()) / MIB), []).append(share)
                    runs.setdefault(n, []).append(share)
    return _means(apart), _means(sizes), _means(runs)


def _floor(edges: Sequence[float], value: float) -> float:
    return max(edge for edge in edges if edge <= value)


def _means(found: Mapping[float, Sequence[Rows]]) -> dict[float, Rows]:
    return {edge: np.mean(shares, axis=0) for edge, shares in sorted(found.items())}


def main() -> int:
    """Print the tables of each kind of data."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="directory with the data sets and their scorers")
    parser.add_argument(
        "--traces", type=Path, help="directory with traces of Nextflow, see benchmarks/nested/traces.py"
    )
    options = parser.parse_args()
    data = options.data.resolve()
    kinds = {
        "pods": cases.pods(data),
        "machines": cases.machines(data),
        "laws": {**cases.simulated(), **cases.wide()},
        "tools": cases.tools(),
        **({"traces": traces(options.traces)} if options.traces else {}),
    }
    print("beyond the largest peak times", *(f"{factor:6g}" for factor in FACTORS))
    for kind, families in kinds.items():
        for title, table in zip(("apart from", "MiB from", "known runs"), unlike(families), strict=True):
            for edge, shares in table.items():
                print(f"{kind:9s} {title:10s} {edge:6g}    ", *(f"{share:6.3f}" for share in shares))
    return 0


if __name__ == "__main__":
    sys.exit(main())
