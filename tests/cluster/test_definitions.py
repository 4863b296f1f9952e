"""Definitions on a real API server: what has not changed is not read again, with no right but to list."""

from __future__ import annotations

import json
from typing import Any

from concertmaster.controller.discovery.targets import NO_TARGETS, Targets, refresh
from concertmaster.kube.client import KubeClient
from testbed.services.cluster import Cluster
from tests.support.resources import CRONJOB


def _cronjob(namespace: str, name: str) -> dict[str, Any]:
    container = {"name": "main", "image": "registry.example/x:1"}
    pod = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    spec = {"schedule": "0 4 * * *", "suspend": True, "jobTemplate": {"spec": {"template": pod}}}
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": meta, "spec": spec}


def _schedules(targets: Targets) -> dict[str, str]:
    return {t.ref.name: t.unpack()["spec"]["schedule"] for t in targets}


def test_what_changed_is_read_by_a_list_of_its_name(cluster: Cluster, namespace: str) -> None:
    cluster.apply(*(_cronjob(namespace, f"w{k}") for k in range(3)))
    rules = [{"apiGroups": ["batch"], "resources": ["cronjobs"], "verbs": ["list"]}]
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role"}
    reader = {"metadata": {"name": "lister", "namespace": namespace}}
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": namespace}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "lister"}
    cluster.apply(
        {**role, **reader, "rules": rules},
        {**role, **reader, "kind": "RoleBinding", "roleRef": reference, "subjects": [subject]},
    )
    kubeconfig = cluster.kubeconfig(service_account="default", namespace=namespace)
    with _Requests(kubeconfig) as asked:
        first = refresh(asked.client, [CRONJOB], [namespace], NO_TARGETS)
        assert len(asked.take()) == 1
        same = refresh(asked.client, [CRONJOB], [namespace], first)
        assert asked.take() == ["metadata"]
        assert [a is b for a, b in zip(first, same, strict=True)] == [True] * 3
        cluster.kubectl(
            "patch",
            "cronjob",
            "w1",
            "-n",
            namespace,
            "--type=merge",
            "-p",
            json.dumps({"spec": {"schedule": "5 5 * * *"}}),
        )
        cluster.kubectl("delete", "cronjob", "w2", "-n", namespace)
        cluster.apply(_cronjob(namespace, "w3"))
        changed = refresh(asked.client, [CRONJOB], [namespace], same)
        assert asked.take() == ["metadata", "metadata.name=w1", "metadata.name=w3"]
        assert changed.problems == ()
        assert _schedules(changed) == {"w0": "0 4 * * *", "w1": "5 5 * * *", "w3": "0 4 * * *"}


class _Requests:
    """A client whose lists are noted: of metadata, of one name, or whole."""

    def __init__(self, kubeconfig: Any) -> None:
        self.client = KubeClient.connect(kubeconfig)
        self._asked: list[str] = []
        items = self.client.items

        def noted(path: str, **options: Any) -> Any:
            name = options.get("name")
            self._asked.append(
                f"metadata.name={name}" if name else "metadata" if options.get("metadata_only") else "whole"
            )
            return items(path, **options)

        self.client.items = noted  # type: ignore[method-assign]

    def take(self) -> list[str]:
        """What was asked since the last call."""
        asked, self._asked = self._asked, []
        return asked

    def __enter__(self) -> _Requests:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
