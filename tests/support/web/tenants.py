"""A fake API server with two tenants: it reviews tokens and permissions like RBAC, and lists profiles and changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from concertmaster.kube.client import ClientLimits, KubeClient
from concertmaster.kube.operator_service import OperatorService
from concertmaster.kube.reviews import Reviewer
from concertmaster.web.app import application
from concertmaster.web.auth.tenants import Tenants
from concertmaster.web.auth.tokens import TokenAuthenticator
from concertmaster.web.readers import ClusterReader
from tests.support.controller.apiserver import QUICK, Answer, ApiServer, Request, failure, serving
from tests.support.web.server import Dashboard, served

READ = ("get", "list")
BOTH = ("workflowprofiles", "workflowchanges")


@dataclass
class TwoTenants:
    """``tokens``: user by token; ``rights``: user to (verb, plural, namespace or *); ``documents``: analysis by uid."""

    profiles: list[dict[str, Any]]
    changes: list[dict[str, Any]] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)
    rights: dict[str, set[tuple[str, str, str]]] = field(default_factory=dict)
    documents: Mapping[str, Any] = field(default_factory=dict)
    down: bool = False
    asked: list[str] = field(default_factory=list)

    def person(self, token: str, *namespaces: str, plurals: tuple[str, ...] = BOTH) -> None:
        """Add a user who may read these namespaces; ``*``: all."""
        self.tokens[token] = f"user-{token}"
        self.rights[f"user-{token}"] = {(v, p, n) for v in READ for p in plurals for n in namespaces}

    def __call__(self, request: Request) -> Answer:
        """The response of the API server."""
        if self.down:
            return Answer(drop=True)
        spec = (request.body or {}).get("spec", {})
        if request.path.endswith("/tokenreviews"):
            self.asked.append("token")
            user = self.tokens.get(spec["token"])
            known = {"authenticated": True, "user": {"username": user, "groups": ["system:authenticated"]}}
            return Answer(body={"status": known if user else {"authenticated": False}})
        if request.path.endswith("/subjectaccessreviews"):
            wanted = spec["resourceAttributes"]
            assert wanted["group"] == "concertmaster.dev"
            assert spec["groups"] == ["system:authenticated"]
            self.asked.append(f"{wanted['verb']} {wanted['resource']} {wanted.get('namespace', '*')}")
            rights = self.rights.get(spec["user"], set())
            places = {wanted.get("namespace", "*"), "*"}
            granted = any((wanted["verb"], wanted["resource"], p) in rights for p in places)
            return Answer(body={"status": {"allowed": granted}})
        if "/proxy/" in request.path:
            document = self.documents.get(request.query["uid"])
            if request.path.endswith("/days"):
                return Answer(body={"days": []})
            return Answer(body=document) if document is not None else failure(404, "NotFound")
        return self._objects(request)

    def _objects(self, request: Request) -> Answer:
        parts = request.path.split("/")
        known = self.changes if "workflowchanges" in parts else self.profiles
        if parts[-1] in ("workflowprofiles", "workflowchanges"):
            first = int(request.query.get("continue", "0"))
            end = first + int(request.query.get("limit", "500"))
            more = {"continue": str(end)} if end < len(known) else {}
            return Answer(body={"items": known[first:end], "metadata": more})
        place = parts[parts.index("namespaces") + 1]
        found = [o for o in known if (o["metadata"]["namespace"], o["metadata"]["name"]) == (place, parts[-1])]
        return Answer(body=found[0]) if found else failure(404, "NotFound")


@dataclass(frozen=True)
class Bed:
    """The pages in front of two tenants."""

    harness: TwoTenants
    server: ApiServer
    client: KubeClient
    reviewer: Reviewer
    pages: Dashboard

    def get(self, path: str, token: str, **headers: str) -> Any:
        """Get a page with a token."""
        return self.pages.get(path, **({"Authorization": f"Bearer {token}"} | headers))


@contextmanager
def in_cluster(harness: TwoTenants, limits: ClientLimits = QUICK, **options: Any) -> Iterator[Bed]:
    """Serve the pages as ``concertmaster web`` does; ``options`` go to the reviewer."""
    with serving(harness, limits=limits) as (server, client):
        reader = ClusterReader(OperatorService(client, "concertmaster", "concertmaster", own=False))
        reviewer = Reviewer(client, **options)
        authenticator = TokenAuthenticator(reviewer, Tenants(reader, reviewer))
        with served(application(authenticator, lambda: "" if reader.read_once else "not yet")) as url:
            yield Bed(harness, server, client, reviewer, Dashboard(url))
        reviewer.close()
