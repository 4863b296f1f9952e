"""Documents that lie fail: links resolve, examples are valid, commands run, and every rule has its page."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

from concertmaster import settings
from concertmaster.api.kinds import KINDS
from concertmaster.cli import cli

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(?<!\!)\[[^\]]+\]\(([^)#\s]*)(?:#([^)\s]*))?\)")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
MODELS = {kind.name: kind.model for kind in KINDS}


def _tracked(pattern: str) -> list[Path]:
    found = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", pattern],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    return [ROOT / name for name in found]


PAGES = _tracked("*.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        leads_to = page.parent / target if target else page
        assert leads_to.exists(), f"{page.relative_to(ROOT)} links to {target}"
        if anchor and leads_to.suffix == ".md":
            assert anchor in _anchors(leads_to.read_text()), f"{page.relative_to(ROOT)} links to {target}#{anchor}"


def _anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", BLOCK.sub("", text), re.MULTILINE)
    words = [re.sub(r"[^\w\- ]", "", re.sub(r"\]\([^)]*\)", "", heading)).strip().lower() for heading in headings]
    return {word.replace(" ", "-") for word in words} | set(re.findall(r'(?:id|name)="([^"]+)"', text))


def _documents() -> Iterator[tuple[str, dict[str, object]]]:
    """Every object of ours in examples and in the pages' YAML blocks."""
    for file in _tracked("examples/*.yaml"):
        for number, document in enumerate(yaml.safe_load_all(file.read_text())):
            if isinstance(document, dict) and document.get("kind") in MODELS:
                yield f"{file.relative_to(ROOT)}#{number}", document
    for page in PAGES:
        for number, (language, text) in enumerate(BLOCK.findall(page.read_text())):
            if language == "yaml":
                for document in yaml.safe_load_all(text):
                    if isinstance(document, dict) and document.get("kind") in MODELS:
                        yield f"{page.relative_to(ROOT)}#{number}", document


@pytest.mark.parametrize(("where", "document"), list(_documents()), ids=[w for w, _ in _documents()])
def test_examples_are_valid(where: str, document: dict[str, object]) -> None:
    MODELS[str(document["kind"])].parse(document, strict=True)


def test_the_example_configuration_is_valid() -> None:
    assert settings.load(ROOT / "examples" / "concertmaster.yaml").source("default") is not None


def test_the_readme_stays_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


@pytest.mark.parametrize("command", ["analyze", "compare", "report"])
def test_offline_commands_of_the_readme_print_what_it_shows(command: str) -> None:
    blocks = re.findall(r"^```console\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    examples = [example for block in blocks for example in re.split(r"^\$ ", block, flags=re.MULTILINE)]
    (found,) = [e for e in examples if e.startswith(f"concertmaster {command} ") and "--facts" in e]
    line, _, shown = found.partition("\n")
    python = shlex.quote(sys.executable)
    answer = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{python} -m {line}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "operator")},
        timeout=60,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == shown or (command == "analyze" and not shown and answer.stdout)


COMMAND = re.compile(r"(?:kubectl )?concertmaster ([^|>#&]*)")
FENCED = re.compile(r"^```\w*\n(.*?)^```", re.DOTALL | re.MULTILINE)


def _calls() -> Iterator[tuple[Path, list[str]]]:
    """Every call of the command line in the pages' code blocks, as words."""
    for page in PAGES:
        for block in FENCED.findall(page.read_text()):
            for line in block.replace("\\\n", " ").splitlines():
                if found := COMMAND.match(line.strip().removeprefix("$ ")):
                    yield page, shlex.split(found[1])


def test_calls_in_pages_name_commands_and_options_that_exist() -> None:
    calls = [(page, words) for page, words in _calls() if not words[0].startswith("-")]
    assert len(calls) > 30
    context = click.Context(cli)
    for page, (name, *words) in calls:
        command = cli.get_command(context, name)
        assert command is not None, f"{page.relative_to(ROOT)} names concertmaster {name}"
        try:
            command.make_parser(click.Context(command)).parse_args(words)
        except click.UsageError as mistake:
            pytest.fail(f"{page.relative_to(ROOT)}: {name} {' '.join(words)}: {mistake.format_message()}")


def test_make_targets_named_in_pages_exist() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        for name in re.findall(r"`make ([a-z0-9-]+)", page.read_text()):
            assert name in targets, f"{page.relative_to(ROOT)} names make {name}"


def test_operator_is_still_the_standard_library() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()
    code = "import operator; assert operator.add(1, 2) == 3, operator"
    subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, check=True, timeout=30)
