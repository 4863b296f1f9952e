"""The CRDs on the real API server: what is accepted, what is filled in, what is refused and in which words."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from concertmaster.api import files, schema
from concertmaster.api.kinds import KINDS, Kind
from concertmaster.api.models.base import CustomResource
from concertmaster.api.models.change import WorkflowChange
from concertmaster.api.models.policy import ClusterOptimizationPolicy, OptimizationPolicy
from concertmaster.api.models.profile import WorkflowProfile
from concertmaster.core.model.scalars import Quantity
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import NotFound
from concertmaster.kube.objects import PROFILES, Resource
from testbed.services.cluster import Cluster
from testbed.services.kinds import install_kinds
from tests.support.waiting import until

HERE = Path(__file__).parent
API = "concertmaster.dev/v1alpha1"
MODELS: dict[str, type[CustomResource]] = {
    model.__name__: model for model in (WorkflowProfile, OptimizationPolicy, ClusterOptimizationPolicy, WorkflowChange)
}
MISTAKES: list[dict[str, Any]] = yaml.safe_load((HERE / "mistakes.yaml").read_text())
GOOD: list[dict[str, Any]] = list(yaml.safe_load_all((HERE / "good_resources.yaml").read_text()))
CHANGE = next(document for document in GOOD if document["kind"] == "WorkflowChange")


@pytest.fixture(scope="module")
def api(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """The shared cluster with the CRDs as the generator writes them now."""
    directory = tmp_path_factory.mktemp("crds")
    files.write(directory, schema.render())
    install_kinds(cluster, directory)
    return cluster


def create(api: Cluster, document: dict[str, Any], *flags: str) -> dict[str, Any]:
    """The object as the server returns it. Nothing is stored: a cluster policy would reach other tests."""
    command = ("create", "--validate=strict", "--dry-run=server", "-o", "json", *flags, "-f", "-")
    answer: dict[str, Any] = json.loads(api.kubectl(*command, input=json.dumps(document)))
    return answer


def refusal(api: Cluster, *arguments: str, document: dict[str, Any] | None = None) -> str:
    """What kubectl says when the server refuses; fails when it does not refuse."""
    result = api.run_kubectl(*arguments, input=json.dumps(document) if document is not None else None)
    assert result.returncode != 0, f"accepted: {result.stdout}"
    return result.stderr


@pytest.mark.parametrize("document", GOOD, ids=lambda d: f"{d['kind']}-{d['metadata']['name']}")
def test_good_objects_are_accepted_and_filled_in_as_the_model_does(api: Cluster, document: dict[str, Any]) -> None:
    stored = create(api, document)
    model = MODELS[document["kind"]]
    written = model.parse(document, strict=True)
    read = model.parse({key: value for key, value in stored.items() if key != "metadata"}, strict=True)
    assert getattr(read, "spec") == getattr(written, "spec")  # noqa: B009 - the models share no type with a spec


def test_the_defaults_of_a_policy_are_the_documented_ones(api: Cluster) -> None:
    stored = create(api, {"apiVersion": API, "kind": "OptimizationPolicy", "metadata": {"name": "empty"}, "spec": {}})
    assert stored["spec"] == {
        "analysis": {
            "learning": "Enabled",
            "materiality": {
                "costPercent": "10",
                "failedRunsPerMonth": "1",
                "moneyPerMonth": "1",
                "runMinutesPerMonth": "30",
                "runPercent": "5",
            },
            "maxRuns": 200,
            "minRuns": 5,
            "window": "14d",
        },
        "apply": {
            "allow": ["Parallelism", "Resources"],
            "bounds": {
                "cpu": {"max": "8", "min": "50m"},
                "maxStepPercent": 50,
                "memory": {"max": "32Gi", "min": "64Mi"},
                "parallelism": {"max": 64, "min": 1},
            },
            "changeHistoryLimit": 20,
            "cooldown": "24h",
            "gitOps": "Suggest",
            "maxInFlight": 1,
            "maxRisk": "Low",
            "minChangePercent": 20,
            "mode": "Recommend",
            "verify": {"maxAge": "7d", "maxRuns": 30, "minRuns": 5, "onInconclusive": "Keep", "onSame": "Restore"},
        },
        "metrics": {"perWorkflow": False, "steps": 5},
        "metricsSource": "default",
        "pricing": {"currency": "USD", "failedRun": "10", "runHour": "2.5", "source": "Flat"},
        "priority": 0,
        "sizing": {"maxFailurePercent": "1"},
        "suspend": False,
    }


def test_defaults_inside_a_list_are_filled_in_too(api: Cluster) -> None:
    spec = {
        "apply": {"windows": [{"schedule": "0 22 * * *", "duration": "6h"}], "bounds": {"cpu": {"max": "4"}}},
        "extraMetrics": [{"name": "tokens", "query": "a[$window]"}],
        "rules": [{"name": "timeout"}],
    }
    stored = create(api, {"apiVersion": API, "kind": "OptimizationPolicy", "metadata": {"name": "x"}, "spec": spec})
    assert stored["spec"]["apply"]["windows"][0]["timeZone"] == "UTC"
    assert stored["spec"]["apply"]["bounds"]["cpu"] == {"max": "4", "min": "50m"}
    assert stored["spec"]["extraMetrics"][0]["per"] == "Run"
    assert stored["spec"]["rules"][0]["mode"] == "Enabled"


def test_a_profile_gets_nothing_its_owner_did_not_write(api: Cluster) -> None:
    """Defaults in a profile would override the policy, and a default list would take the field from the CLI."""
    spec = {"workflowRef": {"apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly"}}
    stored = create(api, {"apiVersion": API, "kind": "WorkflowProfile", "metadata": {"name": "x"}, "spec": spec})
    assert stored["spec"] == spec


def test_there_are_enough_kinds_of_mistake() -> None:
    assert len({entry["mistake"] for entry in MISTAKES}) == len(MISTAKES) >= 40
    assert {entry["kind"] for entry in MISTAKES} == MODELS.keys()


@pytest.mark.parametrize("entry", MISTAKES, ids=lambda entry: entry["mistake"].replace(" ", "-"))
def test_a_mistake_is_refused_in_words_that_help(api: Cluster, entry: dict[str, Any]) -> None:
    document = {"apiVersion": API, "kind": entry["kind"], "metadata": {"name": entry.get("name", "mistaken")}}
    if "spec" in entry:
        document["spec"] = entry["spec"]
    said = refusal(api, "create", "--validate=strict", "--dry-run=server", "-f", "-", document=document)
    missing = [fragment for fragment in entry["says"] if fragment not in said]
    assert not missing, f"{missing} not in: {said}"
    assert "evaluating rule" not in said and "no such key" not in said, f"a rule failed instead of judging: {said}"


def fields(node: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field of a published schema with its path."""
    for name, child in node.get("properties", {}).items():
        yield f"{path}.{name}", child
        yield from fields(child, f"{path}.{name}")
    if "items" in node:
        yield from fields(node["items"], f"{path}[]")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_field_the_server_publishes_is_described(api: Cluster, kind: Kind) -> None:
    published = json.loads(api.kubectl("get", "--raw", f"/openapi/v3/apis/{API}"))["components"]["schemas"]
    (root,) = [s for name, s in published.items() if name.endswith(f".{kind.name}")]
    found = dict(fields({"properties": {k: root["properties"][k] for k in ("spec", "status")}}, ""))
    assert len(found) > 20
    for path, node in found.items():
        assert len(node.get("description", "")) > 15, path
        assert "Example: " in node["description"], path


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_kubectl_explain_shows_the_whole_tree(api: Cluster, kind: Kind) -> None:
    tree = api.kubectl("explain", kind.short_name, "--recursive")
    listed = [line.split()[0] for line in tree.splitlines() if "\t<" in line]
    expected = [path.rsplit(".", 1)[-1] for path, _ in fields(schema.structural(kind), "")]
    assert set(expected) <= set(listed)
    assert len(listed) >= len(expected)


