"""The chart on paper: lint, refused values, and what every toggle renders. No cluster is started."""

from __future__ import annotations

import base64
import copy
import gzip
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.scale.operator_process import DEPLOYED
from charts import readme, sync, values_schema
from concertmaster import settings
from concertmaster.engines import ENGINES
from concertmaster.prometheus.queries.recording_rule import GROUP
from testbed.install.build import ensure
from testbed.process import run
from tests.support.chart.bed import CHART, Helm, HelmError, find, objects_of
from tests.support.chart.values import EVERYTHING, SECRET

DATABASE = "postgresql://db.example.com:6432/concertmaster?sslmode=verify-full"


def test_lint_strict(helm: Helm, tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(EVERYTHING))
    helm("lint", "--strict", str(CHART))
    helm("lint", "--strict", str(CHART), "--values", str(file))


def test_generated_files_are_fresh() -> None:
    assert sync.stale() == []


def test_a_stale_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = sync.generated()
    wanted[sync.CHART / "values.schema.json"] += " "
    monkeypatch.setattr(sync, "generated", lambda: wanted)
    assert sync.stale() == ["charts/concertmaster/values.schema.json"]


def test_template_marks_in_a_description_are_not_executed(helm: Helm, tmp_path: Path) -> None:
    crd = "kind: CustomResourceDefinition\nmetadata:\n  name: x\nspec: {text: 'a {{ .Values.secret }} b'}\n"
    chart = tmp_path / "c"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: c\nversion: 0.1.0\n")
    (chart / "values.yaml").write_text("crds: {enabled: true, keep: true}\n")
    (chart / "templates" / "crd.yaml").write_text(sync.crd_template(crd))
    (found,) = helm.template(chart=chart)
    assert found["spec"]["text"] == "a {{ .Values.secret }} b"
    assert found["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"aply": {}}, "aply"),
        ({"apply": {"enable": True}}, "enable"),
        ({"apply": {"enabled": "yes"}}, "boolean"),
        ({"crds": {"kept": True}}, "kept"),
        ({"sources": []}, "sources"),
        ({"sources": [{"name": "default"}]}, "url"),
        ({"sources": [{"name": "Default!", "url": "http://x"}]}, "pattern"),
        ({"sources": [{"name": "default", "url": "http://x", "extraMatcher": {}}]}, "extraMatcher"),
        ({"sources": [{"name": "default", "url": "http://x", "auth": {"token": "abc"}}]}, "token"),
        ({"sources": [{"name": "a", "url": "http://x", "auth": {"basic": {"username": "u"}}}]}, "passwordFile"),
        (
            {"sources": [{"name": "a", "url": "http://x", "auth": {"bearerTokenSecret": {"name": "s"}}}]},
            "key",
        ),
        (
            {
                "sources": [
                    {"name": "a", "url": "http://x", "auth": {"bearerTokenFile": "/f", "bearerTokenSecret": SECRET}}
                ]
            },
            "not",
        ),
        ({"namespaces": ["Data"]}, "pattern"),
        ({"config": {"interval": "5 minutes"}}, "interval"),
        ({"config": {"limits": {"statusWritesPerSecond": 0}}}, "statusWritesPerSecond"),
        ({"image": {"digest": "sha256:abc"}}, "digest"),
        ({"metrics": {"prometheusRule": {"staleAfterSeconds": 1}}}, "staleAfterSeconds"),
        ({"networkPolicy": {"apiServerPorts": [70000]}}, "apiServerPorts"),
        ({"runAsUser": 0}, "runAsUser"),
        ({"history": {"persistence": {"size": "2 GB"}}}, "size"),
        ({"fullnameOverride": "My_Operator"}, "fullnameOverride"),
        ({"nameOverride": "operator."}, "nameOverride"),
        ({"sources": [{"name": "default", "url": "prometheus:9090"}]}, "url"),
        ({"sources": [{"name": "default", "url": "http://user@prometheus"}]}, "url"),
        ({"metrics": {"serviceMonitor": {"interval": "30"}}}, "interval"),
    ],
)
def test_wrong_values_are_refused(helm: Helm, values: dict[str, Any], word: str) -> None:
    with pytest.raises(HelmError, match="values don't meet the specifications") as refusal:
        helm.template(values)
    assert word in str(refusal.value)


