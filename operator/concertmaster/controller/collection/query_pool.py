"""Users' queries run in threads beside the cycle, which waits for quick answers and uses slow ones in a later cycle.

A query may be legal and take half a minute, and there may be a hundred of them. One namespace has one thread at a time,
namespaces whose last query was slow share two, and the cycle waits for all of them together for a few seconds at most.
Namespaces share the number of queries of a cycle, too, and a query that failed is retried with exponential backoff.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Hashable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from concertmaster.core.model import WorkflowKey
from concertmaster.core.units import HOUR
from concertmaster.net.background import in_background

THREADS = 4
SLOW_THREADS = 2  # of these, for namespaces whose last query was slow
MAX_WAIT = 1.0  # seconds a cycle waits for one namespace; not at all for one whose last query was slow
MAX_TOTAL_WAIT = 5.0  # and for all of them
_FORGET_AFTER = HOUR  # seconds an answer is held for its author
_MAX_BACKOFFS = 500  # backoffs kept, before those that ended as long ago as they lasted are forgotten
_MAX_BACKOFF = 2 * HOUR  # seconds

T = TypeVar("T")


class NotYet(Exception):
    """There is no answer yet; it comes in a later cycle."""


@dataclass(frozen=True, slots=True)
class QueryAuthor:
    """Whose query it is, and which one of theirs."""

    workflow: WorkflowKey
    what: Hashable


@dataclass(frozen=True, slots=True)
class _Rest:
    until: float
    seconds: float
    why: str = ""


_AWAKE = _Rest(0.0, 60.0)


@dataclass(slots=True)
class _Job(Generic[T]):
    call: Callable[[], T]
    clock: Callable[[], float]
    begun: float = field(init=False)
    ended: float = field(init=False)
    answer: Future[T] = field(init=False)
    announced: bool = False

    def __post_init__(self) -> None:
        self.begun = self.clock()
        self.answer = in_background(self._run, name="user-query")

    def _run(self) -> T:
        try:
            return self.call()
        finally:
            self.ended = self.clock()


class QueryPool:
    """Used by one thread; the calls it is given run in others and must end by themselves."""

    def __init__(self, most: int, *, patience: float = MAX_WAIT, clock: Callable[[], float] = time.monotonic) -> None:
        """``most`` queries per cycle; ``patience``: seconds to wait for one namespace."""
        self._patience = patience
        self.most = most
        self._clock = clock
        self._asked: Counter[str] = Counter()  # queries of this cycle, by namespace
        self._owed: Counter[str] = Counter()  # queries beyond the shares of earlier cycles, by namespace
        # Namespaces with queries, in the last and in this cycle.
        self._asking: tuple[set[str], set[str]] = (set(), set())
        self._rests: dict[QueryAuthor, _Rest] = {}
        self._jobs: dict[QueryAuthor, _Job[Any]] = {}
        self._turned_away: set[WorkflowKey] = set()
        self._slow: set[str] = set()
        self._waited: Counter[str] = Counter()
        self._waited_in_all = 0.0

    def begin(self) -> None:
        """A new cycle: the full number of queries may be asked again."""
        share = self._share()
        owed = {namespace: asked - share for namespace, asked in (self._owed + self._asked).items()}
        self._owed = +Counter(owed)
        self._asked.clear()
        self._asking = (self._asking[1], set())
        self._waited.clear()
        self._waited_in_all = 0.0
        now = self._clock()
        for author, job in list(self._jobs.items()):
            if job.answer.done() and now - job.ended > _FORGET_AFTER:
                del self._jobs[author]

    def arrived(self) -> set[WorkflowKey]:
        """Workflows that can continue: their answer has arrived, or a thread is free that they did not get last time."""
        keys: set[WorkflowKey] = set()
        for author, job in self._jobs.items():
            if job.answer.done() and not job.announced:
                job.announced = True
                keys.add(author.workflow)
        busy = {author.workflow.namespace for author, job in self._jobs.items() if not job.answer.done()}
        waiting = {workflow for workflow in self._turned_away if workflow.namespace in busy}
        keys |= self._turned_away - waiting
        self._turned_away = waiting
        return keys

    def may(self, namespace: str, number: int) -> bool:
        """Whether the namespace's share of the cycle's queries allows this many more. If so, they are counted. What cannot
        be parted may be more than a share; the namespace then waits until its shares add up to it."""
        self._asking[1].add(namespace)
        asked = self._owed[namespace] + self._asked[namespace]
        if self._asked.total() + number > self.most or (asked and asked + number > self._share()):
            return False
        self._asked[namespace] += number
        return True

    def _share(self) -> int:
        return max(1, self.most // max(1, len(self._asking[0] | self._asking[1])))

    def later(self, workflow: WorkflowKey) -> None:
        """The share of the workflow's namespace was used up: it is due again in the next cycle."""
        self._turned_away.add(workflow)

    def rest(self, author: QueryAuthor, now: float) -> str:
        """Why the author's query is not sent at present; empty when it may be. ``now`` is unix seconds."""
        rest = self._rests.get(author, _AWAKE)
        return rest.why if rest.until - rest.seconds <= now < rest.until else ""  # it may be before: a clock set back

    def failed(self, author: QueryAuthor, why: str, now: float) -> None:
        """The query was sent and failed: its backoff starts."""
        if len(self._rests) >= _MAX_BACKOFFS:  # an edited query leaves a backoff behind for each of its texts
            self._rests = {a: r for a, r in self._rests.items() if now < r.until + r.seconds}
        seconds = min(2 * self._rests.get(author, _AWAKE).seconds, _MAX_BACKOFF)
        self._rests[author] = _Rest(now + seconds, seconds, why)

    def succeeded(self, author: QueryAuthor) -> None:
        """The query was answered: its backoff ends."""
        self._rests.pop(author, None)

    def waits(self, author: QueryAuthor) -> bool:
        """Whether the author's query was sent and its answer was not taken."""
        return author in self._jobs

    def ask(self, author: QueryAuthor, call: Callable[[], T]) -> T:
        """The answer of ``call``, or of the author's earlier call whose answer was not collected yet. Raises NotYet, and
        what the call raised."""
        if author not in self._jobs:
            if not self._free(author.workflow.namespace):
                self._turned_away.add(author.workflow)
                raise NotYet
            self._jobs[author] = _Job(call, self._clock)
        answer: T = self.take(author)
        return answer

    def take(self, author: QueryAuthor) -> Any:
        """The answer to what was asked before. Raises NotYet, and what the call raised."""
        job = self._jobs[author]
        namespace = author.workflow.namespace
        if not job.answer.done():
            begun = self._clock()
            spent = max(self._waited[namespace], begun - job.begun)  # one query is waited for in one cycle only
            left = min(self._patience - spent, MAX_TOTAL_WAIT - self._waited_in_all)
            wait([job.answer], 0.0 if namespace in self._slow else max(0.0, left))
            waited = self._clock() - begun
            self._waited[namespace] += waited  # type: ignore[assignment]
            self._waited_in_all += waited
        if not job.answer.done():
            raise NotYet
        del self._jobs[author]
        (self._slow.add if job.ended - job.begun > self._patience else self._slow.discard)(namespace)
        return job.answer.result()

    def _free(self, namespace: str) -> bool:
        """Whether there is a thread for a query of this namespace."""
        now = self._clock()
        running = {author.workflow.namespace: job for author, job in self._jobs.items() if not job.answer.done()}
        if namespace in running or len(running) >= THREADS:
            return False
        slow = {other for other, job in running.items() if other in self._slow or now - job.begun > self._patience}
        return namespace not in self._slow or len(slow) < SLOW_THREADS
