"""Windows: of one reading, and of classes of lives, so that one query measures many pods. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from concertmaster.core.units import HOUR
from concertmaster.prometheus.collect.collection import CollectOptions
from concertmaster.prometheus.facts.drafts import PodDraft, PodName
from concertmaster.prometheus.queries.scope import TimeRange

LIFE_BUCKETS = (3600, 6 * 3600, 24 * 3600)  # seconds; usage is queried over the pods' own lives, in these classes
LIFE_SPAN, MAX_LIFE_SPAN = 1800.0, 6 * HOUR  # seconds between the ends of pods asked for together: of many, of any
MIN_PODS_PER_QUERY = 250  # pods that are worth a query of their own
# When it had ended and its last sample was there, and when it began (unix seconds).
_Life = tuple[float, float, PodDraft]
LOOKBACK = 300  # seconds a series stays visible after its last sample where nothing marks it stale
SETTLED = 60.0  # seconds after the end of a container at which its last sample is there
MAX_LIFE = 7 * 24 * 3600  # seconds; the part of a longer life before that is not read


def latest_moment(end: float, now: float) -> float:
    """The moment up to which lives are read by a reading of what ended until ``end``: their last samples come after it."""
    return max(end, min(float(int(now)), end + SETTLED))


def by_life(drafts: Sequence[PodDraft], end: float, most: int) -> Iterator[tuple[float, TimeRange, list[PodDraft]]]:
    """Drafts in classes, newest first: at which moment (``end`` or before it) to look back over which window.

    A class has lives of about the same length. Many of them are parted into those that ended at about the same time, at
    most ``most`` together: the source evaluates each series at every step of the window, so that a window much longer than
    the lives in it costs it many times what they are worth.
    """
    classes: dict[tuple[float, int], list[_Life]] = {}
    for draft in drafts:
        over, begin = draft.finished, draft.begin
        at = end if over is None else end - MAX_LIFE_SPAN * max(0, int((end - over - SETTLED) // MAX_LIFE_SPAN))
        need = min(float(MAX_LIFE), max(60.0, at - begin)) if begin is not None else float(LIFE_BUCKETS[0])
        place = next((i for i, bound in enumerate(LIFE_BUCKETS) if need <= bound), len(LIFE_BUCKETS) - 1)
        settled = at if over is None else min(at, float(math.ceil(over + SETTLED)))
        classes.setdefault((at, place), []).append((settled, at - need, draft))
    for at, place in sorted(classes, key=lambda known: (-known[0], known[1])):
        lives = classes[at, place]
        for near in _parted(lives, most):
            latest = at if len(near) == len(lives) else near[0][0]
            need = max(60.0, latest - min(begin for _, begin, _ in near))
            yield latest, TimeRange(60 * (int(need) // 60 + 1)), [draft for _, _, draft in near]


def _parted(lives: Sequence[_Life], most: int) -> Iterator[list[_Life]]:
    """Lives by when they had ended, newest first, in parts that are worth a query of their own."""
    near: list[_Life] = []
    for life in sorted(lives, key=lambda life: -life[0]):
        if len(near) == most or (len(near) >= MIN_PODS_PER_QUERY and near[0][0] - life[0] > LIFE_SPAN):
            yield near
            near = []
        near.append(life)
    yield near


def window_of(since: float, end: float, options: CollectOptions) -> TimeRange:
    """The window of a reading of ``since`` to ``end`` (unix seconds), with the overlap of the ``options``."""
    known = int(end - since + options.overlap)
    return TimeRange(known + LOOKBACK, known)


def reused_names(drafts: Sequence[PodDraft]) -> set[PodName]:
    """The names that several of the pods bear."""
    names = Counter((draft.namespace, draft.pod) for draft in drafts)
    return {name for name, count in names.items() if count > 1}