@pytest.mark.parametrize(
    "unknown",
    [
        {"argoArchive": None, "tektonResults": None},
        {"history": {"url": DATABASE, "cacheSize": None}},
        {"networkPolicy": {"enabled": True, "dnsPorts": None}},
    ],
    ids=["archives", "cacheSize", "dnsPorts"],
)
def test_values_that_an_earlier_version_did_not_have_are_the_default(helm: Helm, unknown: dict[str, Any]) -> None:
    """``helm upgrade --reuse-values`` leaves them out."""
    known = {"history": {"url": DATABASE}, "networkPolicy": {"enabled": True}}
    assert helm.template(known | unknown) == helm.template(known)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"apply": {"enabled": True}}, "apply.namespaces"),
        ({"apply": {"enabled": True, "namespaces": ["b"]}, "namespaces": ["a"]}, "not among namespaces"),
        ({"serviceAccount": {"create": False}}, "serviceAccount.name"),
        ({"shards": 2}, "history.url"),
        # Helm removes a key that is null before it compares with the schema.
        ({"sources": None}, "sources: name at least one"),
        ({"networkPolicy": {"enabled": True, "apiServerPorts": None}}, "apiServerPorts: name at least one port"),
        ({"history": {"url": DATABASE, "persistence": {"enabled": True}}}, "nothing would be kept in the claim"),
        ({"history": {"url": DATABASE, "sizeLimit": "64Mi"}}, "history.cacheSize: 1Gi does not fit"),
        ({"argoArchive": {"url": DATABASE}}, "argoArchive: no user is named"),
        (
            {"tektonResults": {"url": DATABASE, "secret": {"name": "s", "userKey": ""}}},
            "tektonResults: no user is named",
        ),
        ({"history": {"url": DATABASE, "cacheSize": "1.8Gi"}}, "history.cacheSize: 1.8Gi does not fit"),
    ],
)
def test_values_that_contradict_each_other_are_refused(helm: Helm, values: dict[str, Any], word: str) -> None:
    with pytest.raises(HelmError) as refusal:
        helm.template(values)
    assert word in str(refusal.value)


@pytest.mark.parametrize(
    "history",
    [
        {"sizeLimit": "64Mi", "cacheSize": "0"},
        {"sizeLimit": "64Mi", "cacheSize": "50M"},
        {"sizeLimit": "1300Mi"},
        {"sizeLimit": "1Gi", "cacheSize": "800Mi"},
    ],
)
def test_copies_of_runs_that_fit_are_kept(helm: Helm, history: dict[str, str]) -> None:
    text = find(helm.template({"history": {"url": DATABASE, **history}}), "ConfigMap", "cm-concertmaster")["data"][
        "concertmaster.yaml"
    ]
    assert str(settings.parse(text).history.cache_size) == history.get("cacheSize", "1Gi")


def test_what_the_schema_lets_through_the_operator_accepts(helm: Helm) -> None:
    """The rendered configuration is one the operator reads, Secrets as paths of the files they are mounted at."""
    text = find(helm.template(EVERYTHING), "ConfigMap", "cm-concertmaster")["data"]["concertmaster.yaml"]
    found = settings.parse(text)
    first, second = found.sources
    assert first.auth.basic is not None
    root = "/etc/concertmaster/secrets"
    assert first.auth.basic.password_file == f"{root}/default/password"
    assert (first.tls.ca_file, first.tls.key_file) == (f"{root}/default/ca.crt", f"{root}/default/tls.key")
    assert first.headers["X-Api-Key"].value_file == f"{root}/default/header-X-Api-Key"
    assert first.headers["X-Scope-OrgID"].value == "team"
    assert second.auth.bearer_token_file == f"{root}/second/token"
    assert (str(found.interval), str(found.limits.backfill)) == ("2m", "7d")
    assert found.cluster_template_owners[0].namespace == "data"


def test_every_file_of_the_configuration_is_mounted(helm: Helm) -> None:
    objects = helm.template(EVERYTHING)
    pod = find(objects, "Deployment")["spec"]["template"]["spec"]
    mounts = {m["name"]: m["mountPath"] for m in pod["containers"][0]["volumeMounts"]}
    files = {
        f"{mounts[v['name']]}/{item['path']}"
        for v in pod["volumes"]
        for part in (v.get("projected") or {}).get("sources", ())
        for item in next(iter(part.values()))["items"]
    }
    text = find(objects, "ConfigMap", "cm-concertmaster")["data"]["concertmaster.yaml"]
    assert files == set(re.findall(r"/etc/concertmaster/secrets/\S+", text))
    assert len(files) == 13


def test_no_secret_stands_in_plain_text(helm: Helm) -> None:
    """The chart renders references only; a credential in a header's value is refused by the operator's own check."""
    values = copy.deepcopy(EVERYTHING)
    values["sources"][0]["headers"]["Authorization"] = "Bearer canary"
    text = find(helm.template(values), "ConfigMap", "cm-concertmaster")["data"]["concertmaster.yaml"]
    with pytest.raises(settings.SettingsError, match="holds a credential") as refusal:
        settings.parse(text)
    assert "canary" not in str(refusal.value)


