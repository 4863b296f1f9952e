"""WorkflowChanges and journal entries that earlier versions wrote: each goes on where it was.

``earlier_changes.json`` was recorded from ``Bed`` with the operators of 2026-11-20 (commit 3fb7ed30) and, the kept change,
of 2026-11-28 (eb0f9e1d).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.controller.change_steps import later
from tests.support.controller.changes_bed import CHANGES, NOW, Bed
from tests.support.resources import CRONJOB

RECORDED = {
    case["phase"]: case
    for case in json.loads((Path(__file__).parents[3] / "support/data/earlier_changes.json").read_text())
}
OTHER = "0123456789ab"  # a fingerprint by other rules


def upgraded(phase: str, **target: Any) -> Bed:
    """The present operator on what an earlier one left. ``target``: fields of the plan's target that are otherwise."""
    case = json.loads(json.dumps(RECORDED[phase]))
    bed = Bed(mode="Approve" if phase == "waiting" else "Auto")
    bed.client.objects[CRONJOB.path("demo", "etl")] = case["target"]
    change = case["change"]
    change["status"]["plan"]["target"] |= target
    bed.client.objects[CHANGES.path("demo", change["metadata"]["name"])] = change
    bed.pages.rows = case["journal"]
    bed.now = case["now"]
    bed.client._uid = 1000
    bed.start()
    bed.runs(max(0, int((bed.now - NOW) // 3600.0)), seed=3)
    bed.run()
    return bed


def outcome(bed: Bed) -> tuple[str, str | None, Any]:
    verdict = bed.one().verdict
    return bed.one().phase, verdict.value if verdict is not None else None, bed.cpu()


@pytest.mark.parametrize("target", [{}, {"fingerprint": OTHER}], ids=["same", "other"])
@pytest.mark.parametrize(
    ("seconds", "end"), [(600.0, ("Completed", "Same", "1500m")), (1200.0, ("Completed", "Worse", "2"))]
)
def test_a_verification_goes_on(target: dict[str, str], seconds: float, end: tuple[str, str, str]) -> None:
    """Also where the upgraded operator makes another fingerprint of the same definition: nobody has edited it."""
    bed = upgraded("verifying", **target)
    assert outcome(bed) == ("Verifying", None, "1500m")
    for _ in range(5):
        later(bed, 6, seconds)
    assert outcome(bed) == end


def test_an_edit_after_the_upgrade_ends_a_verification() -> None:
    bed = upgraded("verifying", fingerprint=OTHER)
    bed.edit("/spec/jobTemplate/spec/template/spec/containers/0/image", "y")
    bed.run()
    assert outcome(bed) == ("Completed", "Inconclusive", "1500m")


def test_a_kept_change_is_still_monitored() -> None:
    bed = upgraded("kept", fingerprint=OTHER)
    uid = bed.one().uid
    assert bed.pages.journal(f"kept/{uid}"), "nobody has edited it"
    bed.edit("/spec/jobTemplate/spec/template/spec/containers/0/image", "y")
    bed.run(86_400.0)
    assert not bed.pages.journal(f"kept/{uid}")


def test_a_proposal_is_the_same_and_can_be_approved() -> None:
    bed = upgraded("waiting")
    bed.decide("Approve")
    bed.run()
    assert outcome(bed) == ("Verifying", None, "1500m")


def test_what_was_rolled_back_stays_so() -> None:
    bed = upgraded("rolled back")
    later(bed, 40)
    assert outcome(bed) == ("Completed", "Worse", "2")
