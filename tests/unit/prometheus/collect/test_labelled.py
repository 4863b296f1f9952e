"""The query that finds workflows by their pods' labels, and what is read off its answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from concertmaster.prometheus.collect import labelled as collecting
from concertmaster.prometheus.collect.labelled import labels_seen
from concertmaster.prometheus.facts.scrape_shape import ScrapeShape
from concertmaster.prometheus.queries.scope import MOVED
from concertmaster.settings import MetricsSource


class Answer:
    def __init__(self, *rows: dict[str, str]) -> None:
        self.rows = rows

    def select(self, *names: str) -> list[tuple[tuple[str, ...], float]]:
        return [(tuple(row.get(name, "") for name in names), 1.0) for row in self.rows]


class Client:
    def __init__(self, *answers: Answer) -> None:
        self.answers, self.asked = list(answers), list[str]()
        settings = {"name": "default", "url": "http://a", "extraMatchers": {"cluster": "a"}, "delaySeconds": 5}
        self.source = MetricsSource.model_validate(settings)

    def instant(self, query: str, at: float, *, name: str) -> Answer:
        self.asked.append(query)
        return self.answers.pop(0)


def seen(client: Any, keys: Sequence[str] = ("dag_id", "kubernetes_pod_operator")) -> Any:
    return labels_seen(client, ["b", "a"], "dag_id", keys, seconds=900, now=1000.0)


def test_one_query_brings_the_values_by_namespace() -> None:
    client = Client(Answer({"namespace": "a", "label_dag_id": "etl"}, {"label_dag_id": "nowhere"}))
    assert seen(client) == [("a", {"dag_id": "etl"})]
    assert client.asked == [
        "group by (namespace, label_dag_id, label_kubernetes_pod_operator) (last_over_time(kube_pod_labels"
        '{cluster="a",namespace=~"a|b",label_dag_id!=""}[900s]))'
    ]


def test_labels_that_a_scrape_moved_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "detect", lambda answer: ScrapeShape(state=MOVED))
    client = Client(Answer(), Answer(), Answer({"exported_namespace": "a", "label_dag_id": "etl"}))
    assert seen(client) == [("a", {"dag_id": "etl"})]
    assert 'exported_namespace=~"a|b"' in client.asked[-1]


def test_nothing_seen_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "detect", lambda answer: ScrapeShape())
    client = Client(Answer(), Answer())
    assert seen(client) == []
    assert len(client.asked) == 2
