"""Expected executions of each run, written manually from the workflow: one row per execution.

Columns of a row: name of the node without the run's name (as in Argo; for Tekton and Jobs see their tests), step, item,
attempt, outcome, dependencies.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One execution. ``node``: the part of the node name after the run's name."""

    node: str
    step: str
    item: str | None
    attempt: int
    outcome: str
    after: tuple[str, ...]


def rows(text: str) -> tuple[Row, ...]:
    """Rows from lines of ``node | step | item | attempt | outcome | after, after``."""
    found = []
    for line in text.strip().splitlines():
        node, step, item, attempt, outcome, after = (part.strip() for part in line.split("|"))
        waited = tuple(sorted(name.strip() for name in after.split(",") if name.strip()))
        found.append(Row(node, step, item or None, int(attempt), outcome, waited))
    return tuple(found)


# By prefix of the run's name.
ARGO: dict[str, tuple[Row, ...]] = {
    "fan-items": rows("""
        .prepare           | prepare |              | 0 | Succeeded |
        .aside             | aside   |              | 0 | Succeeded |
        .fan(0:part:north) | fan     | 0:part:north | 0 | Succeeded | prepare
        .fan(1:part:south) | fan     | 1:part:south | 0 | Succeeded | prepare
        .fan(2:part:west)  | fan     | 2:part:west  | 0 | Succeeded | prepare
        .join              | join    |              | 0 | Succeeded | fan, aside
    """),
    "fan-param": rows("""
        .list          | list |         | 0 | Succeeded |
        .each(0:a.csv) | each | 0:a.csv | 0 | Succeeded | list
        .each(1:b.csv) | each | 1:b.csv | 0 | Succeeded | list
        .each(2:c.csv) | each | 2:c.csv | 0 | Succeeded | list
        .sum           | sum  |         | 0 | Succeeded | each
    """),
    "fan-chain": rows("""
        .part(0:2).extract | part.extract | 0:2 | 0 | Succeeded |
        .part(0:2).clean | part.clean | 0:2 | 0 | Succeeded | part.extract
        .part(0:2).seal | part.seal | 0:2 | 0 | Succeeded | part.clean
        .part(1:3).extract | part.extract | 1:3 | 0 | Succeeded |
        .part(1:3).clean | part.clean | 1:3 | 0 | Succeeded | part.extract
        .part(1:3).seal | part.seal | 1:3 | 0 | Succeeded | part.clean
        .part(2:16).extract | part.extract | 2:16 | 0 | Succeeded |
        .part(2:16).clean | part.clean | 2:16 | 0 | Succeeded | part.extract
        .part(2:16).seal | part.seal | 2:16 | 0 | Succeeded | part.clean
        .load | load | | 0 | Succeeded | part.seal
    """),
    "fan-sequence": rows("""
        [0].page(0:0) | page | 0:0 | 0 | Succeeded |
        [0].page(1:1) | page | 1:1 | 0 | Succeeded |
        [0].page(2:2) | page | 2:2 | 0 | Succeeded |
        [0].page(3:3) | page | 3:3 | 0 | Succeeded |
        [0].page(4:4) | page | 4:4 | 0 | Succeeded |
        [1].done      | done |     | 0 | Succeeded | page
    """),
    "nested": rows("""
        [0].extract                | extract         |       | 0 | Succeeded |
        [1].transform.clean        | transform.clean |       | 0 | Succeeded | extract
        [1].transform.left         | transform.left  |       | 0 | Succeeded | transform.clean
        [1].transform.right        | transform.right |       | 0 | Succeeded | transform.clean
        [1].check(0:one)[0].first  | check.first     | 0:one | 0 | Succeeded | extract
        [1].check(0:one)[1].second | check.second    | 0:one | 0 | Succeeded | check.first
        [1].check(1:two)[0].first  | check.first     | 1:two | 0 | Succeeded | extract
        [1].check(1:two)[1].second | check.second    | 1:two | 0 | Succeeded | check.first
        [2].load                   | load            |       | 0 | Succeeded | transform.left, transform.right, check.second
        [2].report                 | report          |       | 0 | Succeeded | transform.left, transform.right, check.second
    """),
    "conditions": rows("""
        .toss      | toss      | | 0 | Succeeded |
        .heads     | heads     | | 0 | Succeeded | toss
        .tails     | tails     | | 0 | Skipped   | toss
        .shaky     | shaky     | | 0 | Failed    | toss
        .repair    | repair    | | 0 | Succeeded | shaky
        .celebrate | celebrate | | 0 | Skipped   | shaky
        .last      | last      | | 0 | Succeeded | heads, tails, repair
    """),
    "single": rows("""
        | only | | 0 | Succeeded |
    """),
    "trigger-single": rows("""
        | only | | 0 | Succeeded |
    """),
    "every-minute": rows("""
        [0].tick | tick | | 0 | Succeeded |
        [1].tock | tock | | 0 | Succeeded | tick
    """),
    "shared-chain": rows("""
        [0].one | one | | 0 | Succeeded |
        [1].two | two | | 0 | Succeeded | one
    """),
    "retry-oom": rows("""
        .read          | read    |     | 0 | Succeeded |
        .train(0:0)(0) | train   | 0:0 | 0 | Failed    | read
        .train(0:0)(1) | train   | 0:0 | 1 | Failed    | train
        .train(0:0)(2) | train   | 0:0 | 2 | Succeeded | train
        .train(1:1)(0) | train   | 1:1 | 0 | Failed    | read
        .train(1:1)(1) | train   | 1:1 | 1 | Failed    | train
        .train(1:1)(2) | train   | 1:1 | 2 | Succeeded | train
        .publish       | publish |     | 0 | Succeeded | train
    """),
    "retry-rounds": rows("""
        (0).read(0)  | read  | | 0 | Succeeded |
        (0).train(0) | train | | 0 | Failed    | read
        (0).train(1) | train | | 1 | Failed    | train
        (1).read(0)  | read  | | 1 | Succeeded | train
        (1).train(0) | train | | 2 | Succeeded | read
    """),
    "retry-exhausted": rows("""
        [0].fragile(0) | fragile | | 0 | Failed    |
        [0].fragile(1) | fragile | | 1 | Failed    | fragile
        .onExit        | onExit  | | 0 | Succeeded | fragile
    """),
    "handlers": rows("""
        .hooks.running    | hooks.running  | | 0 | Succeeded |
        .guarded          | guarded        | | 0 | Succeeded |
        .guarded.onExit   | guarded.onExit | | 0 | Succeeded | guarded
        .after            | after          | | 0 | Succeeded | guarded, guarded.onExit
        .onExit[0].tell   | onExit.tell    | | 0 | Succeeded | after
    """),
    "suspended": rows("""
        .before | before | | 0 | Succeeded |
        .pause  | pause  | | 0 | Succeeded | before
        .after  | after  | | 0 | Succeeded | pause
    """),
    "daemons": rows("""
        [0].server | server | | 0 | Succeeded |
        [1].client | client | | 0 | Succeeded | server
    """),
    "containers": rows("""
        .packed | packed | | 0 | Succeeded |
        .after  | after  | | 0 | Succeeded | packed
    """),
    "limited": rows("""
        .slice(0:1) | slice | 0:1 | 0 | Succeeded |
        .slice(1:2) | slice | 1:2 | 0 | Succeeded |
        .slice(2:3) | slice | 2:3 | 0 | Succeeded |
        .slice(3:4) | slice | 3:4 | 0 | Succeeded |
        .slice(4:5) | slice | 4:5 | 0 | Succeeded |
        .merge      | merge |     | 0 | Succeeded | slice
    """),
    "locked": rows("""
        .write(0:x) | write | 0:x | 0 | Succeeded |
        .write(1:y) | write | 1:y | 0 | Succeeded |
        .query(0:p) | query | 0:p | 0 | Succeeded |
        .query(1:q) | query | 1:q | 0 | Succeeded |
        .query(2:r) | query | 2:r | 0 | Succeeded |
    """),
    "memoized-f6z3q": rows("""
        .fetch | fetch | | 0 | Succeeded |
        .use   | use   | | 0 | Succeeded | fetch
    """),
    "memoized-r4h8y": rows("""
        .fetch | fetch | | 0 | Cached    |
        .use   | use   | | 0 | Succeeded | fetch
    """),
    "turns-j3w6d": rows("""
        [0].act | act | | 0 | Succeeded |
    """),
    "turns-v2m9k": rows("""
        [0].act | act | | 0 | Succeeded |
    """),
    "sidecars": rows("""
        .query | query | | 0 | Succeeded |
        .after | after | | 0 | Succeeded | query
    """),
    "stopped-w5n8r": rows("""
        .before | before | | 0 | Succeeded |
        .long   | long   | | 0 | Unknown   | before
        .never  | never  | | 0 | Skipped   | long
    """),
    "stopped-y2c6f": rows("""
        .before | before | | 0 | Succeeded |
        .long   | long   | | 0 | Unknown   | before
        .never  | never  | | 0 | Skipped   | long
    """),
    "overdue": rows("""
        .slow  | slow  | | 0 | Failed  |
        .never | never | | 0 | Skipped | slow
    """),
    "wide": (
        *(Row(f".part({n}:{n})", "part", f"{n}:{n}", 0, "Succeeded", ()) for n in range(32)),
        Row(".join", "join", None, 0, "Succeeded", ("part",)),
    ),
    "no-items": rows("""
        .list      | list |     | 0 | Succeeded |
        .each      | each |     | 0 | Skipped   | list
        .page      | page |     | 0 | Skipped   | list
        .some(0:1) | some | 0:1 | 0 | Succeeded | list
        .some(1:2) | some | 1:2 | 0 | Skipped   | list
        .sum       | sum  |     | 0 | Succeeded | each, page, some
    """),
    "adhoc": rows("""
        [0].probe | probe | | 0 | Succeeded |
        [1].apply | apply | | 0 | Succeeded | probe
    """),
    "picked": rows("""
        .probe | probe | | 0 | Succeeded |
        .apply | apply | | 0 | Succeeded | probe
    """),
}

