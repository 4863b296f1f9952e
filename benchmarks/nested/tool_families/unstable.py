"""Families whose peaks vary widely for a given input: noise, rare events, hidden causes, imprecise measurement."""

from __future__ import annotations

import numpy as np

from benchmarks.nested.choose import Rows
from benchmarks.nested.tool_families.draws import DAY, GB, GIB, MB, Draws, Law


def _assembler(draws: Draws) -> tuple[Rows, Rows]:
    """The graph of an assembly: more than proportional to the input, and different for each genome."""
    draws.set_inputs(5e7, 5e10, decades=(1.0, 2.5))
    base = draws.log_uniform(0.2 * GB, 2 * GB)
    y = base + draws.log_uniform(5 * GB, 70 * GB) * draws.relative ** draws.uniform(1.1, 1.7)
    return y * draws.noise(0.08, 0.35), draws.seconds()


def _jvm_heap(draws: Draws) -> tuple[Rows, Rows]:
    """A heap that fills up to ``-Xmx`` in long runs, however little of it is live."""
    rng, n = draws.rng, draws.n
    draws.set_inputs(1e6, 5e10)
    seconds = draws.seconds()
    heap = rng.choice([1, 2, 3, 4, 6, 8, 12, 16, 29, 36]) * GIB
    live = heap * draws.uniform(0.05, 0.6) * draws.relative ** draws.uniform(0.1, 0.7)
    garbage = heap / draws.log_uniform(30.0, 3000.0) * seconds * np.exp(rng.normal(0, 0.3, n))
    # How far the collector lets the heap grow before it collects.
    grown = draws.uniform(0.3, 1.0)
    used = np.minimum(live + garbage * (0.3 + grown), heap * rng.uniform(grown, 1.0, n))
    used = np.minimum(np.maximum(used, live), heap) * draws.noise(0.005, 0.04)
    return used + draws.log_uniform(80 * MB, 700 * MB) * draws.noise(0.05, 0.25), seconds


def _loads_all_beyond(draws: Draws) -> tuple[Rows, Rows]:
    """Small files are streamed; beyond a threshold the tool loads everything or switches its algorithm."""
    draws.set_inputs(1e6, 2e10)
    threshold = np.quantile(draws.inputs, draws.uniform(0.4, 0.97))
    slope = min(draws.log_uniform(1.2, 9.0), draws.log_uniform(3 * GB, 90 * GB) / draws.inputs.max())
    y = draws.log_uniform(30 * MB, 1.5 * GB) * (1 + 0.2 * draws.relative)
    y = np.where(draws.inputs > threshold, y + slope * draws.inputs, y)
    return y * draws.noise(0.02, 0.15), draws.seconds()


def _learning_with_spikes(draws: Draws) -> tuple[Rows, Rows]:
    """Training or inference: constant, except for rare spikes (checkpoint, evaluation, cache)."""
    draws.set_inputs(1e6, 5e10)
    spike = draws.each_happens(draws.uniform(0.005, 0.05))
    level = np.where(spike, 1 + draws.rng.gamma(2.0, draws.uniform(0.2, 0.9), draws.n), 1.0)
    return draws.log_uniform(0.8 * GB, 30 * GB) * level * draws.noise(0.01, 0.06), draws.seconds()


def _heavy_tail(draws: Draws) -> tuple[Rows, Rows]:
    """The usual size times a Pareto excess that is independent of the input."""
    draws.set_inputs(1e5, 2e10)
    excess = 1 + draws.uniform(0.1, 1.0) * draws.rng.pareto(draws.uniform(1.3, 3.5), draws.n)
    y = draws.log_uniform(50 * MB, 3 * GB) * (0.3 + draws.relative ** draws.uniform(0.0, 0.8))
    y = y * np.minimum(excess, 80)
    draws.slowdown = excess ** draws.uniform(0.0, 0.7)
    return y * draws.noise(0.02, 0.2), draws.seconds()


def _sample_types(draws: Draws) -> tuple[Rows, Rows]:
    """Two to four types of samples, each with its own level, which file sizes may not reveal."""
    rng, n = draws.rng, draws.n
    draws.set_inputs(1e6, 3e10)
    count = int(rng.integers(2, 5))
    shares = rng.dirichlet(np.full(count, 1.2))
    if draws.happens(0.4) and draws.wave.max() > 0:
        # Most samples of a wave are of one type.
        usual = rng.choice(count, draws.wave.max() + 1, p=shares)[draws.wave]
        kind = np.where(draws.each_happens(0.1), rng.choice(count, n, p=shares), usual)
    else:
        kind = rng.choice(count, n, p=shares)
    level = np.cumprod(np.r_[1.0, rng.uniform(1.3, 3.5, count - 1)])[kind]
    y = draws.log_uniform(80 * MB, 6 * GB) * level * (0.4 + draws.uniform(0.0, 1.0) * draws.relative**0.7)
    if draws.happens(0.3):
        draws.inputs = np.rint(draws.inputs * level ** draws.uniform(0.3, 1.0))
    return y * draws.noise(0.01, 0.12), draws.seconds()


