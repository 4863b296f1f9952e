"""Finding the profile that a command is about."""

from __future__ import annotations

from typing import Any

import pytest

from concertmaster.cli import profiles
from concertmaster.cli.errors import UserError
from concertmaster.kube.errors import Forbidden
from concertmaster.kube.objects import PROFILES
from tests.support.controller.fakes import MemoryClient


class _OneNamespace(MemoryClient):
    """Without the right to list profiles in all namespaces."""

    def items(self, path: str, **options: Any) -> Any:
        if path == PROFILES.path(None):
            raise Forbidden("no right to list them")
        return super().items(path, **options)


def _cluster(client: MemoryClient) -> MemoryClient:
    for namespace, name in (("etl", "cronwf-nightly-orders"), ("ml", "cronwf-train"), ("billing", "cronwf-train")):
        ref = {"kind": "CronWorkflow", "name": name.removeprefix("cronwf-")}
        client.put(PROFILES, namespace, name, spec={"workflowRef": ref})
    return client


@pytest.mark.parametrize(
    ("place", "name", "said"),
    [
        (
            "ml",
            "nightly-orders",
            "no WorkflowProfile or workflow nightly-orders in namespace ml; there is one in etl: use -n etl",
        ),
        ("etl", "cronwf-train", "in namespace etl; there is one in billing and ml: use -n NAMESPACE"),
        ("etl", "nightly-order", "in namespace etl: did you mean nightly-orders?"),
        ("etl", "xyz", "in namespace etl: kubectl get wfp -A lists them"),
    ],
)
def test_a_wrong_name_is_answered_with_the_place_or_the_name_that_was_meant(place: str, name: str, said: str) -> None:
    with pytest.raises(UserError) as error:
        profiles.read(_cluster(MemoryClient()), place, name)  # type: ignore[arg-type]
    assert str(error.value).endswith(said)


def test_without_the_right_to_look_into_other_namespaces_the_own_one_is_enough() -> None:
    with pytest.raises(UserError, match=r"did you mean nightly-orders\?$"):
        profiles.read(_cluster(_OneNamespace()), "etl", "nigtly-orders")  # type: ignore[arg-type]
