"""The operator that kopf runs: watches of our own kinds, fed into the cache, and of users' runs.

Event handlers only. Timers, daemons and change handlers put finalizers or annotations on users' objects, and indexes
start in worse than quadratic time; none of them is needed by a loop that looks at everything anyway.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

import kopf

from concertmaster.controller.live.pending_runs import pack
from concertmaster.controller.live.run_kinds import ServedRunKind
from concertmaster.controller.object_cache import ObjectCache
from concertmaster.controller.watches.list_and_watch import Backoffs, Retries
from concertmaster.kube.configuration import ApiConnection
from concertmaster.kube.objects import Resource

_PAGE = 500  # of our own kinds
_PAGE_OF_RUNS = 50  # one may be a megabyte


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
        if cache.observe(resource, event["type"], event["object"]):
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
