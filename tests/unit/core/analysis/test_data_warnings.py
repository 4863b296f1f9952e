"""What is unusual about runs is said in one sentence each, with the cure, and nothing is said of healthy ones."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from concertmaster.core.analysis.data_warnings import data_warnings
from concertmaster.core.analysis.replay import prepare
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.model import Outcome, RunRecord, WorkflowDefinition
from concertmaster.core.model.engines import QUEUE_LABEL
from tests.support.builders import DAY, NOW, definition, run, step

CHAIN = definition(step("extract"), step("load", ["extract"]))
RUN = run(CHAIN.graph, {"extract": 60, "load": 30})


def of(*runs: RunRecord) -> tuple[str, ...]:
    return data_warnings(CHAIN, runs, NOW, RunFigures())


def behind(seconds: float, node: str = "n1") -> RunRecord:
    """A run on a node whose clock is ``seconds`` behind."""
    steps = tuple(
        replace(e, node=node, started=(e.started or 0.0) - seconds, finished=(e.finished or 0.0) - seconds)
        for e in RUN.steps
    )
    return replace(RUN, steps=steps)


def test_healthy_runs_are_not_mentioned() -> None:
    assert of(RUN, replace(RUN, run="b", outcome=Outcome.RUNNING, start=NOW - 3600)) == ()
    assert of() == ()


def test_the_clock_of_a_node_that_is_behind() -> None:
    (found,) = of(RUN, behind(93.0), behind(40.0, "n2"))
    assert found.startswith("the clock of n1 and n2 is behind by up to 1m31s: 4 pods started before they existed")
    assert "NTP" in found
    assert of(behind(3.0)) == ()  # within a second's stamp and the start-up


@given(st.floats(0.0, 2.0))
def test_stamps_cut_to_seconds_are_no_clocks_apart(cut: float) -> None:
    assert of(behind(cut)) == ()


def test_an_outage_whose_runs_are_missing() -> None:
    """Not one that history was read of afterwards, nor a short one."""
    hourly = [replace(RUN, run=f"r{k}", start=NOW - k * 3600.0, end=NOW - k * 3600.0 + 90.0) for k in range(24 * 14)]
    outage = (NOW - 5 * DAY, NOW - 2 * DAY)
    seen = [r for r in hourly if not outage[0] <= (r.start or 0.0) <= outage[1]]

    def said(runs: list[RunRecord], *blind: tuple[float, float]) -> tuple[str, ...]:
        return data_warnings(CHAIN, runs, NOW, RunFigures(), blind=blind)

    (found,) = said(seen, outage)
    assert "or there were no pods, for 3d: runs of that time are missing" in found
    assert said(hourly, outage) == ()
    assert (
        said([r for r in hourly if not 3 <= (NOW - (r.start or 0.0)) / 3600 <= 7], (NOW - 7 * 3600, NOW - 3 * 3600))
        == ()
    )


def test_scheduled_starts_whose_runs_are_never_seen() -> None:
    """A third of the runs, all along. Not where the rest waits for a run in progress, nor of days without any, nor where the
    schedule was another one before, nor beside runs that no schedule starts."""
    hourly = replace(CHAIN, schedule="0 * * * *")
    newest = NOW - NOW % 3600.0
    every = [
        replace(RUN, run=f"r{k}", start=newest - k * 3600.0 + 2.0, end=newest - k * 3600.0 + 92.0)
        for k in range(24 * 14)
    ]

    def said(runs: list[RunRecord], of: WorkflowDefinition = hourly, *blind: tuple[float, float]) -> tuple[str, ...]:
        return data_warnings(of, runs, NOW, RunFigures(), blind=blind)

    seen = [r for k, r in enumerate(every) if k % 7 in (0, 3)]
    (found,) = said(seen)
    assert found.startswith("237 of 332 scheduled starts have no run")
    assert "monthly figures and gains count only runs that were seen" in found
    assert found.endswith("exposes the pods of every run")
    queued = replace(hourly, declared={QUEUE_LABEL: "team"})
    assert said(seen, queued) == (f"{found}, and that LocalQueue team admits them",)
    assert said(every) == ()
    assert said(seen, replace(hourly, suspended=True)) == said(seen, CHAIN) == ()
    long = [replace(r, end=(r.start or 0.0) + 3.5 * 3600.0) for r in every[::4]]
    assert said(long) == ()
    assert said(every[:200] + every[200::4]) == ()  # it was started every four hours before
    assert said(every[:100] + every[240:]) == ()  # or suspended meanwhile
    by_hand = [replace(r, start=(r.start or 0.0) + 900.0, end=(r.end or 0.0) + 900.0) for r in seen]
    assert said(by_hand) == ()


def test_no_start_lacks_its_run_where_runs_are_seen_but_otherwise_than_due() -> None:
    """A schedule that was edited a day ago, runs that have not ended, one that goes by the clock of another zone, and starts
    that Forbid holds back since a Job outlasts its pod by some seconds."""
    hourly = replace(CHAIN, schedule="0 * * * *")
    newest = NOW - NOW % 3600.0

    def begun(at: list[float], seconds: float = 90.0) -> list[RunRecord]:
        return [replace(RUN, run=f"{t:.0f}", start=t + 2.0, end=t + 2.0 + seconds) for t in at]

    def said(runs: list[RunRecord], of: WorkflowDefinition) -> tuple[str, ...]:
        return tuple(note for note in data_warnings(of, runs, NOW, RunFigures()) if "scheduled starts" in note)

    hours = [newest - k * 3600.0 for k in range(24 * 14)]
    edited = begun(hours[:24] + hours[24::4])
    assert said(edited, hourly) != ()  # as far as is known
    assert said(edited, replace(hourly, written=hours[24])) == ()
    assert said(begun(hours[:24:3] + hours[24::4]), replace(hourly, written=hours[24]))[0].startswith("16 of 23")
    every = begun(hours)
    assert (
        said([replace(r, end=None, outcome=Outcome.RUNNING) if k % 3 else r for k, r in enumerate(every)], hourly) == ()
    )
    two_later = [t + 7200.0 for t in hours if 9 <= t % DAY // 3600.0 <= 17]
    assert said(begun(two_later), replace(CHAIN, schedule="0 9-17 * * *")) == ()
    fives = [newest - k * 600.0 for k in range(200)]
    assert said(begun(fives, seconds=293.0), replace(CHAIN, schedule="*/5 * * * *")) == ()
    assert said(begun(fives), replace(CHAIN, schedule="*/5 * * * *")) != ()


def test_no_outage_where_no_run_was_due() -> None:
    """A cluster that is scaled to zero at weekends, and a schedule of working days."""
    monday = NOW - (NOW - 4 * DAY) % (7 * DAY)  # 1970-01-05 was one
    seen = [
        replace(RUN, run=f"r{k}", start=monday + k * 3600.0, end=monday + k * 3600.0 + 90.0)
        for k in range(-7 * 24, 24)
        if k >= 0 or k < -48
    ]
    working = replace(CHAIN, schedule="0 * * * 1-5")
    weekend = (monday - 47 * 3600.0, monday - 2 * 3600.0)
    assert data_warnings(working, seen, NOW, RunFigures(), blind=[weekend]) == ()
    assert len(data_warnings(CHAIN, seen, NOW, RunFigures(), blind=[weekend])) == 1


def test_steps_the_template_does_not_have() -> None:
    renamed = replace(RUN, steps=tuple(replace(e, step=f"old-{e.step}") for e in RUN.steps))
    (found,) = of(RUN, renamed)
    assert found.startswith("2 pods ran old-extract and old-load, which WorkflowTemplate nightly-etl does not have")
    assert "renamed or removed since, or of runs that began at another entrypoint; they" in found
    cron = replace(CHAIN, key=replace(CHAIN.key, kind="CronWorkflow"))  # its runs all begin at its own
    (found,) = data_warnings(cron, (RUN, renamed), NOW, RunFigures())
    assert "renamed or removed since; they" in found


def test_a_pod_of_which_only_the_template_is_known_is_odd_when_nothing_runs_that_template() -> None:
    known = replace(RUN, steps=(replace(RUN.steps[0], step="template:extract"),))
    assert of(known) == ()
    (found,) = of(replace(RUN, steps=(replace(RUN.steps[0], step="template:gone"),)))
    assert found.startswith("1 pod ran gone,")


def test_a_graph_that_was_inferred_has_no_strange_steps() -> None:
    loose = replace(CHAIN, graph=replace(CHAIN.graph, inferred=True))
    strange = replace(RUN, steps=tuple(replace(e, step="x") for e in RUN.steps))
    assert data_warnings(loose, (strange,), NOW, RunFigures()) == ()


def test_a_run_in_progress_for_days() -> None:
    days = replace(RUN, run="etl-1", outcome=Outcome.RUNNING, start=NOW - 3.5 * DAY)
    assert of(days) == ("run etl-1 has been going on for 3 d or more: it counts when it has ended",)
    (found,) = of(replace(days, run="etl-2", start=NOW - 2 * DAY), days)
    assert found.startswith("run etl-1 and 1 other run has")


def test_later_rounds_of_a_recursion_and_calls_that_were_skipped_are_not_strange() -> None:
    loop = definition(step("round.work"))
    (first,) = run(loop.graph, {"round.work": 60}).steps
    again = replace(first, step="round.next.next.work", pod="p2")
    skipped = replace(first, step="round.next.stop", pod=None, outcome=Outcome.SKIPPED)
    assert data_warnings(loop, (replace(RUN, steps=(first, again, skipped)),), NOW, RunFigures()) == ()


def _chains(lead: float, slow: frozenset[str] = frozenset(), apart: float = 1.0) -> list[RunRecord]:
    """Runs of extract on n0 to n3 in turn and load ``apart`` seconds after its end; the clock of n1 is ``lead`` seconds
    ahead, and pods on ``slow`` nodes take 30 s longer, which load does not wait for."""
    runs = []
    for i in range(20):
        node = f"n{i % 4}"
        made = run(CHAIN.graph, {"extract": 60, "load": 30}, number=i)
        extract, load = made.steps
        more = 30.0 if node in slow else 0.0
        start, end = (extract.started or 0.0), (extract.finished or 0.0)
        gap = end + apart - (load.created or 0.0)
        load = replace(
            load,
            node=f"n{(i + 2) % 4}",
            **{name: getattr(load, name) + gap for name in ("created", "scheduled", "started", "finished")},
        )
        off = lead if node == "n1" else 0.0
        extract = replace(extract, node=node, started=start + off, finished=end + off + more)
        runs.append(replace(made, steps=(extract, load), end=load.finished))
    return runs


def _of_executed(runs: list[RunRecord]) -> tuple[str, ...]:
    return data_warnings(CHAIN, runs, NOW, RunFigures(), prepare(runs, CHAIN.graph))


def test_the_clock_of_a_node_that_is_ahead() -> None:
    (found,) = _of_executed(_chains(20.0))
    assert found.startswith("the clock of n1 is ahead by about 19s: 5 pods ended after pods that waited for them")
    assert "NTP" in found


def test_what_is_no_clock_ahead() -> None:
    assert _of_executed(_chains(0.0)) == ()
    assert _of_executed(_chains(3.0)) == ()
    assert _of_executed(_chains(0.0, frozenset({"n1"}))) == ()  # slower, and load does not wait for it
    assert _of_executed(_chains(20.0, apart=-30.0)) == ()  # load waits for it on no node
