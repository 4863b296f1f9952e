"""Measured figures on the pages are those of the results that are published: a new measurement that is not written into a
page, or a figure of which nothing is left, fails."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks.scale.fleet_workflows import Load
from concertmaster.core.units import DAY

ROOT = Path(__file__).parents[2]


def result(name: str) -> dict[str, Any]:
    """One result file."""
    return dict(json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text()))


def page(name: str) -> str:
    """The words of a page on one line."""
    return " ".join((ROOT / "docs" / name).read_text().split())


FLEET = {row["workflows"]: row for row in result("fleet")["rows"]}
MANY = FLEET[10_000]
SHARDS, QUIET = result("shards"), next(r for r in result("quiet")["rows"] if r["workflows"] == 10_000)
LOOKS = {row["seconds"]: row for row in result("looks")["looks"]}
HISTORY, RETENTION, PAGES = result("history"), result("retention")["stores"], result("pages")
ANALYZE, KRR = result("analyze"), result("krr")
SPEED, GOALS = ([row[of] for row in result("speed")["rows"]] for of in ("median_ms", "goal_ms"))
LOSS, STEADY = SHARDS["loss"], SHARDS["steady"]
OURS, PEER = (KRR["tools"][tool] for tool in ("concertmaster", "krr"))


def look(seconds: int) -> str:
    """A row of the table of one cycle."""
    row, name = LOOKS[seconds], {3000: "3,000 s of the past"}.get(seconds, f"{seconds} s")
    return (
        f"| {name} | {row['pods']:,} | {row['queries']} | {row['prometheus_cpu_s']:.1f} s | {row['samples']:,}"
        f" | {row['own_cpu_s']} s | {row['wall_s']} s |"
    )


def tool(row: dict[str, Any]) -> str:
    """The figures of a tool in the comparison."""
    return (
        f"| {row['wall_s']} s | {row['own_cpu_s']} s | {row['queries']:,} | {row['samples'] / 1e6:.2f} M"
        f" | {row['store_cpu_s']} s |"
    )


MEASURED = [
    ("scale.md", f"{FLEET[200]['steady']['cpu_s']} s of CPU a cycle, {FLEET[200]['rss_mib']} MiB"),
    ("scale.md", f"| 10 min | {MANY['advice_s'] / 60:.1f} min ("),
    ("scale.md", f"{MANY['steady']['seconds']:.1f} s; {MANY['steady']['cpu_s']} s of CPU of the operator,"),
    ("scale.md", f"{MANY['steady']['api_cpu_s']} of the API server |"),
    (
        "scale.md",
        f"{MANY['steady']['store_cpu_s']} s; {LOOKS[60]['prometheus_cpu_s']:.1f} s where {LOOKS[60]['pods']:,}",
    ),
    ("scale.md", f"| 0.24 ms | {1000 * LOOKS[60]['own_cpu_s'] / LOOKS[60]['pods']:.2f} ms |"),
    ("scale.md", f"| 60 s | {MANY['restart']['seconds']:.0f} s |"),
    ("scale.md", f"| {QUIET['cpu_s']:.1f} s; {QUIET['writes']:.0f}; 0 | `make bench-quiet SIZE=10000` |"),
    ("scale.md", f"| {MANY['rss_mib']} ({MANY['peak_rss_mib']} at the peak, with the process that reads the past);"),
    ("scale.md", f"past); {FLEET[200]['rss_mib']}; {FLEET[200]['idle_rss_mib']} |"),
    ("scale.md", f"| 28 s | {LOOKS[3000]['wall_s']} s |"),
    ("scale.md", f"| 4 s | {ANALYZE['wall_s']} s | `make bench-analyze` |"),
    ("scale.md", f"with {MANY['kept']['runs']} runs kept per workflow ({MANY['kept']['pods'] / 1e6:.1f} million pods"),
    ("scale.md", f"it took {MANY['kept']['steady']['seconds']:.1f} s, {MANY['kept']['steady']['cpu_s']} s of CPU for"),
    (
        "scale.md",
        f"cycle after {MANY['kept']['restart']['seconds']:.0f} s, with {MANY['kept']['restart']['analyzed']:,}",
    ),
    *(("scale.md", look(seconds)) for seconds in LOOKS),
    *(("scale.md", tool(row)) for row in (OURS, PEER)),
    ("scale.md", f"takes {QUIET['cpu_s']:.1f} s of the operator's CPU, {QUIET['store_cpu_s']:.1f} of Prometheus'"),
    ("scale.md", f"{QUIET['api_cpu_s']:.1f} of the API server's"),
    ("scale.md", f"{QUIET['requests']:.0f} reads, {QUIET['queries']:.0f} queries, no write"),
    ("scale.md", f"up to {QUIET['written_a_second']} were measured"),
    *(
        (
            "scale.md",
            f"| {row['workflows']:,} | {row['cpu_s']:.1g} s |",
        )
        for row in result("idle")["rows"]
    ),
    (
        "scale.md",
        f"{min(STEADY['cpu_s'])} to {max(STEADY['cpu_s'])} s of CPU in each shard, {STEADY['store_cpu_s']} s in",
    ),
    ("scale.md", f"{STEADY['postgres_cpu_s']} in PostgreSQL and {STEADY['api_cpu_s']} in the API server"),
    ("scale.md", f"Measured on {SHARDS['date']} with 10,000 workflows on four shards"),
    ("shards.md", f"On {SHARDS['date']} the others detected the loss"),
    ("dashboard.md", f"by `make bench-pages` on {PAGES['date']}"),
    ("scale.md", f"cycles of {STEADY['seconds']:.1f} s (longest {STEADY['longest_s']:.1f})"),
    ("scale.md", f"{min(SHARDS['rss_mib'])} to {max(SHARDS['rss_mib'])} MiB in each shard"),
    (
        "shards.md",
        f"loss after {LOSS['noticed_s']} s, took over its {LOSS['profiles']:,} workflows after {LOSS['taken_s']} s",
    ),
    (
        "shards.md",
        f"had processed them after {LOSS['read_s']} s. The totals never counted fewer than {LOSS['least_counted']:,}",
    ),
    ("shards.md", f"({SHARDS['scores_s'] / 60:.1f} minutes instead of {MANY['advice_s'] / 60:.1f})"),
    ("operations.md", f"| {FLEET[200]['rss_mib']} MiB with 200 workflows, {FLEET[1000]['rss_mib']} with 1,000."),
    ("operations.md", f"{RETENTION['SQLite']['bytes_per_pod_after'] / 1024:.2f} KiB per retained pod"),
    ("operations.md", f"({RETENTION['PostgreSQL']['bytes_per_pod_after'] / 1024:.2f} in PostgreSQL"),
    ("operations.md", f"{HISTORY['bytesPerRow']:.0f} bytes per day and workflow or step"),
    ("operations.md", f"Rows up to 1,000 workflows are of {FLEET[1000]['date']} and"),
    ("operations.md", f"the last one is of {MANY['date']}."),
    ("scale.md", f"| {GOALS[0]:g}; {GOALS[3]:g} ms of CPU | {SPEED[0]:.1f} ("),
    ("scale.md", f"on other days and versions); {SPEED[3]:.1f} ("),
    ("quickstart.md", f"[{FLEET[200]['whole_s']} s for 200"),
    ("trends.md", f"A row takes {HISTORY['bytesPerRow']:.0f} bytes on disk"),
    ("trends.md", f"take {HISTORY['gibOf10000Workflows']:.1f} GiB after 400 days"),
    ("postgresql.md", f"about {RETENTION['PostgreSQL']['bytes_per_pod_after'] / 10:.0f}0 bytes for each pod"),
    ("postgresql.md", f"[SQLite](scale.md) takes {RETENTION['SQLite']['bytes_per_pod_after'] / 10:.0f}0."),
    ("dashboard.md", f"together took {PAGES['mostMemoryMiB']} MiB"),
]


@pytest.mark.parametrize(("name", "words"), MEASURED)
def test_a_figure_is_the_one_that_was_measured(name: str, words: str) -> None:
    assert words in page(name)


RESULTS = " ".join((ROOT / "benchmarks" / "RESULTS.md").read_text().split())
# Words of pages, and those of the published results with the same figures.
SAME = [
    ("methods.md", "Of {n} intervals promised at 90%, {held}%", "of {n} intervals {held}% hold it (promised: 90%)"),
    (
        "methods.md",
        "most of each interval, {held}% of {n}, and by rule",
        "3,744 problems is published; of {n} intervals {held}% hold it. ",
    ),
    ("methods.md", "one problem of each of {kinds} kinds", "planted problems of {kinds} kinds and 1000 healthy"),
    ("methods.md", "the opposite: {kinds} kinds", "{kinds} kinds of workflows that are as they should be"),
    ("methods.md", "Of {n} histories, {avoidable}%", "({n} histories with 1,721,230 runs)"),
    ("methods.md", "Of 8,760 histories, {avoidable}%", "In {avoidable}% the metrics could have ruled it out"),
    ("methods.md", "and {wrong}% any wrong one", "{wrong}% of the histories have a recommendation that is wrong"),
    ("methods.md", "too: {kinds} kinds of problems in graphs", "planted problems of {kinds} kinds over 20 seeds"),
    ("methods.md", "problems of {kinds} kinds that are material", "{kinds} kinds of problems and 25 kinds"),
    (
        "methods.md",
        "Of {n} problems of 40 kinds that are material {found}%",
        "of {n} problems that are material are found ({found}%)",
    ),
    ("methods.md", "{held}% of {n} promises hold, and none", "Of {n} recommendations for these sites that promise"),
    ("methods.md", "{held}% of 656 promises hold, and none", "or no change of the run time, {held}% hold it"),
    ("methods.md", "{held}% of {n} measured intervals", "the same runs without the change, in {held}% of {n}."),
    ("methods.md", "And {n} lives of {kinds} kinds", "{n} lives of {kinds} kinds, with"),
    ("methods.md", "of {n} measured gains are held", "Of {n} measured effects"),
    ("methods.md", "simulates later runs with it: {kinds} kinds", "1,580 workflows of {kinds} kinds over 20 seeds"),
    (
        "methods.md",
        "Of {n} problems {found}% are found, none of {healthy}",
        "of {n} problems that are material and in the window are found, by rule and container ({found}%); 0 of {healthy}",
    ),
    (
        "methods.md",
        "In {wrong} of {n} workflows one is wrong",
        "{wrong} of {n} workflows have a recommendation that is wrong",
    ),
    (
        "methods.md",
        "has a recommendation, and {held}% of {n} intervals",
        "Of {n} published intervals {held}% hold the effect",
    ),
    ("methods.md", "draws series by {laws} laws", "{laws} laws that the methods do not know"),
    (
        "methods.md",
        "{share}% of quiet series of 15 to 400",
        "quiet series with a change point | at most 0.4% | 5.9% of 5,100 | {share}% of",
    ),
    (
        "methods/sizing.md",
        "Of the runs to come, {held}% keep below the size",
        "runs after the ones seen, in any order | 99% of runs | 14 | 151,253 | {held}%",
    ),
    (
        "methods/sizing.md",
        "Of steps of four hours and more {held}% do, where {promised}% are promised",
        "the same, steps of four hours and more | {promised}% of runs | 8 | 33,795 | {held}%",
    ),
    (
        "changes.md",
        "a slowdown of a fifth is caught in {caught}%",
        "| a fifth faster (120) | 23.8%, 90.0% | 0.0%, 0.0% | 0.0%, {caught}% |",
    ),
    (
        "methods/changes.md",
        "with the control {caught}%.",
        "| a fifth faster (120) | 23.8%, 90.0% | 0.0%, 0.0% | 0.0%, {caught}% |",
    ),
]


def figures(words: str, text: str) -> dict[str, str]:
    """The figures that stand in the text where ``words`` has names in braces."""
    pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>\\d[\\d,]*(?:\\.\\d+)?)", re.escape(words))
    found = re.search(pattern, text)
    assert found is not None, words
    return {name: figure.replace(",", "") for name, figure in found.groupdict().items()}


@pytest.mark.parametrize(("name", "words", "published"), SAME)
def test_a_share_is_the_one_that_is_published(name: str, words: str, published: str) -> None:
    """Rounded as the page says it."""
    said, known = figures(words, page(name)), figures(published, RESULTS)
    shared = said.keys() & known
    assert shared
    for figure in shared:
        digits = len(said[figure].partition(".")[2])
        assert float(said[figure]) == round(float(known[figure]), digits), figure


def test_the_histories_of_growth_are_those_of_the_published_table() -> None:
    rows = re.findall(r"\| growth[^|]*\| (\d+) of (\d+) \| (\d+) of \d+ \| (\d+) of", RESULTS)
    found, of, dated, right = (sum(map(int, column)) for column in zip(*rows, strict=True))
    said = figures("of {of} histories of growth {found} are", page("methods.md"))
    assert said == {"of": str(of), "found": str(found)}
    assert (dated, dated - right) == (10, 9)
    assert "ten of them with a date, nine of which mean nothing" in page("methods.md")


A_THOUSAND = r"\| 1,000 \(7 runs a minute\) \| [^|]*"
RANGES = [
    ("all 14 days read and recommendations ready after {} s", FLEET[200]["whole_s"]),
    ("all read and recommendations ready after {} s", FLEET[1000]["advice_s"]),
    (A_THOUSAND + "; {} s of CPU a cycle", FLEET[1000]["steady"]["cpu_s"]),
    (A_THOUSAND + " s of CPU a cycle, {} MiB", FLEET[1000]["rss_mib"]),
]


@pytest.mark.parametrize(("words", "value"), RANGES)
def test_a_figure_lies_in_the_range_that_is_said(words: str, value: float) -> None:
    """Of several measurements, of which the last one is published."""
    found = re.search(words.replace("{}", r"([\d.]+)(?: to ([\d.]+))?"), page("scale.md"))
    assert found is not None
    assert float(found[1]) <= value <= float(found[2] or found[1])


CALL = re.compile(r"make bench-(fleet|shards) SIZE=(\d+) RUNS=(\d+) EVERY=(\d+) AHEAD=(\d+)`")


@pytest.mark.parametrize("name", ["scale.md", "shards.md"])
def test_a_command_loads_as_many_pods_as_were_measured_with_it(name: str) -> None:
    """Of the last round, only the runs that begin before the end of the history are there."""
    calls = CALL.findall(page(name))
    assert calls
    for benchmark, *options in calls:
        size, runs, every, ahead = map(int, options)
        measured = SHARDS if benchmark == "shards" else FLEET[size]
        last = -(-ahead * size // every)
        assert 10 * (size * (runs - 1) + last) == measured["pods"], f"bench-{benchmark} AHEAD={ahead}"


def test_the_last_round_is_cut_off_at_the_end_of_the_history() -> None:
    """As the above counts them."""
    load = Load(100, 10, 3, 3 * 8640 / DAY, 8640, 5400, 0)
    assert sum(1 for _ in load.pods(1.8e9)) == 10 * (200 + -(-5400 * 100 // 8640))
