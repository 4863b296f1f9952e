"""Workflows found by pod labels: what is asked of a source, what is remembered, what is said when it is away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from concertmaster.api.models.policy import ClusterOptimizationPolicy, OptimizationPolicy
from concertmaster.api.policy import AnyPolicy
from concertmaster.controller.discovery import labelled
from concertmaster.controller.discovery.labelled import MAX_WORKFLOWS, LabelledWorkflows
from concertmaster.core.model import PodFact
from concertmaster.core.units import DAY
from concertmaster.prometheus.client.errors import SourceUnreachable, Truncated

HOUR = 3600.0


class Sources:
    def __init__(self) -> None:
        self.rows: list[tuple[str, dict[str, str]]] = []
        self.asked: list[tuple[tuple[str, ...], str, int]] = []
        self.away = False
        self.large: frozenset[str] = frozenset()  # namespaces with more workflows than an answer may have

    def names(self) -> Sequence[str]:
        return ("default",)

    def allows(self, source: str, namespace_labels: Mapping[str, str]) -> bool:
        return namespace_labels.get("metrics") != "none"

    def client(self, name: str) -> Any:
        return self

    def see(self, client: Any, places: Sequence[str], finder: str, keys: Any, *, seconds: int, now: float) -> Any:
        assert client is self
        if self.away:
            raise SourceUnreachable("no answer", where="default")
        self.asked.append((tuple(sorted(places)), finder, seconds))
        if self.large.intersection(places) and seconds > 3600:
            raise Truncated("the answer reached the limit of 50000 series", where="default")
        return [row for row in self.rows if row[0] in places] if self.large else self.rows


class Pods:
    def __init__(self) -> None:
        self.followed: list[Sequence[Any]] = []

    def rows(self, keys: Any) -> list[tuple[str, dict[str, str]]]:
        return [("data", {"dag_id": "etl"})]

    def follow(self, hidden: Sequence[Any]) -> tuple[str, ...]:
        self.followed.append(hidden)
        return ()


def policy(name: str = "all", namespace: str = "data", **entry: str) -> OptimizationPolicy:
    meta = {"name": name, "namespace": namespace, "creationTimestamp": "2026-01-01T00:00:00Z"}
    return OptimizationPolicy.parse({"metadata": meta, "spec": {"discover": [{"podLabels": entry}]}})


def of_the_cluster(**entry: str) -> ClusterOptimizationPolicy:
    meta = {"name": "all", "creationTimestamp": "2026-01-01T00:00:00Z"}
    return ClusterOptimizationPolicy.parse({"metadata": meta, "spec": {"discover": [{"podLabels": entry}]}})


class Harness:
    def __init__(self, monkeypatch: Any, **more: Any) -> None:
        self.sources, self.now = Sources(), 100 * DAY
        monkeypatch.setattr(labelled, "labels_seen", self.sources.see)
        self.workflows = LabelledWorkflows(self.sources, interval=300.0, clock=lambda: self.now, **more)

    def look(self, *policies: AnyPolicy, namespaces: Any = None) -> labelled.Labelled:
        return self.workflows.refresh(policies or [policy(preset="airflow")], namespaces or {"data": {}})


def values(found: labelled.Labelled) -> list[str]:
    return sorted(w.labels.value for w in found.workflows)


def test_the_first_question_covers_a_day_and_later_ones_what_is_new(monkeypatch: Any) -> None:
    harness = Harness(monkeypatch)
    harness.sources.rows = [("data", {"dag_id": "etl"}), ("data", {"dag_id": "report"}), ("data", {})]
    assert values(harness.look()) == ["etl", "report"]
    harness.now += 300
    harness.sources.rows = []
    assert values(harness.look()) == ["etl", "report"]
    harness.now += 60
    harness.look()
    assert [(finder, seconds) for _, finder, seconds in harness.sources.asked] == [("dag_id", 86_400), ("dag_id", 900)]


def test_after_the_clock_was_set_back_a_day_is_asked_for_again(monkeypatch: Any) -> None:
    harness = Harness(monkeypatch)
    harness.look()
    harness.now -= 2 * HOUR
    harness.look()
    harness.now += 300
    harness.look()
    assert [seconds for _, _, seconds in harness.sources.asked] == [86_400, 86_400, 900]


def test_what_was_not_seen_for_a_day_is_forgotten(monkeypatch: Any) -> None:
    harness = Harness(monkeypatch)
    harness.sources.rows = [("data", {"dag_id": "etl"})]
    harness.look()
    harness.now, harness.sources.rows = harness.now + DAY + 1, []
    assert values(harness.look()) == []


def test_a_source_that_is_away_is_a_note_and_nothing_is_forgotten(monkeypatch: Any) -> None:
    harness = Harness(monkeypatch)
    harness.sources.rows = [("data", {"dag_id": "etl"})]
    harness.look()
    harness.now, harness.sources.away = harness.now + HOUR, True
    found = harness.look()
    assert values(found) == ["etl"]
    assert "workflows are not discovered by pod labels now" in found.notes[0]
    harness.now, harness.sources.away = harness.now + HOUR, False
    harness.look()
    assert harness.sources.asked[-1][2] == 2 * 3600 + 600, "what was missed is asked for"


def test_namespaces_that_may_not_use_the_source_are_not_asked_about(monkeypatch: Any) -> None:
    harness = Harness(monkeypatch)
    assert not harness.look(namespaces={"data": {"metrics": "none"}}).workflows
    assert not harness.sources.asked


def test_workflows_are_remembered_in_bounded_number(monkeypatch: Any) -> None:
    harness = Harness(monkeypatch)
    harness.sources.rows = [("data", {"dag_id": f"dag-{i}"}) for i in range(MAX_WORKFLOWS + 50)]
    assert len(harness.look().workflows) == MAX_WORKFLOWS


def test_thousands_of_workflows_of_one_namespace_keep_out_no_other(monkeypatch: Any) -> None:
    harness = Harness(monkeypatch)
    harness.sources.rows = [("data", {"dag_id": f"dag-{i}"}) for i in range(MAX_WORKFLOWS)]
    harness.look()
    harness.sources.rows = [("other", {"dag_id": "etl"})]
    harness.now += HOUR
    found = harness.look().workflows
    assert len(found) == MAX_WORKFLOWS
    assert "other" in {workflow.namespace for workflow in found}


def test_a_namespace_with_more_workflows_than_an_answer_holds_hides_no_others(monkeypatch: Any) -> None:
    harness = Harness(monkeypatch)
    everywhere = of_the_cluster(preset="airflow")
    places: dict[str, dict[str, str]] = {f"team{i}": {} for i in range(8)} | {"greedy": {}}
    harness.sources.rows = [(name, {"dag_id": f"of-{name}"}) for name in places]
    harness.sources.large = frozenset({"greedy"})
    found = harness.look(everywhere, namespaces=places)
    assert values(found) == [f"of-team{i}" for i in range(8)]
    assert [note for note in found.notes if "greedy" in note and "50000 series" in note] == list(found.notes)
    harness.now += 300
    assert "of-greedy" in values(harness.look(everywhere, namespaces=places)), "what is new is little"
    assert harness.sources.asked[-1] == (tuple(sorted(places)), "dag_id", 900)


def test_a_source_that_refuses_everything_is_not_asked_for_each_namespace(monkeypatch: Any) -> None:
    harness = Harness(monkeypatch)
    everywhere = of_the_cluster(preset="airflow")
    places: dict[str, dict[str, str]] = {f"team{i}": {} for i in range(100)}
    harness.sources.large = frozenset(places)
    assert "workflows are not discovered by pod labels now" in harness.look(everywhere, namespaces=places).notes[0]
    assert 5 < len(harness.sources.asked) < 30


def test_an_engine_reads_its_own_meaning_into_labels(monkeypatch: Any) -> None:
    harness = Harness(monkeypatch)
    harness.sources.rows = [
        ("data", {"jenkins/label": "shop_main_12-a1b2c"}),
        ("data", {"jenkins/label": "shop_main_13-d3e4f"}),
        ("data", {"jenkins/label": "maven"}),
    ]
    assert values(harness.look(policy(preset="jenkins"))) == ["maven", "shop_main"]


def test_without_an_exported_label_live_pods_tell(monkeypatch: Any) -> None:
    pods = Pods()
    harness = Harness(monkeypatch, pods=pods)
    found = harness.look()
    assert values(found) == ["etl"]
    harness.now, harness.sources.rows = harness.now + 300, [("data", {"dag_id": "etl"})]
    harness.look()
    assert [[keys.preset for keys in hidden] for hidden in pods.followed] == [["airflow"], []]


def test_label_sets_of_namespaces_without_the_source_take_no_turn(monkeypatch: Any) -> None:
    monkeypatch.setattr(labelled, "MAX_SETS", 3)
    harness = Harness(monkeypatch)
    harness.sources.allows = lambda source, labels: not labels  # type: ignore[method-assign]
    closed = [policy("p", f"a{n}", workflow=f"w{n}", run=f"r{n}") for n in range(9)]
    places = {f"a{n}": {"closed": "true"} for n in range(9)} | {"data": {}}
    found = harness.look(*closed, policy("z", "data", preset="airflow"), namespaces=places)
    assert [finder for _, finder, _ in harness.sources.asked] == ["dag_id"]
    assert found.left_out == {}


def test_labels_of_one_namespaces_policies_keep_those_of_no_other_from_being_watched(monkeypatch: Any) -> None:
    pods = Pods()
    harness = Harness(monkeypatch, pods=pods)
    own = [policy(f"a-{i}", "greedy", run=f"run-{i}", workflow=f"workflow-{i}") for i in range(9)]
    other = policy("z", "data", preset="airflow")
    harness.look(*own, other, namespaces={"data": {}, "greedy": {}})
    assert [keys.preset for keys in pods.followed[-1]].index("airflow") == 1


def test_hostile_values_are_values() -> None:
    fact = PodFact("data", "p", "u", labels={"dag_id": "../../etc\n{}'\"", "run_id": "r", "try_number": "9" * 400})
    from concertmaster.engines.labels.presets import BY_NAME

    preset = BY_NAME["airflow"]
    assert preset.workflow(fact, preset.keys) == "../../etc\n{}'\""
    assert preset.attempt(fact, preset.keys) is None


def test_policies_of_one_namespace_do_not_ask_questions_without_end(monkeypatch: Any) -> None:
    """Each set of labels is a question to the metrics source, in the cycle of everybody."""
    monkeypatch.setattr(labelled, "MAX_SETS", 5)
    harness = Harness(monkeypatch)
    flood = [policy(f"p{n}", "theirs", workflow=f"w{n}", run=f"r{n}") for n in range(20)]
    found = harness.look(*flood, policy(preset="airflow"), namespaces={"data": {}, "theirs": {}})
    finders = [finder for _, finder, _ in harness.sources.asked]
    assert len(finders) == 5
    assert "dag_id" in finders
    assert len(found.left_out) == 16
    assert {policy.namespace for policy in found.left_out} == {"theirs"}
    assert all("those of all policies are more than 5" in text for text in found.left_out.values())
    for n in range(100):  # nor is what was once asked remembered
        harness.look(policy("p", "theirs", workflow=f"x{n}", run=f"y{n}"), namespaces={"theirs": {}})
    for n in range(100):  # nor the namespaces of pull requests, one after the other
        harness.look(of_the_cluster(preset="airflow"), namespaces={"data": {}, f"review-{n}": {}})
    assert len(harness.workflows._asked) == 2