def test_kubectl_explain_tells_unit_default_and_example(api: Cluster) -> None:
    reported = " ".join(api.kubectl("explain", "opol.spec.apply.cooldown").split())
    assert "Unit: a duration in d, h, m, s. Default: 24h. Example: 12h" in reported


def table(text: str) -> list[dict[str, str]]:
    """The rows of a kubectl table by column, cut at the columns of the header."""
    header, *rows = text.splitlines()
    starts = [i for i, c in enumerate(header) if c != " " and (i == 0 or header[i - 1] == " ")]
    spans = list(zip(starts, [*starts[1:], None], strict=True))
    return [{header[a:b].strip(): row[a:b].strip() for a, b in spans} for row in rows]


STATUS = {
    "advice": ["Raise the CPU request of step train from 500m to 2: it was throttled in 28 of 30 runs."],
    "conditions": [
        {
            "lastTransitionTime": "2027-01-31T00:40:00Z",
            "message": "30 of 30 runs analyzed.",
            "observedGeneration": 1,
            "reason": "Analyzed",
            "status": "True",
            "type": "Ready",
        }
    ],
    "dataUntil": "2027-01-31T00:40:00Z",
    "moreRecommendations": 0,
    "observedGeneration": 1,
    "policy": "OptimizationPolicy/team-data",
    "recommendations": [
        {
            "action": "Raise the CPU request of step train from 500m to 2",
            "because": "it was throttled in 28 of 30 runs in 14d",
            "category": "Performance",
            "current": "500m",
            "effort": "Low",
            "expected": "each run 12 to 19% shorter, likely 15% (4m10s)",
            "how": "kubectl concertmaster explain nightly cpu-request.train",
            "id": "cpu-request.train",
            "otherwise": "runs stay 4m10s longer than they need to be",
            "proposed": "2",
            "risk": "Low",
            "severity": "High",
            "state": "Active",
        }
    ],
    "runs": {"failed": 1, "observed": 30, "succeeded": 29, "unknown": 0},
    "score": 74,
    "scoreParts": ["duration: 28 of 35, p95 34m10s is over the objective of 30m"],
    "summary": {
        "impact": 120,
        "open": 1,
        "p50": "21m4s",
        "p95": "34m10s",
        "successPercent": "96.7",
        "target": "CronJob/nightly",
        "top": "train: cpu 500m -> 2, 15% faster",
    },
}


