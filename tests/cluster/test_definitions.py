"""Definitions on a real API server: what has not changed is not read again, with no right but to list."""

from __future__ import annotations

import json
from typing import Any

import pytest

from concertmaster.controller.discovery.targets import NO_TARGETS, Targets, refresh
from concertmaster.kube.client import KubeClient
from testbed.services.cluster import Cluster
from testbed.services.kinds import ARGO_CRDS, install_kinds
from tests.support.resources import CRONJOB, known_resource


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


@pytest.mark.parametrize("kind", ["CronJob", "CronWorkflow"])
def test_a_status_is_no_edit_whether_or_not_it_is_a_subresource(kind: str, cluster: Cluster, namespace: str) -> None:
    install_kinds(cluster, ARGO_CRDS)
    workflow = {"entrypoint": "main", "templates": [{"name": "main", "container": {"image": "registry.example/x:1"}}]}
    cron = _cronjob(namespace, "w")
    resource, status = CRONJOB, ["--subresource=status"]
    if kind == "CronWorkflow":
        cron |= {"apiVersion": "argoproj.io/v1alpha1", "kind": kind}
        cron["spec"] = {"schedules": ["0 4 * * *"], "suspend": True, "workflowSpec": workflow}
        resource, status = known_resource("argoproj.io/v1alpha1", kind), []
    cluster.apply(cron)
    client = KubeClient.connect(cluster.kubeconfig())

    def edition(body: dict[str, Any], *more: str) -> int | str | None:
        what = (resource.plural, "w", "-n", namespace, "--type=merge", "-p", json.dumps(body))
        cluster.kubectl("patch", *what, *more)
        (target,) = refresh(client, [resource], [namespace], NO_TARGETS)
        return target.edition

    first = edition({"status": {"lastScheduleTime": "2026-01-01T00:00:00Z"}}, *status)
    assert first == edition({"status": {"lastScheduleTime": "2026-01-02T00:00:00Z"}}, *status)
    assert first != edition({"spec": {"suspend": False}})


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
