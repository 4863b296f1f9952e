"""Executions of a step that tell what it needs: those with a usable peak, in order of time."""

from __future__ import annotations

from collections.abc import Sequence

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats

# Peaks below a byte or above an exbibyte are invalid; clipping keeps quotients and sums of squares finite.
MIN_VALUE, MAX_VALUE = 1.0, 2.0**60


def usable(
    peaks: Sequence[float] | Floats,
    durations: Sequence[float] | Floats,
    times: Sequence[float] | Floats | None,
    inputs: Sequence[float] | Floats | None,
) -> tuple[Floats, Floats, Floats | None, Floats | None] | None:
    """Peaks, durations, inputs and times in order of time, without unusable rows; None when the lengths differ."""
    u = np.asarray(peaks, dtype=np.float64).ravel()
    t = np.asarray(durations, dtype=np.float64).ravel()
    x = None if inputs is None else np.asarray(inputs, dtype=np.float64).ravel()
    when = None if times is None else np.asarray(times, dtype=np.float64).ravel()
    if any(a is not None and a.size != u.size for a in (t, x, when)):
        return None
    good = (u >= MIN_VALUE) & (u <= MAX_VALUE)
    if np.count_nonzero(good) < u.size or (when is not None and (when[1:] < when[:-1]).any()):
        order = np.flatnonzero(good)
        if when is not None:
            order = order[np.argsort(when[good], kind="stable")]
            when = when[order]
        u, t, x = u[order], t[order], None if x is None else x[order]
    known = (t >= 0.0) & (t <= MAX_VALUE)
    if np.count_nonzero(known) < t.size:
        t = np.where(known, t, float(np.median(t[known])) if known.any() else 1.0)
    return u, t, x, when
