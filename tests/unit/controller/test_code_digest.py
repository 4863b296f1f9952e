"""The digest of the code tells builds apart, whatever their version number says."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import concertmaster
from concertmaster.controller.code_digest import code_digest, digest_of


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package of two modules, with what Python leaves beside them."""
    made = tmp_path / "package"
    for name, content in (("__init__.py", '__version__ = "1"\n'), ("rules/timeout.py", "HEADROOM = 0.5\n")):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(content)
    return made


def _edited(package: Path) -> None:
    (package / "rules/timeout.py").write_text("HEADROOM = 0.6\n")


def _moved(package: Path) -> None:
    (package / "rules/timeout.py").rename(package / "timeout.py")


def _added(package: Path) -> None:
    (package / "rules/straggler.py").touch()


@pytest.mark.parametrize("change", [_edited, _moved, _added])
def test_any_edit_makes_another_build(package: Path, change: Callable[[Path], None]) -> None:
    before = digest_of(package)
    change(package)
    assert digest_of(package) != before


def test_a_copy_elsewhere_is_the_same_build(package: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(package, tmp_path / "copy")
    (copy / "__pycache__").mkdir()
    (copy / "__pycache__/timeout.cpython-311.pyc").write_bytes(b"made at import")
    assert digest_of(copy) == digest_of(package)


def test_the_installed_package_is_read() -> None:
    assert code_digest() == digest_of(Path(concertmaster.__file__).parent)