@pytest.mark.parametrize(
    "values", [{}, EVERYTHING, {"namespaces": ["a", "b"]}], ids=["default", "everything", "scoped"]
)
def test_the_pod_is_restricted(helm: Helm, values: dict[str, Any]) -> None:
    deployment = find(helm.template(values), "Deployment")["spec"]
    pod = deployment["template"]["spec"]
    (container,) = pod["containers"]
    assert deployment["replicas"] == 1 and deployment["strategy"] == {"type": "Recreate"}
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "memory" in container["resources"]["limits"] and "cpu" not in container["resources"]["limits"]
    for volume in pod["volumes"]:
        assert volume.keys() & {"configMap", "emptyDir", "projected", "persistentVolumeClaim"}, volume
    writable = {m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")}
    assert writable == {"/var/lib/concertmaster", "/tmp"}


def test_a_platform_that_assigns_users_gets_none(helm: Helm) -> None:
    context = find(helm.template({"runAsUser": None}), "Deployment")["spec"]["template"]["spec"]["securityContext"]
    assert context == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def test_pods_listen_on_addresses_of_either_family(helm: Helm) -> None:
    """A cluster with IPv6 alone gives pods no other address to probe."""
    objects = helm.template({"web": {"enabled": True}})
    config = yaml.safe_load(find(objects, "ConfigMap")["data"]["concertmaster.yaml"])
    pages = find(objects, "Deployment", "cm-concertmaster-web")["spec"]["template"]["spec"]["containers"][0]
    assert (config["listen"]["address"], pages["args"][1]) == ("::", "--address=::")


def test_why_a_container_ended_is_in_the_status_of_its_pod(helm: Helm) -> None:
    for workload in (o for o in helm.template({"web": {"enabled": True}}) if o["kind"] == "Deployment"):
        (container,) = workload["spec"]["template"]["spec"]["containers"]
        assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"


def notes_of(helm: Helm, directory: Path, values: dict[str, Any]) -> str:
    chart = directory / "c"
    shutil.copytree(CHART, chart)
    (chart / "templates" / "NOTES.txt").rename(chart / "notes")
    (chart / "templates" / "notes.yaml").write_text('kind: Notes\ntext: {{ tpl (.Files.Get "notes") . | toJson }}\n')
    (notes,) = [o["text"] for o in helm.template(values, chart=chart) if o["kind"] == "Notes"]
    return str(notes)


@pytest.mark.parametrize(("image", "said"), [({}, True), ({"repository": "registry.example/cm"}, False)])
def test_notes_say_that_an_image_has_to_be_built(helm: Helm, tmp_path: Path, image: dict[str, str], said: bool) -> None:
    notes = notes_of(helm, tmp_path, {"image": image})
    assert ("There is no public image" in notes) is said
    assert "1. See that it runs" in notes


@pytest.mark.parametrize(
    ("changes", "history", "said"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"persistence": {"enabled": True}}, False),
        (True, {"url": DATABASE}, False),
    ],
)
def test_notes_say_that_changes_need_a_history_that_lasts(
    helm: Helm, tmp_path: Path, changes: bool, history: dict[str, Any], said: bool
) -> None:
    apply = {"enabled": True, "namespaces": ["jobs"]} if changes else {}
    notes = notes_of(helm, tmp_path, {"apply": apply, "history": history})
    assert ("history.persistence.enabled" in notes) is said


def test_a_new_configuration_starts_a_new_pod(helm: Helm) -> None:
    def checksum(values: dict[str, Any]) -> str:
        template = find(helm.template(values), "Deployment")["spec"]["template"]
        return str(template["metadata"]["annotations"]["checksum/config"])

    assert checksum({}) == checksum({"podLabels": {"a": "b"}})
    assert checksum({}) != checksum({"config": {"interval": "1m"}})


