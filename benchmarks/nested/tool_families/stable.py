"""Families whose peaks vary by 1% to 5% around a function of the input and, for databases and new versions, of the date."""

from __future__ import annotations

import numpy as np

from benchmarks.nested.choose import Rows
from benchmarks.nested.tool_families.draws import DAY, GB, GIB, MB, Draws, Law


def _aligner_index(draws: Draws) -> tuple[Rows, Rows]:
    """The index of the reference and one buffer per thread; the reads have almost no influence."""
    draws.set_inputs(1e7, 8e10)
    index = draws.log_uniform(0.3 * GB, 34 * GB)
    threads = draws.rng.choice([2, 4, 6, 8, 12, 16, 32])
    buffers = threads * draws.log_uniform(20 * MB, 300 * MB)
    y = index + buffers + draws.uniform(0, 0.08) * index * draws.relative**0.5
    return y * draws.noise(0.01, 0.03), draws.seconds()


def _constant_small_tool(draws: Draws) -> tuple[Rows, Rows]:
    """Reports, conversions, quality control: the same peak for any file."""
    draws.set_inputs(1e4, 3e10)
    return draws.log_uniform(8 * MB, 2.5 * GB) * draws.noise(0.01, 0.05), draws.seconds()


def _dataframe_linear(draws: Draws) -> tuple[Rows, Rows]:
    """Interpreter and libraries, plus a multiple of the file (pandas, R)."""
    draws.set_inputs(1e5, 6e9)
    y = draws.log_uniform(60 * MB, 400 * MB) + draws.log_uniform(1.5, 14.0) * draws.inputs
    return y * draws.noise(0.01, 0.05), draws.seconds()


def _distinct_items(draws: Draws) -> tuple[Rows, Rows]:
    """Tables of distinct items (k-mers, barcodes), which grow more slowly than the file."""
    draws.set_inputs(1e6, 5e10)
    base = draws.log_uniform(20 * MB, 300 * MB)
    y = base + draws.log_uniform(0.5 * GB, 40 * GB) * draws.relative ** draws.uniform(0.35, 0.8)
    return y * draws.noise(0.015, 0.05), draws.seconds()


def _bounded_sort(draws: Draws) -> tuple[Rows, Rows]:
    """Sort buffers that fill up to a limit, which small files never reach."""
    draws.set_inputs(1e6, 5e10)
    limit = draws.rng.choice([1, 2, 4, 8, 16]) * draws.rng.choice([0.75, 1.0, 2.0]) * GIB
    y = np.minimum(draws.inputs * draws.uniform(2.0, 6.0), limit) * draws.uniform(1.0, 1.15)
    y = y + draws.log_uniform(10 * MB, 150 * MB)
    return y * draws.noise(0.01, 0.04), draws.seconds()


def _fixed_shards(draws: Draws) -> tuple[Rows, Rows]:
    """Scatter over shards of equal size: inputs differ by a few percent, except for smaller last shards."""
    rng, n = draws.rng, draws.n
    draws.set_inputs(1e7, 5e9)
    size = draws.log_uniform(1e7, 4e9)
    full = size * np.exp(rng.normal(0, 0.03, n))
    last = draws.each_happens(draws.uniform(0.02, 0.12))
    draws.inputs, draws.scale = np.rint(np.where(last, full * 10 ** rng.uniform(-1.5, 0, n), full)), size
    y = draws.log_uniform(0.1 * GB, 12 * GB) * (draws.uniform(0.3, 0.9) + 0.3 * draws.relative)
    return y * draws.noise(0.01, 0.05), draws.seconds()


def _doubling_tables(draws: Draws) -> tuple[Rows, Rows]:
    """Hash tables or vectors whose capacity doubles: a staircase over the input."""
    draws.set_inputs(1e6, 2e10)
    unit = draws.log_uniform(0.02, 0.4) * draws.scale
    items = np.maximum(draws.inputs * draws.uniform(0.9, 1.1), unit / 64)
    capacity = 2.0 ** np.ceil(np.log2(items / unit))
    base = draws.log_uniform(30 * MB, 400 * MB)
    per_byte = min(draws.log_uniform(0.3, 3.0), draws.log_uniform(2 * GB, 50 * GB) / draws.scale)
    return (base + per_byte * capacity * unit) * draws.noise(0.01, 0.04), draws.seconds()


def _database_grows(draws: Draws) -> tuple[Rows, Rows]:
    """A database in memory that grows slowly over months, in some steps only with each release."""
    draws.submit(str(draws.rng.choice(["waves", "stream"])), least=40 * DAY)
    draws.set_inputs(1e4, 2e9)
    growth = draws.uniform(0.08, 0.8)
    age = draws.age
    if draws.happens(0.5):
        releases = int(draws.rng.integers(3, 9))
        age = np.floor(age * releases) / releases
    y = draws.log_uniform(0.5 * GB, 60 * GB) * (1 + growth * age)
    y = y + draws.log_uniform(10 * MB, 400 * MB) * draws.relative
    return y * draws.noise(0.01, 0.05), draws.seconds()


def _version_upgrade(draws: Draws) -> tuple[Rows, Rows]:
    """From about halfway on, a new version of the tool that needs 10% to 40% more."""
    draws.submit(str(draws.rng.choice(["waves", "stream", "trickle"])), least=10 * DAY)
    draws.set_inputs(1e6, 3e10)
    new = np.arange(draws.n) >= draws.uniform(0.4, 0.6) * draws.n
    base = draws.log_uniform(50 * MB, 6 * GB)
    y = base + draws.log_uniform(0.1 * GB, 25 * GB) * draws.relative ** draws.uniform(0.3, 1.0)
    draws.slowdown = np.where(new, draws.uniform(0.6, 1.2), 1.0)
    return y * np.where(new, 1 + draws.uniform(0.1, 0.4), 1.0) * draws.noise(0.01, 0.05), draws.seconds()


def _pairwise_matrix(draws: Draws) -> tuple[Rows, Rows]:
    """All records against all: the square of the input."""
    draws.set_inputs(1e5, 1e9, decades=(1.0, 2.0))
    y = draws.log_uniform(80 * MB, 600 * MB) + draws.log_uniform(0.5 * GB, 30 * GB) * draws.relative**2
    return y * draws.noise(0.01, 0.05), draws.seconds()


LAWS: dict[str, Law] = {
    "aligner_index": _aligner_index,
    "constant_small_tool": _constant_small_tool,
    "dataframe_linear": _dataframe_linear,
    "distinct_items": _distinct_items,
    "bounded_sort": _bounded_sort,
    "fixed_shards": _fixed_shards,
    "doubling_tables": _doubling_tables,
    "database_grows": _database_grows,
    "version_upgrade": _version_upgrade,
    "pairwise_matrix": _pairwise_matrix,
}