@pytest.fixture
def described(api: Cluster, namespace: str) -> str:
    """A namespace with a profile that has a full status; the profile's name is ``nightly``."""
    spec = {"workflowRef": {"apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly"}}
    api.apply(
        {"apiVersion": API, "kind": "WorkflowProfile", "metadata": {"name": "nightly"}, "spec": spec},
        namespace=namespace,
    )
    patch = ("patch", "wfp", "nightly", "-n", namespace, "--subresource=status", "--type=merge")
    api.kubectl(*patch, "-p", json.dumps({"status": STATUS}))
    return namespace


def test_kubectl_get_answers_by_itself(api: Cluster, described: str) -> None:
    (row,) = table(api.kubectl("get", "wfp", "-n", described))
    assert row.pop("AGE")
    assert row == {
        "NAME": "nightly",
        "TARGET": "CronJob/nightly",
        "SCORE": "74",
        "P95": "34m10s",
        "SUCCESS(%)": "96.7",
        "OPEN": "1",
        "IMPACT/MONTH": "120",
        "READY": "True",
        "TOP": "train: cpu 500m -> 2, 15% faster",
    }
    (wide,) = table(api.kubectl("get", "wfp", "-n", described, "-o", "wide"))
    assert (wide["RUNS"], wide["POLICY"]) == ("30", "OptimizationPolicy/team-data")


def test_the_other_kinds_have_columns_too(api: Cluster, namespace: str) -> None:
    policy = {"apiVersion": API, "kind": "OptimizationPolicy", "metadata": {"name": "team"}, "spec": {"selector": {
        "matchLabels": {"nobody": "has-this"}}}}  # fmt: skip
    api.apply(policy, CHANGE, namespace=namespace)
    (row,) = table(api.kubectl("get", "opol", "-n", namespace))
    assert (row["MODE"], row["PRIORITY"], row["SUSPENDED"]) == ("Recommend", "0", "false")
    (row,) = table(api.kubectl("get", "wfc", "-n", namespace))
    assert (row["PROFILE"], row["RECOMMENDATION"], row["DECISION"]) == (
        "nightly-etl",
        "memory-request.transform",
        "Approve",
    )
    assert "workflowchange" in api.kubectl("get", "concertmaster", "-n", namespace)
    selected = api.kubectl("get", "wfc", "-n", namespace, "-o", "name", "--field-selector=spec.profileRef.name=other")
    assert selected == ""


def test_describe_reads_recommendations_first(api: Cluster, described: str) -> None:
    lines = api.kubectl("describe", "wfp", "nightly", "-n", described).splitlines()
    status = lines[lines.index("Status:") + 1 :]
    keys = [line.split(":")[0].strip() for line in status if line.startswith("  ") and line[2] != " "]
    assert keys[:2] == ["Advice", "Conditions"]
    assert lines[lines.index("  Recommendations:") + 1].strip().startswith("Action:")
    assert len(lines) < 100


