"""In-process fakes: an API server in memory, and short builders for objects of the project's kinds."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from concertmaster.kube import errors
from concertmaster.kube.client import KubeClient
from concertmaster.kube.objects import PROFILES, ObjectRef, Resource


class MemoryClient(KubeClient):
    """Objects by path, with the API server's essential behaviour: uids, JSON Patch tests, 404, 409.

    ``faults`` maps (method, path) to exceptions; each such request raises and removes the first one.
    """

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.calls: list[tuple[str, str, Any]] = []
        self.faults: dict[tuple[str, str], list[BaseException]] = {}
        self.lists: dict[str, Exception] = {}
        self.on_request: Callable[[str, str], None] = lambda *_: None
        self._uid = 0
        self._creating = threading.Lock()

    def close(self) -> None:
        """Nothing to close."""

    def put(self, resource: Resource, namespace: str | None, name: str, **parts: Any) -> dict[str, Any]:
        """Store an object as a user would with kubectl."""
        self._uid += 1
        meta = {
            "name": name,
            "uid": f"uid-{self._uid}",
            "resourceVersion": str(self._uid),
            "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            **({"namespace": namespace} if namespace else {}),
            **parts.pop("metadata", {}),
        }
        obj = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta, "spec": {}, **parts}
        self.objects[resource.path(namespace, name)] = obj
        return obj

    def items(self, path: str, **options: Any) -> Iterator[dict[str, Any]]:
        self.calls.append(("LIST", path, dict(options)))
        self.on_request("LIST", path)
        if path in self.lists:
            raise self.lists[path]
        plural = path.rpartition("/")[2]
        namespace = path.partition("/namespaces/")[2].partition("/")[0]
        for key, obj in sorted(self.objects.items()):
            if key.split("/")[-2] != plural:
                continue
            if namespace and obj["metadata"].get("namespace") != namespace:
                continue
            if options.get("name") not in (None, obj["metadata"]["name"]):
                continue
            if not _labelled(obj, options.get("label_selector")):
                continue
            shown = ("metadata",) if options.get("metadata_only") else obj
            yield copy.deepcopy({part: obj[part] for part in shown})

    def count(self, path: str) -> int | None:
        """What a server answers that does not say how many objects there are."""
        return None

    def request(self, method: str, path: str, **kwargs: Any) -> dict[str, Any]:
        body: Any = kwargs.get("body")
        self.calls.append((method, path, copy.deepcopy(body)))
        self.on_request(method, path)
        planned = self.faults.get((method, path)) or []
        if planned:
            raise planned.pop(0)
        if method == "POST":
            return self._create(path, body)
        base = path.removesuffix("/status")
        if base not in self.objects:
            raise errors.NotFound(
                f"{method} {path}: {base.rpartition('/')[2]} not found", status=404, reason="NotFound"
            )
        obj = self.objects[base]
        if method == "GET":
            return copy.deepcopy(obj)
        if method == "DELETE":
            if body["preconditions"]["uid"] != obj["metadata"]["uid"]:
                raise errors.Conflict("uid", status=409)
            return self.objects.pop(base)
        return self._patch(obj, body)

    def _create(self, path: str, body: Any) -> dict[str, Any]:
        if path.endswith("selfsubjectaccessreviews"):
            return {"status": {"allowed": self.allows(body["spec"]["resourceAttributes"])}}
        meta = body["metadata"]
        key = f"{path}/{meta['name']}"
        if key in self.objects:
            raise errors.Conflict(f"{key} exists", status=409, reason="AlreadyExists")
        with self._creating:  # profiles are created several at a time
            self._uid += 1
            number = self._uid
        stored = copy.deepcopy(dict(body))
        stored["metadata"] = {
            **meta,
            "uid": f"uid-{number}",
            "resourceVersion": str(number),
            "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        }
        self.objects[key] = stored
        return copy.deepcopy(stored)

    def allows(self, attributes: Mapping[str, str]) -> bool:
        """Answer SelfSubjectAccessReviews; replaced by tests."""
        return True

    def _patch(self, obj: dict[str, Any], body: Any) -> dict[str, Any]:
        self._uid += 1
        changed = copy.deepcopy(obj)
        if isinstance(body, list):
            for operation in body:
                _json_patch(changed, operation)
        else:
            labels = body["metadata"].get("labels", {})
            merged = {**changed["metadata"].get("labels", {}), **labels}
            changed["metadata"]["labels"] = {k: v for k, v in merged.items() if v is not None}
        changed["metadata"]["resourceVersion"] = str(self._uid)
        obj.clear()
        obj.update(changed)
        return copy.deepcopy(obj)

    def writes(self) -> list[tuple[str, str]]:
        """All requests that changed or could have changed the cluster, without access reviews."""
        return [(m, p) for m, p, _ in self.calls if m in ("POST", "PATCH", "DELETE") and "selfsubjectaccess" not in p]


def _labelled(obj: Mapping[str, Any], selector: str | None) -> bool:
    """Whether the object has the labels of a selector such as ``team=data,tier=gold``; other forms select all."""
    terms = [term.split("=", 1) for term in (selector or "").split(",") if "=" in term and "!" not in term]
    labels = obj["metadata"].get("labels") or {}
    return all(labels.get(key) == value for key, value in terms)


def _json_patch(obj: dict[str, Any], operation: Mapping[str, Any]) -> None:
    keys = operation["path"].strip("/").split("/")
    place: Any = obj
    for key in keys[:-1]:
        if key not in place:
            raise errors.Rejected(f"{operation['path']}: no such path", status=422, reason="Invalid")
        place = place[key]
    if operation["op"] == "test":
        if place.get(keys[-1]) != operation["value"]:
            raise errors.Rejected("the test of a JSON Patch failed", status=422, reason="Invalid")
    else:
        place[keys[-1]] = copy.deepcopy(operation["value"])


def ref(
    name: str = "etl", uid: str = "uid-1", resource: Resource = PROFILES, namespace: str | None = "demo"
) -> ObjectRef:
    """A reference to a profile."""
    return ObjectRef(resource, namespace, name, uid)
