"""What all families share: submission, input sizes, noise, and run times of the executions of one step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.nested.choose import Rows

Flags = NDArray[np.bool_]
MB, GB = 1e6, 1e9
MIB, GIB = 2.0**20, 2.0**30
HOUR, DAY = 3600.0, 86400.0


class Draws:
    """Random draws for the ``n`` executions of one step; arrays have shape (n,), in order of submission.

    ``inputs``: sizes in bytes. ``scale``: the input in bytes that counts as large for the tool. ``slowdown``: factor that
    a law applies to run times. ``submitted``: seconds since the first submission. ``wave``: number of the batch, or of
    the day, an execution was submitted in. ``age``: position in the history, from 0 to 1.
    """

    def __init__(self, rng: np.random.Generator, n: int) -> None:
        self.rng, self.n = rng, n
        self.inputs: Rows = np.ones(n)
        self.scale = 1.0
        self.slowdown: Rows = np.ones(n)
        self.submit()

    @property
    def relative(self) -> Rows:
        """Inputs relative to the scale, shape (n,)."""
        return self.inputs / self.scale

    def uniform(self, least: float, most: float) -> float:
        """One number, uniform between the bounds."""
        return float(self.rng.uniform(least, most))

    def log_uniform(self, least: float, most: float) -> float:
        """One number, uniform on the log scale between the bounds."""
        return float(np.exp(self.rng.uniform(np.log(least), np.log(most))))

    def happens(self, probability: float) -> bool:
        """Whether something happens to the step."""
        return bool(self.rng.random() < probability)

    def each_happens(self, probability: float) -> Flags:
        """Whether something happens to each execution, independently, shape (n,)."""
        return np.asarray(self.rng.random(self.n) < probability)

    def noise(self, least: float, most: float) -> Rows:
        """Random factors, shape (n,): normal, heavy-tailed, skewed or bounded on the log scale. Their standard deviation
        on that scale is drawn once per step, between the bounds."""
        rng, n = self.rng, self.n
        deviation = self.log_uniform(least, most)
        shape = rng.choice(["normal", "heavy", "skewed", "bounded"], p=[0.5, 0.15, 0.2, 0.15])
        if shape == "normal":
            drawn = rng.standard_normal(n)
        elif shape == "heavy":
            drawn = np.clip(rng.standard_t(5, n) / np.sqrt(5 / 3), -5, 5)
        elif shape == "skewed":
            drawn = rng.gamma(2.0, 1.0, n) / np.sqrt(2.0) - np.sqrt(2.0)
        else:
            drawn = rng.uniform(-np.sqrt(3), np.sqrt(3), n)
        return np.asarray(np.exp(deviation * drawn))

    def submit(self, how: str | None = None, least: float = 0.0) -> None:
        """Set ``submitted``, ``wave`` and ``age``.

        ``how``: all at ``once``, in ``waves``, one by one over days (``stream``), or as an upstream step supplies inputs
        (``trickle``); drawn if None. ``least``: seconds the history spans at least, for laws that depend on the date.
        """
        rng, n = self.rng, self.n
        how = how or str(rng.choice(["once", "waves", "stream", "trickle"], p=[0.3, 0.35, 0.2, 0.15]))
        self.wave: NDArray[np.intp] = np.zeros(n, np.intp)
        if how == "once":
            times = np.sort(rng.uniform(0, self.log_uniform(0.5, 120.0), n))
        elif how == "waves":
            count = int(rng.integers(2, max(3, min(20, n // 4)) + 1))
            shares = rng.dirichlet(np.full(count, self.log_uniform(0.8, 5.0)))
            drawn = np.sort(rng.choice(count, n, p=shares))
            # Waves without executions are dropped: numbers stay consecutive.
            self.wave = np.unique(drawn, return_inverse=True)[1].reshape(n)
            gaps = rng.exponential(self.log_uniform(HOUR, 6 * DAY), self.wave.max() + 1)
            times = np.sort(np.cumsum(gaps)[self.wave] + rng.uniform(0, self.log_uniform(1.0, 600.0), n))
        elif how == "stream":
            times = np.cumsum(rng.exponential(self.log_uniform(120.0, 0.7 * DAY), n))
            self.wave = (times // DAY).astype(np.intp)
        else:
            times = np.sort(rng.gamma(self.uniform(1.0, 4.0), self.log_uniform(300.0, DAY), n))
        times = times - times[0]
        if least and 0 < times[-1] < least:
            times = times * (least / times[-1])
        self.submitted: Rows = times
        self.age: Rows = times / times[-1] if times[-1] > 0 else np.linspace(0, 1, n)

    def set_inputs(
        self, least: float, most: float, decades: tuple[float, float] = (1.0, 4.0), *, ordered: bool = True
    ) -> None:
        """Set ``inputs`` and ``scale``, in bytes.

        The scale is at most ``most``, at least a thousandth of it and ten times ``least``. Most inputs are smaller, over
        as many ``decades`` as drawn between these bounds. ``ordered``: in some steps, small inputs of a wave come first.
        """
        rng, n = self.rng, self.n
        span = self.uniform(*decades)
        self.scale = self.log_uniform(max(least * 10, most / 1000), most)
        kind = rng.choice(["normal", "uniform", "groups", "small", "large"], p=[0.4, 0.15, 0.2, 0.15, 0.1])
        if kind == "normal":
            # The span is that of 98% of the inputs: 2.3 standard deviations on both sides.
            exponents = rng.normal(-span / 2, span / 4.6, n)
        elif kind == "uniform":
            exponents = rng.uniform(-span, 0, n)
        elif kind == "groups":
            # For example panels, exomes and genomes.
            count = int(rng.integers(2, 5))
            centers = rng.uniform(-span, -0.1, count)
            shares = rng.dirichlet(np.full(count, 1.5))
            exponents = centers[rng.choice(count, n, p=shares)] + rng.normal(0, 0.1, n)
        elif kind == "small":
            exponents = -span + np.minimum(rng.exponential(span / 4, n), span * 1.05)
        else:
            exponents = -np.minimum(rng.exponential(span / 5, n), span)
        if ordered and self.happens(0.3):
            # An upstream step finishes small inputs first, so that they come first, roughly.
            spread = self.uniform(0.05, 0.8) * (exponents.std() + 1e-9)
            exponents = exponents[np.lexsort((exponents + rng.normal(0, spread, n), self.wave))]
        self.inputs = np.rint(np.maximum(self.scale * 10**exponents, 200.0))

    def seconds(self) -> Rows:
        """Run times in seconds, shape (n,): a startup time, then a power of the input, with noise and ``slowdown``."""
        power = 0.0 if self.happens(0.15) else self.uniform(0.3, 1.15)
        longest = self.log_uniform(40.0, 3.0 * DAY)
        times = longest * self.relative**power + self.log_uniform(0.5, 30.0)
        times = times * np.exp(self.rng.normal(0, self.log_uniform(0.05, 0.6), self.n)) * self.slowdown
        if self.happens(0.3):
            # Some nodes are slow.
            times = np.where(self.each_happens(self.uniform(0.02, 0.2)), times * self.log_uniform(1.5, 4.0), times)
        return np.asarray(np.clip(times, 0.5, 12 * DAY))


# Peaks in bytes and run times in seconds of all executions of a step, both of shape (n,).
Law = Callable[[Draws], tuple[Rows, Rows]]
