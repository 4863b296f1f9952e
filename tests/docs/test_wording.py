"""What people read speaks the field's language: private words, and a space before the per cent sign, are found here."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRIVATE = {
    r"\badvi[cs]e[sd]?\b(?![:\t`])": "recommendation, recommend",  # a field of the status is named advice
    r"\b(?:take|takes|took|taken|taking) (?:it |them |that |each )?back\b": "roll back",
    r"\bcarr(?:y|ied|ies) out\b": "apply",
    r"\bgates?\b": "check",
    r"\bproofs?\b|\bproven?\b": "verification, verified",
    r"\bto spare\b": "the bound of the target",
    r"\bwanted\b": "target, expected",
    r"\btold\b": "reported, distinguished, known",
    r"\bmend(?:s|ed|ing)?\b": "fix",
    r"\bodd(?:ity|ities)?\b": "unusual",
    r"\bthe (?:metrics )?store\b": "metrics source",
    r"\bunknown end\b": "unknown outcome, end unknown",
    r"\bstand(?:s|ing)? still\b": "standby",
    r"\bin trouble\b|\btroubles?\b": "problem, failing",
    r"\bscenes?\b": "scenario",
    r"\bworlds?\b": "simulation, test cluster, harness",
    r"\bstrays?\b": "unplaced pod",
    r"\bseen in part\b": "partial data",
    r"\bin flight\b": "in progress, pending",
    r"\bwaits? for a node\b": "scheduling latency, queueing",
    r"\btakes? to start\b": "startup",
    r"\btrends? (?:is |are )?(?:better|worse)\b": "steady, improving, degrading",
    r"\bcovers? too little\b": "sample coverage",
    r"\btoo little to go on\b": "insufficient data: 2 of 5 required runs",
    r"\bno longer show what\b": "condition cleared in recent runs",
    r"\bno longer run time\b": "no impact on run duration",
    r"\bdesks?\b|\bfollowers?\b": "context, verifier",
    r"\bprov(?:e|es|ing) (?:itself|themselves)\b": "verification, verified",
    r"\bh(?:o|e)lds? (?:it|them|the runs?) back\b": "bottleneck, block",
    r"\bwhat becomes of\b": "lifecycle",
    r"\bwaits? less\b": "reduce latency",
    r"\bfind out what\b": "investigate",
    r"\bon a bad day\b|\bpiles? of\b": "risks: stuck runs, overlapping runs",
    r"\bgo through the checklist\b": "name what is not configured",
    r"\bknows? no pods?\b": "no recent samples",
    r"\banswered every query\b": "all queries succeeded",
    r"\bmost of all of\b": "mainly for",
    r"\d %": "a per cent sign right behind its number",
}


# Words with two spellings, of which messages and pages have that of Kubernetes' documentation.
BRITISH = re.compile(
    r"\b(?:(?:analys|optimis|recognis|minimis|summaris)(?:e[drs]?|ing)|utilisation|behaviours?|realised)\b",
    re.IGNORECASE,
)
PLURAL = re.compile(r"\banalyses\b", re.IGNORECASE)  # of analysis


def literals(file: Path) -> Iterator[tuple[int, str]]:
    """Strings of a module that are sentences and no docstrings."""
    tree = ast.parse(file.read_text())
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    first = [node.body[0] for node in ast.walk(tree) if isinstance(node, documented) and node.body]
    docstrings = {id(f.value) for f in first if isinstance(f, ast.Expr)}
    for node in ast.walk(tree):
        sentence = isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value
        if sentence and id(node) not in docstrings:
            yield node.lineno, node.value


def lines(file: Path) -> Iterator[tuple[int, str]]:
    """Lines of a page or a file people read, without names of tests and of code."""
    for number, line in enumerate(file.read_text().splitlines(), 1):
        yield number, re.sub(r"`[^`]*`|\bbench(?:marks\.|-)\w+", "", line)


def private(places: Iterator[tuple[int, str]]) -> list[str]:
    """Every private word with its line and what to say instead."""
    return [
        f"{number}: {found.group(0)} (say {instead}): {text.strip()[:100]}"
        for number, text in places
        for pattern, instead in PRIVATE.items()
        for found in [re.search(pattern, text, re.IGNORECASE)]
        if found
    ]


@pytest.mark.parametrize("room", sorted(p.name for p in (ROOT / "operator" / "concertmaster").iterdir() if p.is_dir()))
def test_messages_and_descriptions(room: str) -> None:
    files = sorted((ROOT / "operator" / "concertmaster" / room).rglob("*.py"))
    assert {str(f.relative_to(ROOT)): w for f in files if (w := private(literals(f)))} == {}


def remarks(file: Path) -> Iterator[tuple[int, str]]:
    """Lines of comments and docstrings, without names in backticks."""
    source = file.read_text()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], re.sub(r"``[^`]*``|`[^`]*`", "", token.string)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            text = ast.get_docstring(node, clean=False)
            for offset, line in enumerate((text or "").splitlines()):
                yield node.body[0].lineno + offset, re.sub(r"``[^`]*``|`[^`]*`", "", line)


@pytest.mark.parametrize("place", ["operator", "tests", "benchmarks", "testbed", "charts"])
def test_comments(place: str) -> None:
    files = sorted(f for f in (ROOT / place).rglob("*.py") if f != Path(__file__))
    # Words with a meaning of their own in code: a value a caller asks for, the class Store and numbers.
    own = ("wanted", "the store", "odd")
    found = {str(f.relative_to(ROOT)): [w for w in private(remarks(f)) if not w.split(": ", 1)[1].lower().startswith(own)]
             for f in files}  # fmt: skip
    assert {f: words for f, words in found.items() if words} == {}


READ = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "rules").glob("*.md")),
    *sorted((ROOT / "docs" / "design").glob("*.md")),
    *sorted((ROOT / "docs" / "methods").glob("*.md")),
    *sorted((ROOT / "docs" / "engines").glob("*.md")),
    *sorted((ROOT / "docs" / "reference").glob("*.md")),
    *sorted((ROOT / "charts" / "concertmaster").glob("*.md")),
    ROOT / "charts" / "concertmaster" / "values.yaml",
    ROOT / "charts" / "concertmaster" / "templates" / "NOTES.txt",
    *sorted((ROOT / "charts" / "concertmaster" / "templates").glob("*.yaml")),
    *sorted((ROOT / "charts" / "concertmaster" / "dashboards").glob("*.json")),
    ROOT / "Makefile",
    *sorted((ROOT / "examples").rglob("*.md")),
    *sorted((ROOT / "tests" / "golden" / "files").rglob("*.txt")),
]


@pytest.mark.parametrize("file", READ, ids=lambda f: str(f.relative_to(ROOT)))
def test_pages_and_output(file: Path) -> None:
    assert private(lines(file)) == []


def british(places: Iterator[tuple[int, str]]) -> list[str]:
    return [
        f"{number}: {found[0]}" for number, text in places for found in [BRITISH.search(PLURAL.sub("", text))] if found
    ]


def test_a_word_has_one_spelling() -> None:
    files = sorted((ROOT / "operator" / "concertmaster").rglob("*.py"))
    logs = {"CHANGELOG.md", "accuracy-log.md", "speed-log.md"}
    found = {f: british(literals(f)) for f in files} | {f: british(lines(f)) for f in READ if f.name not in logs}
    assert {str(f.relative_to(ROOT)): words for f, words in found.items() if words} == {}
    assert british(iter([(1, "all runs analysed"), (2, "two analyses, analyzed")])) == ["1: analysed"]


def test_measured_results() -> None:
    # Names of measures and of workflows are those of their suites.
    own = ("odd", "0 %", "8 %")
    found = private(lines(ROOT / "benchmarks" / "RESULTS.md"))
    assert [words for words in found if not words.split(": ", 1)[1].lower().startswith(own)] == []


def test_the_lint_finds_what_it_is_for() -> None:
    found = private(iter([(1, "The advice was taken back, 28 % to spare"), (2, "The recommendation was rolled back")]))
    assert [line.split(" (")[0] for line in found] == ["1: advice", "1: taken back", "1: to spare", "1: 8 %"]


@pytest.mark.parametrize(
    "before",
    [
        "says what holds them back and what a change would gain",
        "Changes that prove themselves",
        "What becomes of a recommendation",
        "Let publish wait less",
        "Shorten the wait for nodes, most of all of upload",
        "Find out what changed in search",
        "Go through the checklist; open: exit handler",
        "each of them shows on a bad day: a hang, a pile of runs",
        "source default answered every query of the last cycle",
        "Prometheus knows no pod of namespace a",
        "each run waits for a node, and a change is in flight",
        "the trend is worse and samples cover too little",
        "too little to go on: the runs no longer show what it needs, and it is no longer run time",
    ],
)
def test_phrases_of_the_guide_that_are_not_to_be_said_are_found(before: str) -> None:
    assert private(iter([(1, before)]))
