"""What must be true before the operator can do anything: a reachable API server, our kinds, and the rights to use them.

Checked once at start and reported in one sentence each, with the command that fixes it. Waiting a while for the kinds is
deliberate: charts and GitOps tools install them in any order.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from concertmaster.kube.access import AccessChecker, Right
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import Forbidden, KubeError, NotFound, Stopped, Unauthorized
from concertmaster.kube.objects import API_VERSION, CHANGES, CLUSTER_POLICIES, OWN_KINDS, POLICIES, PROFILES, Resource

log = logging.getLogger("concertmaster.start")

CRDS = Resource("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False)


class StartError(Exception):
    """The operator cannot start; the message says what is missing and how to get it."""


@dataclass(frozen=True, slots=True)
class WaitPolicy:
    """Seconds to wait for a condition to come true, and between two checks."""

    wait: float = 120.0
    pause: float = 2.0


@dataclass(frozen=True, slots=True)
class Prerequisites:
    """What the operator may rely on: the kinds it watches and whether it can notice installed and removed kinds."""

    kinds: tuple[Resource, ...]
    scanning: bool
    notes: tuple[str, ...] = ()


def check(
    client: KubeClient,
    access: AccessChecker,
    namespaces: Sequence[str],
    stop: threading.Event,
    *,
    patience: WaitPolicy | None = None,
    clock: Callable[[], float] = time.monotonic,
    on_wait: Callable[[], None] = lambda: None,
) -> Prerequisites:
    """Wait for the API server and our kinds, then check rights. StartError when it cannot work; Stopped on stop."""
    patience = patience or WaitPolicy()
    served = _wait_for_kinds(client, stop, patience, clock, on_wait)
    places: Sequence[str | None] = list(namespaces) or [None]
    needed = [
        Right(verb, resource, place)
        for resource in (PROFILES, POLICIES)
        for place in places
        for verb in ("list", "watch")
    ]
    needed += [Right("patch", PROFILES, place, "status") for place in places]
    missing = access.missing(needed)
    if missing:
        raise StartError(
            "the operator's service account lacks rights: "
            + "; ".join(str(r) for r in missing)
            + ". Grant them (the Helm chart does with rbac.create=true) and restart"
        )
    kinds = [PROFILES, POLICIES]
    notes = []
    for resource in (CLUSTER_POLICIES, CHANGES):
        spots: Sequence[str | None] = places if resource.namespaced else [None]
        lacking = access.missing(Right(verb, resource, spot) for spot in spots for verb in ("list", "watch"))
        if resource.plural in served and not lacking:
            kinds.append(resource)
        else:
            why = f"no right to {lacking[0]}" if lacking else "the cluster does not serve it"
            notes.append(f"{resource.kind} is not watched: {why}")
    scanning = not namespaces and not access.missing([Right("list", CRDS), Right("watch", CRDS)])
    return Prerequisites(tuple(kinds), scanning, tuple(notes))


def _wait_for_kinds(
    client: KubeClient,
    stop: threading.Event,
    patience: WaitPolicy,
    clock: Callable[[], float],
    on_wait: Callable[[], None],
) -> frozenset[str]:
    """The plurals of our group the server serves, once profiles and policies are among them."""
    begun = clock()
    reported = ""
    while True:
        problem = ""
        try:
            api_resources = client.get(f"/apis/{API_VERSION}")
            served = frozenset(str(r.get("name", "")) for r in api_resources.get("resources") or ())
            lacking = [r.plural for r in OWN_KINDS[:2] if r.plural not in served]
            if not lacking:
                return served
            problem = _install(lacking)
        except NotFound:
            problem = _install([r.plural for r in OWN_KINDS])
        except (Unauthorized, Forbidden) as error:
            raise StartError(
                f"the API server {client.server} does not accept the operator's identity: {error}"
            ) from error
        except KubeError as error:
            problem = f"{error}. Check that the API server is up and that a network policy lets the operator reach it"
        if problem != reported:
            log.warning("waiting: %s", problem)
            reported = problem
        on_wait()
        if clock() - begun >= patience.wait:
            raise StartError(f"waited {patience.wait:.0f} s: {problem}")
        if stop.wait(patience.pause):
            raise Stopped("the operator is stopping")


def _install(plurals: Sequence[str]) -> str:
    return (
        f"the cluster does not serve {', '.join(plurals)} ({API_VERSION}); "
        "install the CustomResourceDefinitions: kubectl apply --server-side -f crds/"
    )
