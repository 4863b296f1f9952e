"""Windows: of one reading, and of classes of lives, so that one query measures many pods. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from concertmaster.prometheus.collect.collection import CollectOptions
from concertmaster.prometheus.facts.drafts import PodDraft, PodName
from concertmaster.prometheus.queries.scope import TimeRange

LIFE_BUCKETS = (3600, 6 * 3600, 24 * 3600)  # seconds; usage is asked for over the pods' own lives, in these classes
LIFE_SPAN, LONGEST_SPAN = 1800.0, 6 * 3600.0  # seconds between the ends of pods that are asked for together, and of few
FEW = 250  # pods that are worth a query of their own
LOOKBACK = 300  # seconds a series stays visible after its last sample where nothing marks it stale
SETTLED = 60.0  # seconds after the end of a container at which its last sample is there
LONGEST_LIFE = 7 * 24 * 3600  # seconds; the part of a longer life before that is not read


def by_life(drafts: Sequence[PodDraft], end: float, most: int) -> Iterator[tuple[float, TimeRange, list[PodDraft]]]:
    """Drafts in classes, newest first: at which moment (``end`` or before it) to look back over which window.

    A class has pods of lives of about the same length that ended at about the same time, at most ``most`` of them: the
    source evaluates each series at every step of the window, so that a window much longer than the lives in it costs it
    many times what they are worth.
    """
    lengths: dict[int, list[tuple[float, float, PodDraft]]] = {}
    for draft in drafts:
        over, begin = draft.finished, draft.begin
        at = end if over is None or end - over - SETTLED < LIFE_SPAN else float(math.ceil(over + SETTLED))
        need = min(float(LONGEST_LIFE), max(60.0, at - begin)) if begin is not None else float(LIFE_BUCKETS[0])
        place = next((i for i, bound in enumerate(LIFE_BUCKETS) if need <= bound), len(LIFE_BUCKETS) - 1)
        lengths.setdefault(place, []).append((at, need, draft))
    classes: list[list[tuple[float, float, PodDraft]]] = []
    for place in sorted(lengths):
        near: list[tuple[float, float, PodDraft]] = []
        for life in sorted(lengths[place], key=lambda life: -life[0]):
            apart = near[0][0] - life[0] if near else 0.0
            if len(near) == most or apart > LONGEST_SPAN or (len(near) >= FEW and apart > LIFE_SPAN):
                classes.append(near)
                near = []
            near.append(life)
        classes.append(near)
    for near in sorted(classes, key=lambda near: -near[0][0]):
        latest = near[0][0]
        need = min(float(LONGEST_LIFE), max(latest - at + need for at, need, _ in near))
        yield latest, TimeRange(60 * (int(need) // 60 + 1)), [draft for _, _, draft in near]


def window_of(since: float, end: float, options: CollectOptions) -> TimeRange:
    known = int(end - since + options.overlap)
    return TimeRange(known + LOOKBACK, known)


def twice(drafts: Sequence[PodDraft]) -> set[PodName]:
    names = Counter((draft.namespace, draft.pod) for draft in drafts)
    return {name for name, count in names.items() if count > 1}
