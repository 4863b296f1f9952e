"""The documentation site: it builds strictly, needs nothing from outside, and every command on its pages exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from testbed.pages import site
from testbed.process import TestbedError
from tests.support.named import ROOT, is_command

pytestmark = pytest.mark.timeout(600)

PAGES = [
    ROOT / "docs" / f"{name}.md" for name in ("quickstart", "try", "plugin", "changes", "upgrade", "removal", "faq")
]
# Whatever a browser fetches by itself; links that a reader follows may lead anywhere.
FETCHED = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=[\"']?((?:https?:)?//[^\"'\s>]+)")
MERMAID = re.compile(r"class=[\"'][^\"']*\bmermaid\b")  # the theme would load its renderer from elsewhere
PROMPT = re.compile(r"^\$ (.+)$", re.MULTILINE)
BLOCK = re.compile(r"^```(?:console|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built once."""
    target = tmp_path_factory.mktemp("site")
    site.build(target)
    return target


def test_the_site_builds_strictly_with_every_page_in_its_navigation(built: Path) -> None:
    sources = {p.relative_to(ROOT / "docs") for p in (ROOT / "docs").rglob("*.md")}
    made = {str(p.relative_to(built)) for p in built.rglob("*.html")}
    for source in sources:
        page = source.with_name("index.html") if source.name == "README.md" else source.with_suffix(".html")
        assert str(page) in made, source
    assert {"benchmarks/RESULTS.html", "CHANGELOG.html", "source/examples/airflow/profile.yaml"} <= {
        str(p.relative_to(built)) for p in built.rglob("*")
    }
    assert 'href="benchmarks/RESULTS.html' in (built / "changes.html").read_text()


def test_a_reader_needs_nothing_from_outside(built: Path) -> None:
    pages = list(built.rglob("*.html"))
    assert len(pages) > 50
    for page in pages:
        text = page.read_text()
        assert not FETCHED.findall(text), page
        assert not MERMAID.search(text), page
    for sheet in built.rglob("*.css"):
        assert not re.search(r"url\([\"']?(?:https?:)?//", sheet.read_text()), sheet


def test_search_finds_the_glossary(built: Path) -> None:
    assert '"location":"glossary.html' in (built / "search" / "search_index.json").read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [("[gone](nothing.md)", "nothing.md"), ("[gone](changes.md#no-such-heading)", "#no-such-heading")],
)
def test_a_broken_link_fails_the_build(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(f"# Start\n\n{text}\n")
    (tmp_path / "docs" / "changes.md").write_text("# Changes\n")
    config = (ROOT / "mkdocs.yml").read_text().partition("nav:")[0]
    config = config.replace("docs_dir: docs", f"docs_dir: {tmp_path / 'docs'}")
    (tmp_path / "mkdocs.yml").write_text(config.replace("docs/.site", str(ROOT / "docs" / ".site")))
    answer = subprocess.run(
        [
            str(site.tools() / "mkdocs"),
            "build",
            "--strict",
            "-f",
            str(tmp_path / "mkdocs.yml"),
            "-d",
            str(tmp_path / "x"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert answer.returncode != 0
    assert message in answer.stderr


def test_an_installation_that_fails_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CONCERTMASTER_TESTBED_CACHE", str(tmp_path))
    wrong = tmp_path / "docs.txt"
    wrong.write_text("mkdocs\n")
    monkeypatch.setattr(site, "REQUIREMENTS", wrong)
    with pytest.raises(TestbedError, match="installing MkDocs failed"):
        site.tools()


def commands(page: Path) -> list[str]:
    """What a reader types: lines after a prompt, or every line of a block without one."""
    found: list[str] = []
    for block in BLOCK.findall(page.read_text()):
        lines = PROMPT.findall(block) or [line for line in block.splitlines() if line and not line.startswith("#")]
        found += [line.partition("  #")[0].strip() for line in lines]
    return found


OURS = [(p.stem, c) for p in PAGES for c in commands(p) if re.match(r"(kubectl )?concertmaster |make ", c)]


@pytest.mark.parametrize(("page", "command"), OURS, ids=[f"{p}: {c[:60]}" for p, c in OURS])
def test_every_command_of_ours_exists_with_its_options(page: str, command: str) -> None:
    plain = command.partition(" | ")[0].partition(" > ")[0]
    if plain.startswith("make "):
        plain = " ".join(plain.split()[:2])
    assert plain.endswith("--version") or is_command(plain), f"{page}: {command}"


OFFLINE = [(p, c) for p, c in OURS if "--facts examples/" in c and "dashboard" not in c]


@pytest.mark.parametrize(("page", "command"), OFFLINE, ids=[f"{p}: {c[:60]}" for p, c in OFFLINE])
def test_commands_without_a_cluster_run_as_printed(page: str, command: str, tmp_path: Path) -> None:
    line = command.replace("concertmaster", f"{sys.executable} -m concertmaster", 1).replace(
        "report.html", f"{tmp_path}/r"
    )
    answer = subprocess.run(line, shell=True, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert answer.returncode == 0, f"{page}: {command}\n{answer.stderr}"


def test_the_navigation_names_what_a_reader_looks_for() -> None:
    text = (ROOT / "mkdocs.yml").read_text()
    nav = yaml.safe_load(text[text.index("nav:") :])["nav"]
    sections = [next(iter(item)) for item in nav]
    assert sections[:2] == ["Concertmaster", "Get started"]
    assert {"Recommendations", "How numbers are made", "Operate", "Security", "Comparison", "Reference"} <= set(
        sections
    )
