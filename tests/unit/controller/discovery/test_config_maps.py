"""Where workflows name more ConfigMaps than one cycle reads, namespaces take turns, and nobody's semaphore is lost."""

from __future__ import annotations

from typing import Any

import pytest

from concertmaster.controller.discovery import config_maps
from concertmaster.controller.discovery.config_maps import ConfigMaps
from concertmaster.core.model import WorkflowDefinition
from concertmaster.core.model.config_maps import NamedConfigMaps
from concertmaster.kube.access import AccessChecker
from concertmaster.kube.errors import Stopped
from concertmaster.kube.objects import CONFIG_MAPS
from tests.support.controller.fakes import MemoryClient
from tests.support.core.scenario_builder import argo, define, task

MOST = 3
SIZE = NamedConfigMaps({"semaphore/limits/db": 3})


def workflow(client: MemoryClient, namespace: str, name: str, *, config_map: str = "limits") -> WorkflowDefinition:
    """A workflow with a semaphore of three places in a ConfigMap."""
    lock: dict[str, Any] = {"synchronization": {"semaphore": {"configMapKeyRef": {"name": config_map, "key": "db"}}}}
    manifest = argo(task("a"), templates={"a": lock})
    manifest["metadata"] |= {"namespace": namespace, "name": name}
    client.put(CONFIG_MAPS, namespace, config_map, data={"db": "3"})
    return define(manifest)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> MemoryClient:
    monkeypatch.setattr(config_maps, "MAX_CONFIG_MAPS", MOST)
    return MemoryClient()


def test_thousands_of_one_namespace_leave_those_of_another_their_turn(client: MemoryClient) -> None:
    many = [workflow(client, "crowd", f"etl-{n}", config_map=f"limits-{n}") for n in range(10)]
    other = workflow(client, "other", "etl")
    maps = ConfigMaps(client, AccessChecker(client))
    first = maps.read([*many, other])
    assert first[other.key] == SIZE
    assert [first[d.key] for d in many].count(None) == len(many) - 2, (
        "the others are not taken for workflows without one"
    )
    for _ in range(4):
        last = maps.read([*many, other])
    assert None not in last.values(), "each has its turn"
    assert last[other.key] == SIZE
    assert {size for d in many if (found := last[d.key]) is not None for size in found.semaphores.values()} == {3}


def test_a_size_that_is_read_in_turns_follows_the_config_map(client: MemoryClient) -> None:
    many = [workflow(client, "crowd", f"etl-{n}", config_map=f"limits-{n}") for n in range(10)]
    maps = ConfigMaps(client, AccessChecker(client))
    for _ in range(4):
        maps.read(many)
    for n in range(10):
        client.put(CONFIG_MAPS, "crowd", f"limits-{n}", data={"db": "5"})
    sizes = []
    for _ in range(4):
        found = maps.read(many)
        sizes.append(sorted(next(iter(each.semaphores.values())) for each in found.values() if each is not None))
    assert sizes[0] == [*[3] * 7, *[5] * 3]
    assert sizes[-1] == [5] * 10


def test_one_that_takes_long_to_answer_makes_the_others_wait_no_longer_than_a_turn(client: MemoryClient) -> None:
    now = iter(range(0, 1000, 3))
    many = [workflow(client, "crowd", f"etl-{n}", config_map=f"limits-{n}") for n in range(3)]
    maps = ConfigMaps(client, AccessChecker(client), clock=lambda: float(next(now)))
    assert list(maps.read(many).values()).count(None) == 2


def test_those_that_may_not_be_read_take_nobodys_turn(client: MemoryClient) -> None:
    client.allows = lambda attributes: False  # type: ignore[method-assign]
    many = [workflow(client, "crowd", f"etl-{n}", config_map=f"limits-{n}") for n in range(10)]
    assert ConfigMaps(client, AccessChecker(client)).read(many) == {}


def test_an_operator_that_stops_reads_no_further_one(client: MemoryClient) -> None:
    """Stopping is no fault of the first that others go on without."""
    one = workflow(client, "demo", "etl")

    class Stopping(MemoryClient):
        def get(self, path: str, query: Any = None) -> dict[str, Any]:
            raise Stopped("the operator is stopping")

    with pytest.raises(Stopped):
        ConfigMaps(Stopping(), AccessChecker(client)).read([one])
