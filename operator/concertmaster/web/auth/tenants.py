"""One list of all workflows, confined to what each user may read: by SubjectAccessReview, namespace by namespace.

The list is read with the rights of the pages' own ServiceAccount and shared; sums, filters, pages and choices are made of
the confined list, so that nothing of another tenant can be known by a number either.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from concertmaster.core import text
from concertmaster.kube.access import Right
from concertmaster.kube.errors import KubeError
from concertmaster.kube.objects import CHANGES, PROFILES
from concertmaster.kube.reviews import Identity, Reviewer
from concertmaster.report.workflows.fleet import FleetView
from concertmaster.web.readers import NotAllowed, Reader, Unavailable

log = logging.getLogger("concertmaster.web")
Raw = Mapping[str, Any]
Places = frozenset[str]
MAX_VIEWS = 64
_LIST_PROFILES = Right("list", PROFILES)
_LIST_CHANGES = Right("list", CHANGES)


class Tenants:
    """Confined readers over ``source``, which reads with the rights of the pages."""

    def __init__(self, source: Reader, reviewer: Reviewer) -> None:
        self._source = source
        self._reviewer = reviewer
        self._lock = threading.Lock()
        self._views: OrderedDict[tuple[Places, Places], tuple[FleetView, FleetView]] = OrderedDict()

    def reader(self, who: Identity) -> TenantReader:
        """What they may read."""
        return TenantReader(who, self._source, self._reviewer, self)

    def confined(self, whole: FleetView, profiles: Places, changes: Places) -> FleetView:
        """The list of some namespaces; users of the same namespaces share it."""
        key = (profiles, changes)
        with self._lock:
            kept = self._views.get(key)
            if kept is not None and kept[0] is whole:
                self._views.move_to_end(key)
                return kept[1]
        made = whole.within(profiles, changes)
        with self._lock:
            self._views[key] = (whole, made)
            self._views.move_to_end(key)
            # Views of an older list would hold all its objects.
            for other in [k for k, (of, _) in self._views.items() if of is not whole]:
                del self._views[other]
            while len(self._views) > MAX_VIEWS:
                self._views.popitem(last=False)
        return made


@dataclass(frozen=True, slots=True)
class TenantReader:
    """What one user may read. See ``Reader``."""

    who: Identity
    source: Reader
    reviewer: Reviewer
    tenants: Tenants

    def fleet(self) -> tuple[FleetView, tuple[str, ...]]:
        """Workflows of the namespaces in which they may list WorkflowProfiles; changes likewise."""
        try:
            whole, problems = self.source.fleet()
        except Unavailable as error:
            log.warning("workflows cannot be listed: %s", error)  # it may name namespaces of others
            raise Unavailable("The dashboard could not list WorkflowProfiles; its log says why.") from None
        notes = ("WorkflowChanges could not be read and are left out.",) if problems else ()
        everywhere = whole.namespaces
        try:
            profiles = self.reviewer.places(self.who, _LIST_PROFILES, everywhere)
            if not profiles and not self.reviewer.allowed(self.who, _LIST_PROFILES):
                raise NotAllowed(
                    f"{self.who.name} may not list WorkflowProfiles in any namespace that has one. Ask for: kubectl create "
                    f"rolebinding concertmaster-view --clusterrole=view --user={self.who.name} --namespace=NAMESPACE"
                )
            changes = self.reviewer.places(self.who, _LIST_CHANGES, profiles)
        except KubeError as error:
            raise Unavailable(f"The API server could not be asked what you may read: {error}") from None
        if changes != profiles:
            hidden = text.listing(sorted(profiles - changes), 10)
            notes = (*notes, f"You may not list WorkflowChanges in {hidden}: they are left out.")
        return self.tenants.confined(whole, profiles, changes), notes

    def profile(self, namespace: str, name: str) -> Raw | None:
        """One profile, where they may get it; whether there is one is not reported to others."""
        try:
            allowed = self.reviewer.allowed(self.who, Right("get", PROFILES, namespace), name)
        except KubeError as error:
            raise Unavailable(f"The API server could not be asked what you may read: {error}") from None
        if not allowed:
            raise NotAllowed(f"{self.who.name} may not get WorkflowProfile {name} in namespace {namespace}.")
        try:
            return self.source.profile(namespace, name)
        except Unavailable as error:
            log.warning("a profile cannot be read: %s", error)
            raise Unavailable("The dashboard could not read the WorkflowProfile; its log says why.") from None

    def detail(self, profile: Raw) -> tuple[Raw, str]:
        """The analysis of a profile that ``profile`` gave."""
        return self.source.detail(profile)

    def days(self, profile: Raw) -> Raw:
        """The daily rows of a profile that ``profile`` gave."""
        return self.source.days(profile)

    def runs(self, profile: Raw, run: str = "") -> Raw:
        """The runs of a profile that ``profile`` gave."""
        return self.source.runs(profile, run)
