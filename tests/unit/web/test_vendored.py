"""Files of other projects are the ones that were pinned, licence included."""

from __future__ import annotations

import base64
import hashlib

import pytest

from concertmaster.web.app import STATIC
from concertmaster.web.vendored import INTEGRITY, VERSION


@pytest.mark.parametrize("name", INTEGRITY)
def test_a_file_has_its_pinned_digest(name: str) -> None:
    digest = base64.b64encode(hashlib.sha384((STATIC / name).read_bytes()).digest()).decode()
    assert f"sha384-{digest}" == INTEGRITY[name]


def test_the_version_and_the_licence_are_those_of_the_files() -> None:
    assert f"uPlot (v{VERSION})" in (STATIC / "uplot.min.js").read_text()[:100]
    assert "MIT License" in (STATIC / "uplot.LICENSE").read_text()


def test_every_file_of_others_is_pinned() -> None:
    assert {f.name for f in STATIC.iterdir() if f.name.startswith("uplot.")} == {*INTEGRITY, "uplot.LICENSE"}
