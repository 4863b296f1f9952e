"""The part of a series of runs that can be analysed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats, Indices
from concertmaster.core.changepoint.grouped import as_rows, in_groups
from concertmaster.core.changepoint.scores import MIN_SEGMENT
from concertmaster.core.stats.summary import as_floats

MIN_KNOWN_SHARE = 0.75  # share of runs with known input from which the others are ignored
MIN_VALUES = 2 * MIN_SEGMENT  # values: two levels
_ZERO = 1e-300  # where all are zero

Numbers = Iterable[float | None] | Floats


class Series(NamedTuple):
    """``values`` (one per run, any unit), ``times`` of the runs (unix seconds) and their input sizes, all of one length;
    ``times`` and ``inputs`` are None where there are none."""

    times: Numbers | None
    values: Numbers
    inputs: Numbers | None = None


class RunSeries(NamedTuple):
    """Values that can be analysed: ``indices`` in the series as given, ``time`` (all NaN without times), ``y`` the logs of
    the values, ``inputs`` (NaN where unknown, None where none were given); all of shape (n,). ``adjusted``: ``y`` is without
    the part explained by the inputs.
    """

    indices: Indices
    time: Floats
    y: Floats
    inputs: Floats | None
    adjusted: bool = False


def prepare(times: Numbers | None, values: Numbers) -> RunSeries | str:
    """The usable part of a series in order of time, or a sentence that says why it cannot be used."""
    return prepare_many([Series(times, values)])[0]


def prepare_many(many: Sequence[Series]) -> list[RunSeries | str]:
    """``prepare`` of each series."""
    return in_groups([_RawSeries.of(*each) for each in many], _RawSeries.length, _of_one_length)


class _RawSeries(NamedTuple):
    """A series as arrays, NaN where something is missing; ``timed``: there are times."""

    times: Floats
    values: Floats
    inputs: Floats | None
    timed: bool

    @classmethod
    def of(cls, times: Numbers | None, values: Numbers, inputs: Numbers | None) -> _RawSeries:
        data = as_floats(values)
        when = np.full(data.size, np.nan) if times is None else as_floats(times)
        return cls(when, data, None if inputs is None else as_floats(inputs), times is not None)

    def length(self) -> int:
        """The number of values; -1 if there is another number of times or inputs."""
        n = self.values.size
        return n if self.times.size == n and (self.inputs is None or self.inputs.size == n) else -1


def _of_one_length(given: list[_RawSeries]) -> list[RunSeries | str]:
    """Most series lack nothing and are in order of time: only the logs are left to compute, for all of them at once."""
    n = given[0].length()
    if n < MIN_VALUES:
        return [_usable_part(each) for each in given]
    values, times = as_rows([each.values for each in given]), as_rows([each.times for each in given])
    usable = (values > 0.0) & np.isfinite(values) & np.isfinite(times)
    usable[:, 1:] &= times[:, 1:] >= times[:, :-1]
    usable_as_given = np.asarray(usable.all(axis=1))
    index, logs = np.arange(n), iter(np.log(values[usable_as_given]))
    prepared: list[RunSeries | str] = []
    for each, in_order in zip(given, usable_as_given.tolist(), strict=True):
        y = next(logs) if in_order else None
        if y is None or (each.inputs is not None and _few_unknown(each.inputs)):
            prepared.append(_usable_part(each))
        else:
            prepared.append(RunSeries(index, each.times, y, each.inputs))
    return prepared


def _usable_part(given: _RawSeries) -> RunSeries | str:
    """The usable values of one series in order of time."""
    when, data, sizes, timed = given
    if given.length() < 0:
        inputs = data.size if sizes is None else sizes.size
        return f"{data.size} values, {when.size} times and {inputs} input sizes: one of each per run is needed"
    usable = np.isfinite(data) & (data >= 0.0)
    index = np.flatnonzero(usable & np.isfinite(when) if timed else usable)
    if timed:
        index = index[np.argsort(when[index], kind="stable")]
    if sizes is not None and index.size and _few_unknown(sizes[index]):
        index = index[np.isfinite(sizes[index])]  # the input of the newest runs may not have been read yet
    if index.size < MIN_VALUES:
        return f"{index.size} of {MIN_VALUES} values needed to tell a change"
    return RunSeries(index, when[index], _logs(data[index]), None if sizes is None else sizes[index])


def _few_unknown(inputs: Floats) -> bool:
    return MIN_KNOWN_SHARE <= float(np.isfinite(inputs).mean()) < 1.0


def _logs(values: Floats) -> Floats:
    """Logs of values that are not negative; zeros count as half of the smallest positive one."""
    positive = values[values > 0.0]
    return np.asarray(np.log(np.maximum(values, positive.min() / 2.0 if positive.size else _ZERO)))
