"""The only module that knows kopf: watch streams of our own kinds, fed into the cache, and of users' runs.

Event handlers only. Timers, daemons and change handlers put finalizers or annotations on users' objects, and indexes
start in worse than quadratic time; none of them is needed by a loop that looks at everything anyway.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol

import aiohttp
import kopf
from kopf._cogs.clients import errors, fetching, watching

from concertmaster.controller.live.pending_runs import pack
from concertmaster.controller.live.run_kinds import ServedRunKind
from concertmaster.controller.object_cache import EventEffect, ObjectCache
from concertmaster.kube.configuration import ApiConnection
from concertmaster.kube.objects import Resource

_MAX_BACKOFF = 15.0
_PAGE = 500  # of our own kinds
_PAGE_OF_RUNS = 50  # one may be a megabyte
_LOG_EVERY = 60.0  # seconds
_LASTING = 60.0  # seconds; an attempt that takes longer does not end for the reason of the one before it

log = logging.getLogger(watching.__name__)  # shares the limit of a line a minute


class Backoffs:
    """Endless pauses in seconds between attempts of a watch: an API server that is away for an hour comes back."""

    def __iter__(self) -> Iterator[float]:
        pause = 0.5
        while True:
            yield pause
            pause = min(_MAX_BACKOFF, pause * 2)


class Retries:
    """Pauses of ``Backoffs`` between attempts, from the first one again after an attempt that lasted."""

    def __init__(self) -> None:
        self._pauses = iter(Backoffs())
        self._begun = time.monotonic()

    async def pause(self, why: str) -> None:
        """Wait after an attempt that ended because of ``why``."""
        if time.monotonic() - self._begun > _LASTING:
            self._pauses = iter(Backoffs())
        else:
            log.warning("%s; will retry", why)
        await asyncio.sleep(next(self._pauses))
        self._begun = time.monotonic()


async def _list_and_watch(**place: Any) -> AsyncIterator[Any]:
    """What kopf's function of this place does, with a pause after each end of a watch, whatever ended it. By itself kopf
    ends the process at any error within a watch but 410 and at most answers in place of a list or a watch; it lists
    everything ten times a second where each watch ends with 410, and opens a thousand a second where each ends at once.
    Raises 404, of a kind that is gone."""
    waiter, retries = place.pop("operator_pause_waiter"), Retries()
    since: str | None = None
    while not waiter.done():
        why = "its connection was closed"
        try:
            if since is None:
                async for chunk, version in fetching.fetch_objs(logger=log, **place):
                    since = version
                    for obj in chunk:
                        yield {"type": None, "object": obj}
                    del chunk  # not in memory beside the next one
                yield watching.Bookmark.LISTED
            async for event in watching.watch_objs(since=since, operator_pause_waiter=waiter, **place):
                if event["type"] == "ERROR":
                    since, why = None, str(event["object"].get("message"))
                    break
                since = event["object"].get("metadata", {}).get("resourceVersion", since)
                yield event
        except (errors.APIError, aiohttp.ClientError, TimeoutError, ValueError) as error:
            if getattr(error, "status", None) == 404:
                raise
            since, why = None, str(error.args[0] if error.args else error)
        await retries.pause(f"the watch of {place['resource']} ended: {why}")


watching.continuous_watch = _list_and_watch


class WatchLogFilter(logging.Filter):
    """kopf logs every attempt of every watch as an error that contains the whole answer. Passes one short line a minute,
    as a warning while the watch is retried."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._last = float("-inf")

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line may pass, shortened."""
        now = self._clock()
        if now - self._last < _LOG_EVERY:
            return False
        self._last = now
        message = record.getMessage()[:300]
        record.msg, record.args = f"watching: {message}", ()
        if "will retry" in message and record.levelno > logging.WARNING:
            record.levelno, record.levelname = logging.WARNING, logging.getLevelName(logging.WARNING)
        return True


_WATCH_LOG = WatchLogFilter()


class _NoDiffs(kopf.DiffBaseStorage):
    """Stores no previous state of objects. kopf copies each object of each event for change handlers, and there are none."""

    def build(self, *, body: kopf.Body, extra_fields: Any = None) -> kopf.BodyEssence:
        """Nothing of it."""
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        """Nothing is kept."""
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Nothing is written."""


def settings(*, scanning: bool) -> kopf.OperatorSettings:
    """kopf's settings. ``scanning``: the operator may watch CustomResourceDefinitions to notice later installations."""
    logging.getLogger("kopf._cogs.clients.watching").addFilter(_WATCH_LOG)
    options = kopf.OperatorSettings()
    # Silent dead watches are kopf's most reported fault: bound every stream. The API server sends a bookmark every minute,
    # so that a stream without a byte for longer is dead, whatever its connection says.
    options.watching.inactivity_timeout = 70
    options.watching.server_timeout = 300
    options.watching.client_timeout = 330
    options.watching.connect_timeout = 10
    options.watching.chunk_size = _PAGE
    options.persistence.diffbase_storage = _NoDiffs()
    options.posting.enabled = False  # no aggregation, no rate limit: kube.events does it
    options.execution.max_workers = 2
    options.queueing.idle_timeout = 0.1  # two tasks per object live that long after each event
    options.queueing.exit_timeout = 0.5
    options.networking.request_timeout = 30
    options.networking.connect_timeout = 10
    options.networking.error_backoffs = Backoffs()
    options.networking.enforce_retry_after = True
    options.scanning.disabled = not scanning
    options.process.ultimate_exiting_timeout = 20
    options.peering.standalone = True
    return options


