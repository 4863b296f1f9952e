"""Likelihood check of a split: shift the second part back onto the first and test whether the values fit together.

If only the level changed, the shifted values come from one distribution, whatever its shape; if nothing changed, shifting
worsens the fit. Densities are estimated from the values themselves, each value scored by the others only (leave one out),
so the gain in likelihood is unbiased. It also locates the change more exactly than ranks do: values from narrow clusters
show on which side of the change they lie.
"""

from __future__ import annotations

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats
from concertmaster.core.changepoint.scores import MIN_SEGMENT
from concertmaster.core.stats.robust import array_median, mad_sigma, median_difference

BANDWIDTH = 0.3  # of the density, in robust standard deviations: wide enough for 12 values, narrow enough for clusters
FLOOR = 0.2  # pseudo-values added to every density everywhere, so that no single value decides
CLIP_BANDWIDTHS = 600.0  # bandwidths around the median; values further out are clipped
QUANTILES = 32  # per side when its shift is estimated; more change nothing but the time
GRID_PER_BANDWIDTH = 6  # grid points per bandwidth


class Aligned:
    """``values`` (shape (n,)) with those from ``index`` on shifted back by the difference of levels."""

    def __init__(self, values: Floats, index: int) -> None:
        shift = median_difference(values[:index], values[index:], most=QUANTILES)
        self._shift = shift.likely if shift is not None else 0.0
        self._values = values
        self._after = np.arange(values.size) >= index
        self._together = values - self._shift * self._after
        # Where one side hardly varies, half of the values together are nearly equal: the other side sets the scale.
        sigma = max(mad_sigma(part) for part in (self._together, values[:index], values[index:]))
        sigma = sigma or float(self._together.std())
        self._width = BANDWIDTH * sigma

    def gain(self) -> float:
        """Log likelihood of the aligned values minus that of the values as they are."""
        if self._width <= 0:
            return 0.0
        aligned, given = (_Density(sample, self._width).log(sample, 0.0) for sample in (self._together, self._values))
        return float(np.sum(aligned - given))

    def place(self) -> int:
        """Most likely first index after the change, with at least MIN_SEGMENT values on both sides."""
        n = self._values.size
        if self._width <= 0 or n < 2 * MIN_SEGMENT:
            return int(np.argmax(self._after))
        density, back = _Density(self._together, self._width), self._values - self._shift
        later = density.log(back, back - self._together) - density.log(self._values, self._values - self._together)
        rest = float(later.sum()) - np.concatenate([[0.0], np.cumsum(later)])
        return MIN_SEGMENT + int(np.argmax(rest[MIN_SEGMENT : n - MIN_SEGMENT + 1]))


class _Density:
    """Gaussian kernel density on a grid, in values per bandwidth."""

    def __init__(self, sample: Floats, width: float) -> None:
        middle = array_median(sample)
        step = width / GRID_PER_BANDWIDTH
        # Half a step more centres the smallest value in its cell: at the edge, rounding would choose the cell.
        low = max(float(sample.min()), middle - CLIP_BANDWIDTHS * width) - 4.0 * width - 0.5 * step
        high = min(float(sample.max()), middle + CLIP_BANDWIDTHS * width) + 4.0 * width
        self._width = width
        kernel = np.exp(
            -0.5 * (np.arange(-4 * GRID_PER_BANDWIDTH, 4 * GRID_PER_BANDWIDTH + 1) / GRID_PER_BANDWIDTH) ** 2
        )
        # A width far below the rounding of the values leaves less than the kernel between the ends.
        count = max(int((high - low) / step) + 1, kernel.size)
        self._grid = low + step * (np.arange(count) + 0.5)
        with np.errstate(over="ignore"):
            places = np.clip((sample - low) / step, 0, count - 1).astype(np.intp)
        self._height = np.convolve(np.bincount(places, minlength=count).astype(np.float64), kernel, "same")

    def log(self, at: Floats, from_own: Floats | float) -> Floats:
        """Log density at ``at``, excluding the own value of each place, at distance ``from_own``."""
        own = np.exp(-0.5 * np.square(np.asarray(from_own, dtype=np.float64) / self._width))
        others = np.interp(at, self._grid, self._height) - own
        return np.asarray(np.log(np.maximum(others, 0.0) + FLOOR), dtype=np.float64)