def _input_tells_nothing(draws: Draws) -> tuple[Rows, Rows]:
    """Wide noise, and no influence of the input."""
    draws.set_inputs(1e4, 5e10)
    return draws.log_uniform(40 * MB, 8 * GB) * draws.noise(0.15, 0.6), draws.seconds()


def _page_cache(draws: Draws) -> tuple[Rows, Rows]:
    """The peak includes cached pages of files, as many as the node had free memory for."""
    draws.set_inputs(1e7, 5e10)
    own = draws.log_uniform(80 * MB, 3 * GB) * (0.5 + 0.5 * draws.relative**0.5)
    most = draws.log_uniform(2 * GB, 40 * GB)
    free = most * draws.rng.beta(draws.log_uniform(0.5, 2.0), draws.log_uniform(0.8, 4.0), draws.n)
    y = own * draws.noise(0.01, 0.05) + np.minimum(draws.inputs * draws.uniform(0.5, 2.2), free)
    return y, draws.seconds()


def _sampled_peaks(draws: Draws) -> tuple[Rows, Rows]:
    """Sampled usage: a peak shorter than the sampling interval may be recorded only in part."""
    rng, n = draws.rng, draws.n
    draws.set_inputs(1e5, 2e10)
    base = draws.log_uniform(50 * MB, 1 * GB)
    y = base + draws.log_uniform(0.3 * GB, 20 * GB) * draws.relative ** draws.uniform(0.2, 1.0)
    y = y * draws.noise(0.01, 0.1)
    draws.slowdown = np.full(n, draws.log_uniform(0.02, 1.0))
    seconds = draws.seconds()
    lasts = seconds * draws.log_uniform(0.003, 0.2)
    sampled = rng.random(n) < np.minimum(lasts / rng.choice([1.0, 5.0, 15.0, 30.0]), 1.0)
    return np.where(sampled, y, y * rng.uniform(draws.uniform(0.05, 0.6), 0.97, n)), seconds


def _projects_in_batches(draws: Draws) -> tuple[Rows, Rows]:
    """Waves of similar samples: each wave has its own input size and its own level of memory."""
    rng = draws.rng
    draws.submit("waves")
    draws.set_inputs(1e6, 2e10)
    waves = draws.wave.max() + 1
    size = draws.scale * 10 ** rng.uniform(-2.0, 0.0, waves)[draws.wave]
    draws.inputs = np.rint(size * np.exp(rng.normal(0, 0.2, draws.n)))
    level = np.exp(rng.normal(0, draws.uniform(0.1, 0.6), waves))[draws.wave]
    base = draws.log_uniform(50 * MB, 1 * GB)
    y = base + draws.log_uniform(0.5 * GB, 20 * GB) * draws.relative ** draws.uniform(0.0, 1.0)
    return y * level * draws.noise(0.02, 0.08), draws.seconds()


def _pathological_samples(draws: Draws) -> tuple[Rows, Rows]:
    """Quiet except for about one sample in a hundred (repeats, depth), which needs many times as much and is slow."""
    draws.set_inputs(1e6, 2e10)
    bad = draws.each_happens(draws.log_uniform(0.003, 0.03))
    excess = np.where(bad, draws.rng.uniform(2.5, 18.0, draws.n), 1.0)
    draws.slowdown = excess ** draws.uniform(0.3, 1.0)
    y = draws.log_uniform(80 * MB, 4 * GB) * (0.5 + 0.5 * draws.relative ** draws.uniform(0.2, 1.0))
    return y * excess * draws.noise(0.02, 0.08), draws.seconds()


def _compressed_or_not(draws: Draws) -> tuple[Rows, Rows]:
    """The tool loads text from files that are compressed, well or badly, or not at all."""
    draws.set_inputs(1e6, 1e10)
    text = draws.inputs
    packed = draws.each_happens(draws.uniform(0.3, 0.98))
    ratio = np.exp(draws.rng.normal(np.log(draws.uniform(3, 7)), draws.uniform(0.05, 0.5), draws.n))
    draws.inputs = np.rint(np.where(packed, text / ratio, text))
    y = draws.log_uniform(40 * MB, 300 * MB) + draws.log_uniform(0.8, 5.0) * text
    return y * draws.noise(0.01, 0.08), draws.seconds()


def _noise_grows_with_size(draws: Draws) -> tuple[Rows, Rows]:
    """Small inputs are predictable, large ones much less (search trees, solvers, clustering)."""
    draws.set_inputs(1e5, 1e10)
    depth = np.clip(np.log10(draws.relative) + 3, 0, 3.3) / 3
    base = draws.log_uniform(30 * MB, 300 * MB)
    y = base + draws.log_uniform(1 * GB, 30 * GB) * draws.relative ** draws.uniform(0.5, 1.1)
    one_sided = draws.happens(0.5)
    drawn = draws.rng.standard_normal(draws.n)
    drawn = np.abs(drawn) if one_sided else drawn
    return y * np.exp(draws.uniform(0.15, 0.7) * depth**2 * drawn) * draws.noise(0.01, 0.03), draws.seconds()