def test_the_largest_status_the_schema_allows_is_stored(api: Cluster, described: str) -> None:
    patch = ("patch", "wfp", "nightly", "-n", described, "--subresource=status", "--type=merge")
    one = STATUS["recommendations"][0]  # type: ignore[index]
    five = [one | {"id": f"cpu-request.step-{n}", "because": "b" * 400, "how": "h" * 1000} for n in range(5)]
    api.kubectl(*patch, "-p", json.dumps({"status": {"recommendations": five, "advice": ["a" * 1000] * 10}}))
    said = refusal(api, *patch, "-p", json.dumps({"status": {"recommendations": [*five, one]}}))
    assert "must have at most 5 items" in said
    said = refusal(api, *patch, "-p", json.dumps({"status": {"summary": {"top": "t" * 61}}}))
    assert "status.summary.top" in said
    said = refusal(api, *patch, "-p", json.dumps({"status": {"advice": ["two\nlines"]}}))
    assert "status.advice[0]" in said


def test_a_status_written_as_spec_is_dropped(api: Cluster, described: str) -> None:
    """Who may write profiles may not forge an analysis: status only changes through its own door."""
    api.kubectl("patch", "wfp", "nightly", "-n", described, "--type=merge", "-p", '{"status":{"score":100}}')
    assert api.get("wfp", "nightly", "-n", described)["status"]["score"] == 74


def owners(profile: dict[str, Any]) -> list[Any]:
    """Who owns what of the status."""
    entries = [e for e in profile["metadata"]["managedFields"] if e.get("subresource") == "status"]
    return [(e["manager"], e["fieldsV1"]["f:status"]) for e in entries]


def test_a_status_is_owned_as_a_whole(api: Cluster, described: str) -> None:
    """Who owns which of its fields is most of what is listed of a profile, and a third of what a write costs."""
    patch = ("patch", "wfp", "nightly", "-n", described, "--subresource=status", "--type=json")
    api.kubectl(*patch, "-p", json.dumps([{"op": "add", "path": "/status/score", "value": 80}]))
    profile = json.loads(api.kubectl("get", "wfp", "nightly", "-n", described, "-o", "json", "--show-managed-fields"))
    assert owners(profile) == [("kubectl-patch", {})]
    assert profile["status"] == STATUS | {"score": 80}


def test_a_status_of_an_earlier_release_is_taken_over(api: Cluster, namespace: str) -> None:
    """Statuses written before the CRDs are upgraded have an owner for each field; the next write ends that. Tried on a kind
    of its own, since others use ours meanwhile."""
    definition = schema.crd(next(kind for kind in KINDS if kind.name == "WorkflowProfile"))
    definition["metadata"]["name"] = "workflowprofiles.upgraded.example"
    definition["spec"] |= {
        "group": "upgraded.example",
        "names": {"kind": "WorkflowProfile", "plural": "workflowprofiles"},
    }
    earlier = copy.deepcopy(definition)
    del earlier["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["x-kubernetes-map-type"]
    operator = KubeClient.connect(api.kubeconfig())
    kind = Resource("upgraded.example/v1alpha1", "WorkflowProfile", "workflowprofiles")

    def write(score: int) -> Any:
        operations = [{"op": "add", "path": "/status", "value": STATUS | {"score": score}}]
        return owners(operator.patch(f"{kind.path(namespace, 'nightly')}/status", operations, kind="json"))

    def create() -> Any:
        """Established comes a moment before the kind is served."""
        spec = {"workflowRef": {"apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly"}}
        profile = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": "nightly"}, "spec": spec}
        try:
            return operator.create(kind.path(namespace), profile)
        except NotFound:
            return None

    try:
        api.apply(earlier)
        api.kubectl("wait", "--for=condition=Established", "crd/workflowprofiles.upgraded.example", "--timeout=240s")
        until(create)
        ((manager, fields),) = write(70)
        assert manager == "concertmaster"
        assert "f:score" in fields
        api.apply(definition)
        score = iter(range(71, 1000))
        until(lambda: write(next(score)) == [("concertmaster", {})])
        status = operator.get(kind.path(namespace, "nightly"))["status"]
        assert status == STATUS | {"score": status["score"]}
    finally:
        api.kubectl("delete", "crd", "workflowprofiles.upgraded.example", "--ignore-not-found")


def change(**spec: object) -> dict[str, Any]:
    """The sample change with other values; None leaves a field out."""
    document = copy.deepcopy(CHANGE)
    merged = {**document["spec"], "decision": None, "decidedBy": None, **spec}
    document["spec"] = {key: value for key, value in merged.items() if value is not None}
    return document


APPROVED = {"decision": "Approve", "decidedBy": "ana@example.com"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, APPROVED),
        ({}, {"decision": "Approve"}),
        ({}, {"decision": "Reject", "decidedBy": "ben"}),
        (APPROVED, APPROVED),
    ],
    ids=["approve", "approve-without-name", "reject", "again"],
)
def test_the_first_decision_is_accepted(api: Cluster, namespace: str, before: Any, after: Any) -> None:
    api.apply(change(**before), namespace=namespace)
    api.kubectl("replace", "-n", namespace, "-f", "-", input=json.dumps(change(**after)))
    spec = api.get("wfc", CHANGE["metadata"]["name"], "-n", namespace)["spec"]
    assert spec["decision"] == after["decision"]


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (APPROVED, {"decision": "Reject", "decidedBy": "ana@example.com"}, "the decision has been made"),
        (APPROVED, {}, "the decision has been made"),
        ({"decision": "Reject"}, {"decision": "Approve"}, "the decision has been made"),
        (APPROVED, {"decision": "Approve", "decidedBy": "mallory"}, "decidedBy is immutable"),
        (APPROVED, {"decision": "Approve"}, "decidedBy is immutable"),
        ({"decision": "Approve"}, APPROVED, "decidedBy is immutable"),
        ({}, {"planDigest": "0" * 64}, "planDigest is immutable"),
        ({}, {"recommendation": "cpu-request.train"}, "recommendation is immutable"),
        ({}, {"profileRef": {"name": "other"}}, "profileRef is immutable"),
        ({}, {**APPROVED, "planDigest": "0" * 64}, "planDigest is immutable"),
        ({}, {"decidedBy": "ana"}, "decidedBy needs a decision"),
    ],
)
def test_everything_else_of_a_change_is_immutable(
    api: Cluster, namespace: str, before: Any, after: Any, says: str
) -> None:
    api.apply(change(**before), namespace=namespace)
    said = refusal(api, "replace", "-n", namespace, "-f", "-", document=change(**after))
    assert says in said