def operator_registry(
    cache: ObjectCache,
    kinds: Sequence[Resource],
    connection: Callable[[], ApiConnection],
    changed: Callable[[], None],
) -> kopf.OperatorRegistry:
    """Handlers that copy events of ``kinds`` into ``cache`` and call ``changed`` when one has a meaning."""
    handlers = _logged_in(connection)
    for resource in kinds:
        _watch(handlers, resource, cache, changed)
    return handlers


def _logged_in(connection: Callable[[], ApiConnection]) -> kopf.OperatorRegistry:
    """A registry of handlers with the operator's own credentials."""
    handlers, retries, logins = kopf.OperatorRegistry(), Retries(), itertools.count()

    @kopf.on.login(registry=handlers)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        if number := next(logins):
            await retries.pause("the credentials were not accepted (401)")
        present = await asyncio.to_thread(connection)  # a kubeconfig may name a command that takes seconds
        return kopf.ConnectionInfo(
            priority=number,  # credentials equal to refused ones would end the process; the API server may accept them later
            server=present.server,
            ca_path=present.ca_file,
            insecure=not present.verify,
            username=present.username,
            password=present.password,
            scheme=present.scheme,
            token=present.token,
            certificate_path=present.certificate_file,
            private_key_path=present.key_file,
        )

    return handlers


def _watch(
    handlers: kopf.OperatorRegistry, resource: Resource, cache: ObjectCache, changed: Callable[[], None]
) -> None:
    group, _, version = resource.api_version.partition("/")

    @kopf.on.event(group, version, resource.plural, registry=handlers, id=resource.plural)
    async def seen(event: Any, **_: Any) -> None:
        if cache.observe(resource, event["type"], event["object"]) is EventEffect.MEANING:
            changed()


async def watch(
    handlers: kopf.OperatorRegistry,
    options: kopf.OperatorSettings,
    *,
    namespaces: Collection[str],
    ready: Callable[[], None],
) -> None:
    """Watch until cancelled, or until something happens that a retry cannot fix. ``ready`` is called once kopf has
    started: by then it has taken the process's signals, and a stop by signal would wait five seconds for idle tasks.
    Cancelling does not."""
    started = asyncio.Event()
    operator = asyncio.create_task(
        kopf.operator(
            registry=handlers,
            settings=options,
            standalone=True,
            clusterwide=not namespaces,
            namespaces=list(namespaces),
            ready_flag=started,
        ),
        name="kopf",
    )
    starting = asyncio.create_task(started.wait())
    try:
        await asyncio.wait({operator, starting}, return_when=asyncio.FIRST_COMPLETED)
        if started.is_set():
            ready()
        await operator
    finally:
        starting.cancel()
        operator.cancel()
        await asyncio.wait({operator})


class Runs(Protocol):
    """Who takes finished runs."""

    def accepts(self, resource: Resource, obj: Mapping[str, Any]) -> bool:
        """Whether this object is worth keeping."""

    def take(self, resource: Resource, obj: Mapping[str, Any], packed: bytes) -> None:
        """Keep it."""


def _no_signals(record: logging.LogRecord) -> bool:
    """kopf warns that it cannot handle the process's signals outside the main thread, which is intended."""
    return "OS signals are ignored" not in record.getMessage()


async def watch_runs(
    kinds: Collection[ServedRunKind],
    runs: Runs,
    arrived: Callable[[], None],
    connection: Callable[[], ApiConnection],
    *,
    namespaces: Collection[str],
) -> None:
    """Hand finished runs of ``kinds`` over to ``runs`` until cancelled; ``arrived`` is called after each."""
    logging.getLogger("kopf._core.reactor.running").addFilter(_no_signals)
    handlers, options = _logged_in(connection), settings(scanning=False)
    options.watching.chunk_size = _PAGE_OF_RUNS
    options.process.ultimate_exiting_timeout = None  # it would kill the thread the process lives in
    for kind in kinds:
        group, _, version = kind.resource.api_version.rpartition("/")
        if kind.selector is not None:
            options.watching.label_selectors[group, version, kind.resource.plural] = kind.selector
        _watch_run(handlers, kind.resource, runs, arrived)
    await watch(handlers, options, namespaces=namespaces, ready=lambda: None)


def _watch_run(handlers: kopf.OperatorRegistry, resource: Resource, runs: Runs, arrived: Callable[[], None]) -> None:
    group, _, version = resource.api_version.rpartition("/")

    @kopf.on.event(group, version, resource.plural, registry=handlers, id=resource.plural)
    async def seen(event: Any, **_: Any) -> None:
        obj = event["object"]
        if runs.accepts(resource, obj):
            runs.take(resource, obj, await asyncio.to_thread(pack, resource, obj))
            arrived()