def test_the_database_is_named_and_its_credentials_come_from_the_secret(helm: Helm) -> None:
    secret = {"name": "database", "userKey": "user", "passwordKey": "secret"}
    objects = helm.template(
        {"history": {"url": DATABASE, "schema": "prod", "secret": secret}, "networkPolicy": {"enabled": True}}
    )
    text = find(objects, "ConfigMap", "cm-concertmaster")["data"]["concertmaster.yaml"]
    assert settings.parse(text).history == settings.HistorySettings(url=DATABASE, schema_name="prod")
    (container,) = find(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    given = {e["name"]: e["valueFrom"]["secretKeyRef"] for e in container["env"] if e["name"].startswith("PG")}
    assert given == {"PGUSER": {"name": "database", "key": "user"}, "PGPASSWORD": {"name": "database", "key": "secret"}}
    egress = find(objects, "NetworkPolicy")["spec"]["egress"]
    assert {"port": 6432, "protocol": "TCP"} in [port for rule in egress for port in rule["ports"]]


def test_the_archive_is_named_and_its_credentials_are_files(helm: Helm) -> None:
    url = "postgresql://reader@argo-db.example.com:6543/argo"
    secret = {"name": "archive", "userKey": "", "passwordKey": "secret"}
    archive = {"url": url, "secret": secret, "table": "argo.argo_archived_workflows", "clusterName": "prod-1"}
    objects = helm.template({"argoArchive": archive, "networkPolicy": {"enabled": True}})
    text = find(objects, "ConfigMap", "cm-concertmaster")["data"]["concertmaster.yaml"]
    found = settings.parse(text).argo_archive
    assert (found.url, found.table, found.cluster_name) == (url, "argo.argo_archived_workflows", "prod-1")
    assert (found.username_file, found.password_file) == (None, "/etc/concertmaster/secrets/argo_archive/password")
    pod = find(objects, "Deployment")["spec"]["template"]["spec"]
    (volume,) = (v for v in pod["volumes"] if v["name"] == "argo-archive")
    assert volume["projected"]["sources"] == [
        {"secret": {"name": "archive", "items": [{"key": "secret", "path": "password"}]}}
    ]
    egress = find(objects, "NetworkPolicy")["spec"]["egress"]
    assert {"port": 6543, "protocol": "TCP"} in [port for rule in egress for port in rule["ports"]]
    assert "argoArchive" not in find(helm.template({}), "ConfigMap", "cm-concertmaster")["data"]["concertmaster.yaml"]


def test_tekton_results_are_named_and_their_credentials_are_files(helm: Helm) -> None:
    url = "postgresql://results-db.example.com/tekton-results"
    values = {"url": url, "secret": {"name": "results"}, "table": "tekton.records"}
    objects = helm.template({"tektonResults": values, "networkPolicy": {"enabled": True}})
    text = find(objects, "ConfigMap", "cm-concertmaster")["data"]["concertmaster.yaml"]
    found = settings.parse(text).tekton_results
    assert (found.url, found.table) == (url, "tekton.records")
    files = ("/etc/concertmaster/secrets/tekton_results/username", "/etc/concertmaster/secrets/tekton_results/password")
    assert (found.username_file, found.password_file) == files
    pod = find(objects, "Deployment")["spec"]["template"]["spec"]
    (volume,) = (v for v in pod["volumes"] if v["name"] == "tekton-results")
    items = [{"key": "username", "path": "username"}, {"key": "password", "path": "password"}]
    assert volume["projected"]["sources"] == [{"secret": {"name": "results", "items": items}}]
    (mount,) = (m for m in pod["containers"][0]["volumeMounts"] if m["name"] == "tekton-results")
    assert mount["mountPath"] == "/etc/concertmaster/secrets/tekton_results"
    egress = find(objects, "NetworkPolicy")["spec"]["egress"]
    assert {"port": 5432, "protocol": "TCP"} in [port for rule in egress for port in rule["ports"]]
    assert "tektonResults" not in find(helm.template({}), "ConfigMap", "cm-concertmaster")["data"]["concertmaster.yaml"]


@pytest.mark.parametrize("url", ["postgresql://u:p@db/x", "mysql://db/x", "postgresql://db"])
def test_a_database_address_is_checked_and_holds_no_password(helm: Helm, url: str) -> None:
    for part in ("history", "argoArchive", "tektonResults"):
        with pytest.raises(HelmError, match=rf"{part}.*url"):
            helm.template({part: {"url": url}})


@pytest.mark.parametrize("values", [{}, {"shards": 2, "history": {"url": DATABASE}}])
def test_benchmarks_measure_the_memory_of_what_is_deployed(helm: Helm, values: dict[str, Any]) -> None:
    kind = "StatefulSet" if values else "Deployment"
    (container,) = find(helm.template(values), kind, "cm-concertmaster")["spec"]["template"]["spec"]["containers"]
    assert {e["name"]: e.get("value") for e in container["env"]}.items() >= DEPLOYED.items()


def test_shards_are_a_statefulset_with_a_lease_each(helm: Helm) -> None:
    before = helm.template({"history": {"url": DATABASE}})
    objects = helm.template({"shards": 3, "history": {"url": DATABASE}})
    assert "Deployment" not in {o["kind"] for o in objects}
    spec = find(objects, "StatefulSet", "cm-concertmaster")["spec"]
    assert (spec["replicas"], spec["podManagementPolicy"]) == (3, "Parallel")
    services = {o["metadata"]["name"]: o for o in objects if o["kind"] == "Service"}
    assert sorted(services) == ["cm-concertmaster", *(f"cm-concertmaster-{n}" for n in range(3))]
    scraped = services[spec["serviceName"]]["spec"]["selector"]
    matching = [s for s in services.values() if scraped.items() <= s["metadata"]["labels"].items()]
    assert matching == [services[spec["serviceName"]]], "each pod is scraped once"
    for name, service in services.items():
        assert service["spec"]["selector"].get("statefulset.kubernetes.io/pod-name") in (None, name)
    asked = find(objects, "Role", "cm-concertmaster-explain")["rules"][0]["resourceNames"]
    assert asked == [f"{name}:http" for name in sorted(services)]
    (container,) = spec["template"]["spec"]["containers"]
    assert {"name": "CONCERTMASTER_SHARDED", "value": "true"} in container["env"]
    assert {"name": "CONCERTMASTER_LEASE", "value": "cm-concertmaster"} in container["env"]
    shards = [f"cm-concertmaster-{n}" for n in range(3)]
    named = {
        (resource, name)
        for rule in find(objects, "Role", "cm-concertmaster-lease")["rules"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", ())
    }
    assert named == {
        ("leases", "cm-concertmaster"),
        *(("leases", shard) for shard in shards),
        *(("configmaps", f"{shard}-summary") for shard in shards),
    }
    assert rules(objects, "ClusterRole") == rules(before, "ClusterRole")
    more = rules(objects, "Role") - rules(before, "Role")
    assert more == {
        ("coordination.k8s.io", "leases", "list"),
        *(("", "configmaps", verb) for verb in ("create", "get", "patch")),
    }
    assert "StatefulSet" not in {o["kind"] for o in before}


def rules(objects: list[Any], kind: str) -> set[tuple[str, str, str]]:
    """Every (group, resource, verb) that roles of ``kind`` grant, those for people left out."""
    return {
        (group, resource, verb)
        for o in objects
        if o["kind"] == kind and not o["metadata"]["name"].endswith(("-view", "-edit", "-approve"))
        for rule in o["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


WRITING = {"create", "update", "patch", "delete", "deletecollection", "*"}


def test_the_default_writes_nothing_but_its_own_kinds(helm: Helm) -> None:
    granted = rules(helm.template(), "ClusterRole")
    writes = {(g, r) for g, r, verb in granted if verb in WRITING}
    assert writes == {
        ("concertmaster.dev", "workflowprofiles"),
        ("concertmaster.dev", "workflowprofiles/status"),
        ("concertmaster.dev", "optimizationpolicies/status"),
        ("concertmaster.dev", "clusteroptimizationpolicies/status"),
        ("events.k8s.io", "events"),
    }
    assert not {r for _, r, _ in granted if r in ("secrets", "configmaps", "pods/exec")}
    assert not {x for rule in granted for x in rule if x == "*"}


def test_namespaced_mode_has_nothing_of_the_cluster(helm: Helm) -> None:
    objects = helm.template({"namespaces": ["a", "b"], "rbac": {"userRoles": False}, "crds": {"enabled": False}})
    assert not [o["kind"] for o in objects if o["kind"].startswith("Cluster")]
    places = {o["metadata"]["namespace"] for o in objects if o["kind"] == "Role"}
    assert places == {"a", "b", "ops"}
    assert {r for _, r, _ in rules(objects, "Role")}.isdisjoint({"customresourcedefinitions"})
    assert ("", "namespaces", "get") in rules(objects, "Role")
    assert ("", "namespaces", "list") not in rules(objects, "Role")


def test_change_rights_are_roles_of_the_listed_namespaces(helm: Helm) -> None:
    before, after = helm.template(), helm.template({"apply": {"enabled": True, "namespaces": ["data"]}})
    wide = rules(after, "ClusterRole") - rules(before, "ClusterRole")
    assert {(group, verb) for group, _, verb in wide} == {("admissionregistration.k8s.io", "list")}
    more = rules(after, "Role") - rules(before, "Role")
    assert more == {
        (group, resource, verb)
        for group, resource in (
            ("argoproj.io", "workflowtemplates"),
            ("argoproj.io", "cronworkflows"),
            ("tekton.dev", "pipelines"),
            ("tekton.dev", "tasks"),
            ("batch", "cronjobs"),
        )
        for verb in ("get", "patch")
    } | {
        ("concertmaster.dev", "workflowchanges", "get"),
        ("concertmaster.dev", "workflowchanges", "create"),
        ("concertmaster.dev", "workflowchanges", "delete"),
        ("concertmaster.dev", "workflowchanges/status", "patch"),
        ("", "limitranges", "list"),
        ("", "resourcequotas", "list"),
        ("autoscaling", "horizontalpodautoscalers", "list"),
        ("autoscaling.k8s.io", "verticalpodautoscalers", "list"),
        ("keda.sh", "scaledobjects", "list"),
        ("argoproj.io", "workflows", "list"),
    }
    added = [o for o in after if o["kind"] in ("Role", "RoleBinding") and o["metadata"]["name"].endswith("-apply")]
    assert {o["metadata"]["namespace"] for o in added} == {"data"}


@pytest.mark.parametrize("trial", [True, False])
def test_queues_of_kueue_are_read_where_their_workloads_are_and_changes_are_made(helm: Helm, trial: bool) -> None:
    apply = {"apply": {"enabled": True, "namespaces": ["data"], "trialPods": trial}}
    before, after = helm.template(apply), helm.template({**apply, "reads": {"kueueWorkloads": True}})
    read = {kind: rules(after, kind) - rules(before, kind) for kind in ("ClusterRole", "Role")}
    group = "kueue.x-k8s.io"
    assert read["ClusterRole"] == {(group, "workloads", "list"), (group, "clusterqueues", "list")}
    assert read["Role"] == {(group, "localqueues", "list")}
    inside = helm.template({**apply, "reads": {"kueueWorkloads": True}, "namespaces": ["data"]})
    assert {r for _, r, _ in rules(inside, "Role")}.isdisjoint({"localqueues", "clusterqueues"})


@pytest.mark.parametrize(
    ("engine", "gone"),
    [
        ("argo", {"workflowtemplates", "cronworkflows", "clusterworkflowtemplates", "workflows"}),
        ("tekton", {"pipelines", "tasks", "pipelineruns", "taskruns"}),
        ("cronJobs", {"cronjobs", "jobs", "jobsets", "pods"}),
    ],
)
def test_an_engine_that_is_not_there_is_not_read(helm: Helm, engine: str, gone: set[str]) -> None:
    values = {"apply": {"enabled": True, "namespaces": ["data"]}}
    base = {"podLabels": False}  # they read pods whatever else is there
    whole = helm.template(values | {"engines": base})
    less = helm.template(values | {"engines": base | {engine: False}})
    for kind in ("ClusterRole", "Role"):
        lost = {r for _, r, _ in rules(whole, kind)} - {r for _, r, _ in rules(less, kind)}
        assert lost <= gone
    assert {r for _, r, _ in rules(less, "ClusterRole")}.isdisjoint(gone)


def test_runs_are_read_only_when_they_are_wanted(helm: Helm) -> None:
    whole, less = helm.template(), helm.template({"config": {"live": False}})
    gone = {r for _, r, _ in rules(whole, "ClusterRole")} - {r for _, r, _ in rules(less, "ClusterRole")}
    kinds = [kind for engine in ENGINES for run in engine.run_kinds for kind in (run.object, run.children) if kind]
    assert (
        gone == {kind.plural for kind in kinds} >= {"workflows", "pipelineruns", "taskruns", "jobs", "jobsets", "pods"}
    )
    text = find(less, "ConfigMap", "cm-concertmaster")["data"]["concertmaster.yaml"]
    assert settings.parse(text).live is False
    assert settings.parse(find(whole, "ConfigMap", "cm-concertmaster")["data"]["concertmaster.yaml"]).live is True


def test_crds_follow_their_toggles(helm: Helm) -> None:
    def crds(**toggles: bool) -> list[Any]:
        return [o for o in helm.template({"crds": toggles}) if o["kind"] == "CustomResourceDefinition"]

    assert len(crds()) == 4
    assert all(c["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"} for c in crds(keep=True))
    assert all("annotations" not in c["metadata"] for c in crds(keep=False))
    assert crds(enabled=False) == []
    plain = {p.name: yaml.safe_load(p.read_text()) for p in (sync.ROOT / "crds").glob("*.yaml")}
    assert {c["metadata"]["name"]: c["spec"] for c in crds()} == {
        c["metadata"]["name"]: c["spec"] for c in plain.values()
    }


def test_network_policy_lets_out_what_the_sources_need(helm: Helm) -> None:
    values = {**EVERYTHING, "networkPolicy": {"enabled": True, "apiServerTo": [{"ipBlock": {"cidr": "10.0.0.1/32"}}]}}
    spec = find(helm.template(values), "NetworkPolicy")["spec"]
    dns, api, stores, archive, results = spec["egress"]
    assert archive == {"ports": [{"port": 5432, "protocol": "TCP"}]}
    assert results == {"ports": [{"port": 5433, "protocol": "TCP"}]}
    assert {p["port"] for p in dns["ports"]} == {53}
    assert [p["port"] for p in api["ports"]] == [443, 6443]
    assert api["to"] == [{"ipBlock": {"cidr": "10.0.0.1/32"}}]
    assert {p["port"] for p in stores["ports"]} == {80, 9443}
    assert spec["ingress"][0]["ports"] == [{"port": "http", "protocol": "TCP"}]
    assert spec["policyTypes"] == ["Ingress", "Egress"]


def test_network_policies_let_out_to_the_ports_of_the_dns_pods(helm: Helm) -> None:
    """A Service's port 53 may be another one in the pod, which is the one that a policy sees."""
    values = {"web": {"enabled": True}, "networkPolicy": {"enabled": True, "dnsPorts": [5353]}}
    policies = [o for o in helm.template(values) if o["kind"] == "NetworkPolicy"]
    assert len(policies) == 2
    for policy in policies:
        dns = policy["spec"]["egress"][0]["ports"]
        assert dns == [{"port": 5353, "protocol": "UDP"}, {"port": 5353, "protocol": "TCP"}]


def test_alert_rules_are_valid_promql(helm: Helm, tmp_path: Path) -> None:
    found = find(helm.template({"metrics": {"prometheusRule": {"enabled": True}}}), "PrometheusRule")["spec"]
    names = {"concertmaster.alerts", "concertmaster.workflows", "concertmaster.rules"}
    assert {g["name"] for g in found["groups"]} == names
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump(found))
    promtool = ensure(["promtool"], lambda _: None)["promtool"]
    answer = run([promtool, "check", "rules", "--lint=all", "--lint-fatal", file], "checking rules", lambda _: None)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    more = helm.template({"metrics": {"prometheusRule": {"enabled": True, "collectionRules": True}}})
    collecting = find(more, "PrometheusRule")["spec"]
    assert collecting["groups"][-1] == GROUP
    file.write_text(yaml.safe_dump(collecting))
    answer = run([promtool, "check", "rules", "--lint=all", "--lint-fatal", file], "checking rules", lambda _: None)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    off = {"metrics": {"prometheusRule": {"enabled": True, "recordingRules": False}}}
    groups = find(helm.template(off), "PrometheusRule")["spec"]["groups"]
    assert {g["name"] for g in groups} == names - {"concertmaster.rules"}


@pytest.mark.parametrize("sharded", [False, True])
def test_labels_of_the_values_do_not_replace_those_by_which_pods_are_selected(helm: Helm, sharded: bool) -> None:
    own = {"app.kubernetes.io/name": "mine", "app.kubernetes.io/instance": "mine", "app.kubernetes.io/version": "9"}
    values = EVERYTHING | {"commonLabels": own | {"team": "platform"}, "podLabels": own | {"team": "pods"}}
    values |= {"web": {"enabled": True}, "extraObjects": []}
    if sharded:
        values |= {"shards": 2, "history": {"url": DATABASE}}
    objects = [o for o in helm.template(values) if o["kind"] != "CustomResourceDefinition"]
    pods = [o["spec"] for o in objects if o["kind"] in ("Deployment", "StatefulSet")]
    labels = [spec["template"]["metadata"]["labels"] for spec in pods]
    assert [found["team"] for found in labels] == ["pods", "pods"]
    for spec, found in zip(pods, labels, strict=True):
        assert spec["selector"]["matchLabels"].items() <= found.items()
    for selector in (o["spec"]["selector"] for o in objects if o["kind"] == "Service"):
        selector.pop("statefulset.kubernetes.io/pod-name", None)
        assert sum(selector.items() <= found.items() for found in labels) == 1
    for o in objects:
        assert o["metadata"]["labels"]["team"] == "platform", o
        assert o["metadata"]["labels"].get("app.kubernetes.io/name") != "mine"


def test_labels_by_which_prometheus_and_grafana_select_win(helm: Helm) -> None:
    own = {"app.kubernetes.io/part-of": "kube-prometheus", "team": "observability"}
    values = {name: {"enabled": True, "labels": own} for name in ("serviceMonitor", "prometheusRule", "dashboards")}
    objects = helm.template({"metrics": values, "commonLabels": {"team": "platform"}})
    for kind, name in (
        ("ServiceMonitor", None),
        ("PrometheusRule", None),
        ("ConfigMap", "cm-concertmaster-dashboards"),
    ):
        found = find(objects, kind, name)["metadata"]["labels"]
        assert found.items() >= own.items() and found["app.kubernetes.io/instance"] == "cm"


@pytest.mark.parametrize("word", ["123", "true"])
def test_words_that_yaml_reads_as_something_else_stay_text(helm: Helm, word: str) -> None:
    secret = {"name": word, "userKey": word, "passwordKey": word}
    values = EVERYTHING | {
        "namespaces": [word],
        "apply": {"enabled": True, "namespaces": [word]},
        "reads": {"argoNamespace": word},
        "priorityClassName": word,
        "argoArchive": {"url": "postgresql://db/argo", "secret": secret},
        "history": {"url": DATABASE, "schema": "on", "secret": secret},
        "web": {"enabled": True, "tls": {"secretName": word}},
        "serviceAccount": {"name": word},
        "crds": {"enabled": False},
    }
    objects = objects_of(helm("template", word, str(CHART), "--namespace", word, values=values))
    for o in objects:
        wrong = [(place, value) for place, value in _texts(o) if not isinstance(value, str)]
        assert not wrong, (o["kind"], wrong)
    found = settings.parse(find(objects, "ConfigMap", f"{word}-concertmaster")["data"]["concertmaster.yaml"])
    assert (found.namespaces, found.argo_namespace, found.history.schema_name) == ((word,), word, "on")


def _texts(node: Any, path: str = "") -> list[tuple[str, Any]]:
    """Every value that is text by the name of its field, with its place."""
    if isinstance(node, list):
        return [found for n, item in enumerate(node) for found in _texts(item, f"{path}[{n}]")]
    if not isinstance(node, dict):
        return []
    names = {"name", "namespace", "key", "priorityClassName", "secretName", "serviceAccountName", "claimName"}
    found = [(f"{path}.{key}", value) for key, value in node.items() if key in names and not isinstance(value, dict)]
    found += [
        (f"{path}.{part}.{k}", v) for part in ("labels", "matchLabels") for k, v in (node.get(part) or {}).items()
    ]
    return found + [more for key, value in node.items() for more in _texts(value, f"{path}.{key}")]


def test_a_release_with_dots_in_its_name_has_names_that_a_service_may_have(helm: Helm) -> None:
    names = {
        o["metadata"]["name"]
        for o in helm.template({"web": {"enabled": True}}, name="team.a")
        if o["kind"] == "Service"
    }
    assert names == {"team-a-concertmaster", "team-a-concertmaster-web"}


def test_without_roles_none_is_created_for_any_feature(helm: Helm) -> None:
    on = {"apply": {"enabled": True, "namespaces": ["data"]}, "web": {"enabled": True}}
    kinds = {o["kind"] for o in helm.template({**on, "rbac": {"create": False, "userRoles": False}})}
    assert not kinds & {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}
    assert {"Role", "ClusterRole"} <= {o["kind"] for o in helm.template(on)}
    with pytest.raises(HelmError, match=r"apply\.namespaces"):
        helm.template({"apply": {"enabled": True}, "rbac": {"create": False}})


def test_names_stay_within_limits(helm: Helm) -> None:
    objects = helm.template(EVERYTHING | {"fullnameOverride": "x" * 63})
    assert all(len(o["metadata"]["name"]) <= 63 for o in objects if o["kind"] != "CustomResourceDefinition")
    assert all(len(v) <= 63 for o in objects for v in (o["metadata"].get("labels") or {}).values())


def test_the_release_fits_into_a_secret(helm: Helm) -> None:
    """Helm keeps chart and manifest, packed, in one Secret of at most 1 MiB."""
    files = b"".join(p.read_bytes() for p in sorted(CHART.rglob("*")) if p.is_file())
    text = json.dumps(helm.template(EVERYTHING)).encode()
    assert len(base64.b64encode(base64.b64encode(gzip.compress(base64.b64encode(files) + text)))) < 800_000


def test_the_readme_documents_every_value() -> None:
    text = (CHART / "values.yaml").read_text()
    with pytest.raises(readme.Undocumented, match="no comment for extra"):
        readme.documented(text + "extra: 1\n")
    with pytest.raises(readme.Undocumented, match="stands above no key"):
        readme.documented(text + "# -- lost\n\n")
    known = set(values_schema.build()["properties"]) - {"global"}
    assert {v.key.partition(".")[0] for v in readme.documented(text)} == known
