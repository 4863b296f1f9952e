"""Where the dashboard's data comes from: a cluster, read with the reader's own rights, or an analysis held in memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from concertmaster.api.scale import common_scale
from concertmaster.core.model.policy import Pricing
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import Forbidden, KubeError, NotFound
from concertmaster.kube.objects import CHANGES, CLUSTER_POLICIES, PROFILES
from concertmaster.kube.operator_service import OperatorService
from concertmaster.net.background import in_background
from concertmaster.report.workflows.fields import changed_profile, full_name
from concertmaster.report.workflows.fleet import FleetView

Raw = Mapping[str, Any]
CACHE_SECONDS = 15.0  # seconds a list is shown without asking again
STALE = 300.0  # seconds it is shown while a new one is read


class Unavailable(Exception):
    """The data cannot be had; the message says why and what to do."""


class NotAllowed(Unavailable):
    """The reader's rights do not reach; the message says which are missing."""


class Reader(Protocol):
    """What pages and API read. Called from several threads."""

    def fleet(self) -> tuple[FleetView, tuple[str, ...]]:
        """All workflows the reader may see, and what could not be read. Raises Unavailable."""

    def profile(self, namespace: str, name: str) -> Raw | None:
        """One profile. Raises Unavailable."""

    def detail(self, profile: Raw) -> tuple[Raw, str]:
        """The last analysis of a profile in full (see ``report.detail``), empty with the reason where it cannot be had."""

    def days(self, profile: Raw) -> Raw:
        """The daily rows of a profile's workflow (see ``report.daily``), empty where they cannot be had."""

    def runs(self, profile: Raw, run: str = "") -> Raw:
        """The runs of a profile's workflow that are kept (``WorkflowRuns``), or ``run`` in full (``RunView``); empty where
        they cannot be had."""


@dataclass(frozen=True)
class MemoryReader:
    """Profiles and analyses in memory, by namespace and name."""

    view: FleetView
    details: Mapping[tuple[str, str], Raw] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    kept: Mapping[tuple[str, str], Raw] = field(default_factory=dict)
    past: Callable[[Raw, str], Raw] = lambda _, __: {}

    def fleet(self) -> tuple[FleetView, tuple[str, ...]]:
        """See ``Reader``."""
        return self.view, self.notes

    def profile(self, namespace: str, name: str) -> Raw | None:
        """See ``Reader``."""
        return next((p for p in self.view.profiles if full_name(p) == (namespace, name)), None)

    def detail(self, profile: Raw) -> tuple[Raw, str]:
        """See ``Reader``."""
        detail = self.details.get(full_name(profile))
        return (detail, "") if detail is not None else ({}, "no analysis of this workflow is at hand")

    def days(self, profile: Raw) -> Raw:
        """See ``Reader``."""
        return self.kept.get(full_name(profile), {})

    def runs(self, profile: Raw, run: str = "") -> Raw:
        """See ``Reader``."""
        return self.past(profile, run)


class ClusterReader:
    """The cluster as the reader's kubeconfig sees it: RBAC of the API server decides about every object. A list is kept
    for a short time, so that paging and sorting do not read ten thousand objects again. ``client``: what
    lists objects; by default that by which the ``operator`` is asked, which does not wait long."""

    def __init__(
        self,
        operator: OperatorService,
        *,
        client: KubeClient | None = None,
        namespaces: Sequence[str] = (),
        selector: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client or operator.client
        self._operator = operator
        self._namespaces = namespaces
        self._selector = selector
        self._clock = clock
        self._lock = threading.Lock()
        self._known: tuple[FleetView, tuple[str, ...]] | None = None
        self._renewal: Future[None] | None = None
        self.read_once = False

    def fleet(self) -> tuple[FleetView, tuple[str, ...]]:
        """See ``Reader``. One that is a little old is shown while another thread reads the next."""
        known = self._known
        age = self._clock() - known[0].now if known is not None else STALE
        if known is not None and age < CACHE_SECONDS:
            return known
        if known is not None and age < STALE:
            if self._renewal is None or self._renewal.done():
                self._renewal = in_background(self._renew, name="fleet")
            return known
        with self._lock:
            if self._known is None or self._clock() - self._known[0].now >= CACHE_SECONDS:
                self._known = self._read()
            return self._known

    def _renew(self) -> None:
        with suppress(Unavailable):  # the old list is shown with its time until it is too old; then the reason is
            self._known = self._read()

    def _read(self) -> tuple[FleetView, tuple[str, ...]]:
        now, notes = self._clock(), []
        places: Sequence[str | None] = self._namespaces or [None]
        try:
            profiles = [
                p for place in places for p in self._client.items(PROFILES.path(place), label_selector=self._selector)
            ]
        except NotFound as error:
            raise Unavailable("The kind WorkflowProfile is not installed in this cluster.") from error
        except Forbidden as error:
            raise NotAllowed(f"{error}. Name namespaces you may read: --namespace NAME.") from error
        except KubeError as error:
            raise Unavailable(str(error)) from error
        try:
            changes = [c for place in places for c in self._client.items(CHANGES.path(place))]
        except KubeError as error:
            changes = []
            notes.append(f"WorkflowChanges could not be read: {error}")
        if self._selector:
            known = {full_name(p) for p in profiles}
            changes = [c for c in changes if changed_profile(c) in known]
        scale = self._scale()
        view = FleetView(profiles, changes, now, scale or Pricing(), policies_read=scale is not None)
        view.prepare()
        self.read_once = True
        return view, tuple(notes)

    def _scale(self) -> Pricing | None:
        """What ranks recommendations, as the cluster's policies say; None if they could not be read. The pages' own account
        may not where it has rights in single namespaces only."""
        if self._namespaces and not self._operator.own:
            return None
        try:
            return common_scale(self._client.items(CLUSTER_POLICIES.path(None)))
        except KubeError:
            return None

    def profile(self, namespace: str, name: str) -> Raw | None:
        """See ``Reader``."""
        try:
            return self._client.get(PROFILES.path(namespace, name))
        except NotFound:
            return None
        except Forbidden as error:
            raise NotAllowed(str(error)) from None
        except KubeError as error:
            raise Unavailable(str(error)) from None

    def detail(self, profile: Raw) -> tuple[Raw, str]:
        """See ``Reader``."""
        return self._operator.document(profile)

    def days(self, profile: Raw) -> Raw:
        """See ``Reader``."""
        return self._operator.days(profile)[0]

    def runs(self, profile: Raw, run: str = "") -> Raw:
        """See ``Reader``."""
        return self._operator.runs(profile, run)[0]
