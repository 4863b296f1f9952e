"""``volume-size``: how full volumes are, whose they are, and until when they hold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from concertmaster.core.analysis.insights import insights
from concertmaster.core.analysis.shared.volumes import volume_fills
from concertmaster.core.model import PodFact, Severity, VolumeUse
from concertmaster.engines.common.executions import execution, merge_facts
from concertmaster.history.encoding import decode_execution, encode_execution
from concertmaster.report.insights import sentences
from tests.support.builders import DAY
from tests.support.core.rules_world import Pod, Scene, noise, scene
from tests.support.core.scenarios import GI, MI, SCENARIOS, STEPS, etl


def mounting(*uses: VolumeUse) -> Scene:
    """Runs whose load mounts a claim, one use each."""
    value = noise()

    def work(i: int) -> dict[str, Pod]:
        return {n: Pod(value(s), volumes=(uses[i],) if n == "load" else ()) for n, s in STEPS.items()}

    return scene(etl(), len(uses), work)


def test_a_volume_that_grows_says_until_when_it_holds_and_gets_a_size() -> None:
    of = SCENARIOS["volume-size"]()
    (fill,) = volume_fills(of.analysis())
    assert (fill.claim, fill.steps, fill.runs, fill.shared) == ("warehouse", ("load",), 42, True)
    assert fill.growth is not None
    assert fill.growth.likely == pytest.approx(180 * MI, rel=1e-4)  # three runs a day
    last = of.runs[-1].steps[-1].finished
    assert fill.full is not None
    assert last is not None
    assert fill.full.likely == pytest.approx(last + GI / (180 * MI) * DAY, abs=3600)
    item = of.one("volume-size")
    assert item.action == "Enlarge PersistentVolumeClaim warehouse: 10Gi -> 15Gi (90% used)"
    assert item.severity is Severity.MEDIUM
    assert item.how.startswith("kubectl -n demo patch persistentvolumeclaim warehouse --type=merge -p ")
    line = next(s for s in sentences(insights(of.analysis()), 42) if s.startswith("Volume "))
    assert line.startswith(
        "Volume warehouse: 9Gi of 10Gi used (90%), mounted by load; grows by 180Mi a day, full around "
    )


def test_a_volume_that_is_only_nearly_full_promises_no_date() -> None:
    item = mounting(*[VolumeUse("data", 8.8 * GI, 10 * GI)] * 10).one("volume-size")
    assert "full around" not in item.because
    assert item.proposed == "13Gi"
    assert item.expected == "68% of it used"


def test_silence_for_a_volume_with_room_that_does_not_grow() -> None:
    assert mounting(*[VolumeUse("data", 5 * GI, 10 * GI)] * 10).recommended("volume-size") == []
    slow = [VolumeUse("data", 5 * GI + i * MI, 10 * GI) for i in range(20)]
    assert mounting(*slow).recommended("volume-size") == []


def test_a_claim_that_was_enlarged_is_measured_against_what_it_holds_now() -> None:
    rows = [*[VolumeUse("data", 9 * GI, 10 * GI)] * 10, *[VolumeUse("data", 9 * GI, 20 * GI)] * 2]
    assert mounting(*rows).recommended("volume-size") == []


def test_claims_that_runs_make_are_one_volume_and_have_no_command() -> None:
    rows = [VolumeUse(f"run-{i}-work", (9.5 if i == 3 else 5) * GI, 10 * GI) for i in range(12)]
    of = mounting(*rows)
    (fill,) = volume_fills(of.analysis())
    assert (fill.claim, fill.shared, fill.runs) == ("work", False, 12)
    assert fill.share == pytest.approx(0.95)
    item = of.one("volume-size")
    assert item.how.startswith("kubectl concertmaster explain ")
    assert any("volumeClaimTemplates" in line for line in item.evidence)


def test_what_a_pod_used_is_kept_in_the_history_and_joined_by_its_maximum() -> None:
    fact = PodFact("demo", "a-1", "uid", volumes=(VolumeUse("data", 1.0, 10.0), VolumeUse("tmp", 3.0, 4.0)))
    more = replace(fact, volumes=(VolumeUse("data", 2.0, 10.0),))
    (merged,) = merge_facts([fact, more])
    assert merged.volumes == (VolumeUse("data", 2.0, 10.0), VolumeUse("tmp", 3.0, 4.0))
    known = execution(merged, "load", None)
    assert known.volumes == merged.volumes
    assert decode_execution(encode_execution(known)) == known
    bare = replace(known, volumes=())
    assert decode_execution(encode_execution(bare)) == bare
