"""What MkDocs does not do by itself for this site: pages and files from outside docs/, and folders in the navigation.

Pages link to files of the repository (``../benchmarks/RESULTS.md``, ``../../examples/policy.yaml``) so that the links work
where the sources are read. On the site a linked file becomes a page when the navigation names it, else a download below
``source/``; every link is rewritten to that place.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_ROOT = Path(__file__).resolve().parents[2]
_DOCS = "docs"
# [text](target#anchor), an image too; a target with a scheme is none of ours.
_LINK = re.compile(r"(!?\[[^\]]*\]\()(?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?\)")
_FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def _named(nav: Any) -> Iterator[str]:
    """Every path the navigation names."""
    for item in nav if isinstance(nav, list) else [nav]:
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            for below in item.values():
                yield from _named(below)


def _expanded(nav: list[Any], named: set[str]) -> list[Any]:
    """The navigation with ``folder/*`` written out."""
    out: list[Any] = []
    for item in nav:
        if isinstance(item, str) and item.endswith("/*"):
            pages = sorted((_ROOT / _DOCS / item[:-2]).glob("*.md"))
            out += [p for p in (f"{item[:-2]}/{page.name}" for page in pages) if p not in named]
        elif isinstance(item, dict):
            out.append({k: _expanded(v, named) if isinstance(v, list) else v for k, v in item.items()})
        else:
            out.append(item)
    return out


def _own(path: str) -> str:
    """The path of a page on the site as a path of the repository."""
    inside = f"{_DOCS}/{path}"
    return inside if (_ROOT / inside).exists() else path


def _repository_path(page: str, target: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(_own(page)), target))


def _links(text: str) -> Iterator[str]:
    for found in _LINK.finditer(_FENCE.sub("", text)):
        yield found[2]


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Write the navigation out."""
    config.nav = _expanded(config.nav or [], set(_named(config.nav)))
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from outside ``docs/`` that the navigation names, and the files that pages link to."""
    for path in _named(config.nav):
        if files.get_file_from_path(path) is None and (_ROOT / path).is_file():
            files.append(File.generated(config, path, abs_src_path=str(_ROOT / path)))
    for page in list(files.documentation_pages()):
        for target in _links(page.content_string):
            path = _repository_path(page.src_uri, target)
            place = f"source/{path}"
            known = files.get_file_from_path(path) or files.get_file_from_path(place)
            page_elsewhere = path.startswith(f"{_DOCS}/") or path.endswith(".md")
            if not page_elsewhere and known is None and (_ROOT / path).is_file():
                files.append(File.generated(config, place, content=(_ROOT / path).read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links at the places their targets have on the site. What has none is left, and fails the strict build."""
    here = page.file.src_uri

    def moved(found: re.Match[str]) -> str:
        path = _repository_path(here, found[2])
        inside = path.removeprefix(f"{_DOCS}/")
        if path == "README.md":
            inside = "index.md"
        if (_ROOT / path).is_dir() and (_ROOT / path / "README.md").is_file():
            inside = f"{inside}/README.md"
        place = next((p for p in (inside, f"source/{path}") if files.get_file_from_path(p)), None)
        if place is None:
            return found[0]
        return f"{found[1]}{posixpath.relpath(place, posixpath.dirname(here) or '.')}{found[3] or ''})"

    parts = re.split(r"(^```.*?^```)", markdown, flags=re.DOTALL | re.MULTILINE)
    return "".join(part if part.startswith("```") else _LINK.sub(moved, part) for part in parts)