# By prefix of the run's name; ``node`` is the TaskRun without the run's name, then "#" and the attempt.
TEKTON: dict[str, tuple[Row, ...]] = {
    "chain": rows("""
        -build#0  | build  | | 0 | Succeeded |
        -test#0   | test   | | 0 | Succeeded | build
        -report#0 | report | | 0 | Succeeded | build
        -ship#0   | ship   | | 0 | Succeeded | build, test
    """),
    "grid": rows("""
        -prepare#0 | prepare |   | 0 | Succeeded |
        -each-0#0  | each    | 0 | 0 | Succeeded | prepare
        -each-1#0  | each    | 1 | 0 | Succeeded | prepare
        -each-2#0  | each    | 2 | 0 | Succeeded | prepare
        -gather#0  | gather  |   | 0 | Succeeded | each
    """),
    "guarded": rows("""
        -first#0   | first   | | 0 | Succeeded |
        -allowed#0 | allowed | | 0 | Succeeded | first
        | skipped | | 0 | Skipped | first
        -behind#0  | behind  | | 0 | Succeeded | first
        -sweep#0   | sweep   | | 0 | Succeeded | first, allowed, behind
    """),
    "flaky": rows("""
        -shaky#0 | shaky | | 0 | Failed    |
        -shaky#1 | shaky | | 1 | Succeeded | shaky
        -next#0  | next  | | 0 | Succeeded | shaky
    """),
    "broken": rows("""
        -bad#0   | bad       | | 0 | Failed    |
        | unreached | | 0 | Skipped | bad
        -sweep#0 | sweep     | | 0 | Succeeded | bad
    """),
    "cancelled": rows("""
        -before#0 | before | | 0 | Succeeded |
        -long#0   | long   | | 0 | Unknown   | before
    """),
    "late": rows("""
        -slow#0 | slow | | 0 | Failed |
    """),
    "included": rows("""
        -build-0#0 | build  | 0 | 0 | Succeeded |
        -build-1#0 | build  | 1 | 0 | Succeeded |
        -build-2#0 | build  | 2 | 0 | Succeeded |
        -only-0#0  | only   | 0 | 0 | Succeeded | build
        -only-1#0  | only   | 1 | 0 | Succeeded | build
        -single#0  | single |   | 0 | Succeeded | build
        -sweep-0#0 | sweep  | 0 | 0 | Succeeded | build, only, single
        -sweep-1#0 | sweep  | 1 | 0 | Succeeded | build, only, single
    """),
    "tolerant": rows("""
        -shaky#0 | shaky | | 0 | Failed    |
        -next#0  | next  | | 0 | Succeeded | shaky
    """),
    "bypassed": rows("""
        -first#0   | first   | | 0 | Succeeded |
        | skipped | | 0 | Skipped | first
        | uses | | 0 | Skipped | first
        -follows#0 | follows | | 0 | Succeeded | first
        | last | | 0 | Skipped | first
        | report | | 0 | Skipped | first
        -sweep#0   | sweep   | | 0 | Succeeded | first, follows
    """),
    "embedded": rows("""
        -alone#0 | alone | | 0 | Succeeded |
    """),
}