def test_the_phase_and_the_verdict_are_closed_lists(api: Cluster, namespace: str) -> None:
    api.apply(change(), namespace=namespace)
    patch = ("patch", "wfc", CHANGE["metadata"]["name"], "-n", namespace, "--subresource=status", "--type=merge", "-p")
    api.kubectl(*patch, json.dumps({"status": {"phase": "Verifying", "verdict": "Improved", "restored": False}}))
    assert "Unsupported value" in refusal(api, *patch, json.dumps({"status": {"phase": "Done"}}))
    assert "without the sign" in refusal(api, *patch, json.dumps({"status": {"measured": {"likely": "15%"}}}))


# Left out: what is finer than the server keeps for resources (1m).
QUANTITIES = [
    "0", "1", "500m", "0.5", ".5", "1.5", "1500m", "0.001", "100", "1000", "1500", "2000k", "1500k", "1e3", "100e3",
    "12e6", "1e-3", "64Mi", "1.5Gi", "2Gi", "1024Ki", "1000Ki", "0.5Ki", "0.1Ki", "3Ti", "1G", "1M", "1E", "1Ei", "7Ei",
    "123456789", "9223372036854775807", "33.25",
]  # fmt: skip


def test_quantities_are_read_as_the_server_reads_them(api: Cluster, namespace: str) -> None:
    """A LimitRange holds typed quantities, which the server puts into canonical form."""
    default = {f"example.com/q{number}": text for number, text in enumerate(QUANTITIES)}
    limits = {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "quantities"},
        "spec": {"limits": [{"type": "Container", "default": default}]},
    }
    answer = api.kubectl("create", "-n", namespace, "-o", "json", "-f", "-", input=json.dumps(limits))
    canonical = json.loads(answer)["spec"]["limits"][0]["default"]
    for number, text in enumerate(QUANTITIES):
        assert Quantity(text) == Quantity(canonical[f"example.com/q{number}"]), text


def test_a_list_of_one_says_how_many_objects_there_are(api: Cluster, namespace: str) -> None:
    """The operator lists profiles where their number is not that of those it watches."""
    client = KubeClient.connect(api.kubeconfig())
    path = PROFILES.path(namespace)
    for number in range(4):
        assert client.count(path) == number
        assert (client.count(PROFILES.path()) or 0) >= number
        meta = {"name": f"w{number}", "namespace": namespace}
        profile = {"apiVersion": PROFILES.api_version, "kind": PROFILES.kind, "metadata": meta}
        reference = {"apiVersion": "batch/v1", "kind": "CronJob", "name": f"w{number}"}
        client.create(path, {**profile, "spec": {"workflowRef": reference}})
    client.close()
