"""Changes of a template that a CronWorkflow starts, which sets fields of the runs over it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.controller.change_steps import later
from tests.support.controller.started_bed import CRON, Started


@pytest.mark.parametrize(
    "over", [{}, {"arguments": {"parameters": [{"name": "day", "value": "2"}]}}, {"parallelism": 3}]
)
def test_a_verification_lasts_until_it_has_runs(over: dict[str, Any]) -> None:
    bed = Started(**over)
    bed.run()
    assert (bed.one().phase, bed.cpu()) == ("Verifying", "1500m")
    bed.run()
    bed.run()
    assert bed.one().phase == "Verifying", bed.one().status["conditions"]
    for _ in range(5):
        later(bed, 6)
    assert bed.one().verdict == "Same"


def test_an_edit_of_what_starts_it_ends_a_verification() -> None:
    bed = Started(parallelism=3)
    bed.run()
    cron = bed.client.objects[CRON.path("demo", "hourly")]
    cron["spec"]["workflowSpec"]["parallelism"] = 1
    cron["metadata"]["resourceVersion"] = "foreign"
    bed.run()
    assert (bed.one().phase, bed.one().verdict) == ("Completed", "Inconclusive")