def _hidden_setting(draws: Draws) -> tuple[Rows, Rows]:
    """An unrecorded parameter (threads, k, bins, preset) multiplies a part of the memory."""
    rng, n = draws.rng, draws.n
    draws.set_inputs(1e6, 3e10)
    options = np.array([1.0, 2.0, 4.0, 8.0])[: int(rng.integers(2, 5))]
    setting = rng.choice(options, n, p=rng.dirichlet(np.full(options.size, 0.8)))
    draws.slowdown = setting ** -draws.uniform(0.0, 0.9)
    part = draws.uniform(0.05, 0.6)
    y = draws.log_uniform(0.2 * GB, 8 * GB) * (0.3 + 0.7 * draws.relative ** draws.uniform(0.2, 1.0))
    return y * (1 - part + part * setting) * draws.noise(0.02, 0.1), draws.seconds()


def _pilot_then_production(draws: Draws) -> tuple[Rows, Rows]:
    """Tests on small samples, followed by production runs on larger inputs than any before."""
    draws.submit(str(draws.rng.choice(["waves", "stream"])), least=3 * DAY)
    draws.set_inputs(1e6, 4e10, decades=(1.0, 2.0), ordered=False)
    pilot = np.arange(draws.n) < draws.uniform(0.1, 0.45) * draws.n
    draws.inputs = np.rint(np.where(pilot, draws.inputs / draws.log_uniform(3.0, 60.0), draws.inputs))
    base = draws.log_uniform(60 * MB, 1 * GB)
    y = base + draws.log_uniform(0.5 * GB, 40 * GB) * draws.relative ** draws.uniform(0.5, 1.1)
    return y * draws.noise(0.02, 0.2), draws.seconds()


def _early_exits(draws: Draws) -> tuple[Rows, Rows]:
    """Some runs exit at once (nothing to do, empty sample) and need almost no memory."""
    draws.set_inputs(1e5, 2e10)
    exits = draws.each_happens(draws.uniform(0.1, 0.7))
    draws.slowdown = np.where(exits, draws.log_uniform(0.001, 0.1), 1.0)
    y = draws.log_uniform(0.3 * GB, 20 * GB) * (0.4 + 0.6 * draws.relative ** draws.uniform(0.0, 0.9))
    y = y * draws.noise(0.02, 0.2)
    return np.where(exits, draws.log_uniform(4 * MB, 60 * MB) * draws.noise(0.02, 0.1), y), draws.seconds()


def _creeping_level(draws: Draws) -> tuple[Rows, Rows]:
    """A level that drifts from day to day, mostly upwards (stored data, load, settings)."""
    draws.submit(str(draws.rng.choice(["stream", "trickle", "waves"])), least=5 * DAY)
    draws.set_inputs(1e5, 2e10)
    walk = np.cumsum(draws.rng.normal(0, 1, draws.n)) / np.sqrt(draws.n) * draws.uniform(0.05, 0.4)
    walk = walk + draws.uniform(-0.05, 0.4) * draws.age
    y = draws.log_uniform(0.1 * GB, 10 * GB) * (0.5 + 0.5 * draws.relative ** draws.uniform(0.2, 1.0))
    return y * np.exp(walk) * draws.noise(0.01, 0.1), draws.seconds()


def _lognormal_mess(draws: Draws) -> tuple[Rows, Rows]:
    """User scripts: weak influence of the input, noise of 35% to 60%, and repeated analyses with almost equal peaks."""
    rng, n = draws.rng, draws.n
    draws.set_inputs(1e3, 1e10)
    y = draws.log_uniform(30 * MB, 5 * GB) * draws.relative ** draws.uniform(0.0, 0.35) * draws.noise(0.35, 0.6)
    source = np.where(draws.each_happens(draws.uniform(0.0, 0.5)), rng.integers(0, n, n), np.arange(n))
    draws.inputs = draws.inputs[source]
    return y[source] * np.exp(rng.normal(0, 0.005, n)), draws.seconds()


LAWS: dict[str, Law] = {
    "assembler": _assembler,
    "jvm_heap": _jvm_heap,
    "loads_all_beyond": _loads_all_beyond,
    "learning_with_spikes": _learning_with_spikes,
    "heavy_tail": _heavy_tail,
    "sample_types": _sample_types,
    "input_tells_nothing": _input_tells_nothing,
    "page_cache": _page_cache,
    "sampled_peaks": _sampled_peaks,
    "projects_in_batches": _projects_in_batches,
    "pathological_samples": _pathological_samples,
    "compressed_or_not": _compressed_or_not,
    "noise_grows_with_size": _noise_grows_with_size,
    "hidden_setting": _hidden_setting,
    "pilot_then_production": _pilot_then_production,
    "early_exits": _early_exits,
    "creeping_level": _creeping_level,
    "lognormal_mess": _lognormal_mess,
}
