"""Windows: of one reading, and of classes of lives, so that one query measures many pods. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from concertmaster.prometheus.collect.collection import CollectOptions
from concertmaster.prometheus.facts.drafts import PodDraft, PodName
from concertmaster.prometheus.queries.scope import TimeRange

LIFE_BUCKETS = (3600, 6 * 3600, 24 * 3600)  # seconds; usage is asked for over the pods' own lives, in these classes
LIFE_SPAN = 6 * 3600.0  # seconds; in a longer reading, usage is looked back on from the next multiple after the end
LOOKBACK = 300  # seconds a series stays visible after its last sample where nothing marks it stale
SETTLED = 60.0  # seconds after the end of a container at which its last sample is there
LONGEST_LIFE = 7 * 24 * 3600  # seconds; the part of a longer life before that is not read


def by_life(drafts: Sequence[PodDraft], end: float) -> Iterator[tuple[float, TimeRange, list[PodDraft]]]:
    """Drafts in classes of lives: at which moment (``end`` or some hours before it) to look back over which window."""
    classes: dict[tuple[float, int], list[PodDraft]] = {}
    needs: dict[tuple[float, int], float] = {}
    for draft in drafts:
        over = draft.finished
        at = end if over is None else end - LIFE_SPAN * max(0, int((end - over - SETTLED) // LIFE_SPAN))
        begin = draft.begin
        need = min(float(LONGEST_LIFE), max(60.0, at - begin)) if begin is not None else float(LIFE_BUCKETS[0])
        place = next((i for i, bound in enumerate(LIFE_BUCKETS) if need <= bound), len(LIFE_BUCKETS) - 1)
        classes.setdefault((at, place), []).append(draft)
        needs[at, place] = max(need, needs.get((at, place), 0.0))
    for at, place in sorted(classes, key=lambda known: (-known[0], known[1])):
        yield at, TimeRange(60 * (int(needs[at, place]) // 60 + 1)), classes[at, place]


def window_of(since: float, end: float, options: CollectOptions) -> TimeRange:
    known = int(end - since + options.overlap)
    return TimeRange(known + LOOKBACK, known)


def twice(drafts: Sequence[PodDraft]) -> set[PodName]:
    names = Counter((draft.namespace, draft.pod) for draft in drafts)
    return {name for name, count in names.items() if count > 1}
