"""The house keeps its shape: tests stand with the room they test, no test module imports another, rooms stay small."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from concertmaster.core.model.enums import RuleName

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "operator" / "concertmaster"
TESTS = sorted((ROOT / "tests").rglob("*.py"))
NOT_OF_THE_PACKAGE = {"testbed", "benchmarks"}
MOST_FILES = 16
MOST_LINES = 300


def _imports(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = {alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names}
    modules = {n.module for n in nodes if isinstance(n, ast.ImportFrom) and n.module}
    members = {f"{n.module}.{a.name}" for n in nodes if isinstance(n, ast.ImportFrom) and n.module for a in n.names}
    return plain | modules | members


@pytest.mark.parametrize("path", TESTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_module_imports_a_test_module(path: Path) -> None:
    modules = {f"tests.{'.'.join(p.relative_to(ROOT / 'tests').with_suffix('').parts)}" for p in TESTS}
    tests = {m for m in modules if m.rpartition(".")[2].startswith("test_")}
    assert not _imports(path) & tests, "shared builders and scenarios belong to tests/support"


def test_unit_tests_stand_in_the_folder_of_their_room() -> None:
    for path in (ROOT / "tests" / "unit").rglob("test_*.py"):
        room = path.parent.relative_to(ROOT / "tests" / "unit")
        if room.parts and room.parts[0] not in NOT_OF_THE_PACKAGE:
            assert (PACKAGE / room).is_dir(), f"{path.relative_to(ROOT)}: no room {room} in the package"


def _declared(path: Path) -> Iterator[tuple[str, str]]:
    """Public classes and type aliases of a module: the name, and what it stands for."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef):
            yield node.name, str(path.relative_to(PACKAGE))
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name) and not target.id.isupper():
                    yield target.id, ast.unparse(node.value)


def test_a_name_of_a_type_has_one_meaning_in_the_package() -> None:
    meanings: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        for name, meaning in _declared(path):
            if name[0].isupper():
                meanings.setdefault(name, set()).add(meaning)
    assert len(meanings) > 500
    assert not {name: sorted(found) for name, found in meanings.items() if len(found) > 1}


def test_no_room_holds_too_many_files() -> None:
    for folder in [
        f for top in (PACKAGE, ROOT / "benchmarks", ROOT / "testbed") for f in (top, *top.rglob("*")) if f.is_dir()
    ]:
        files = [p.name for p in folder.glob("*.py") if p.name != "__init__.py"]
        assert len(files) <= MOST_FILES, f"{folder.relative_to(ROOT)} holds {len(files)} files: cut it by purpose"


def test_no_module_is_too_long() -> None:
    lengths = {p: len(p.read_text().splitlines()) for p in PACKAGE.rglob("*.py")}
    assert not {str(p.relative_to(ROOT)): n for p, n in lengths.items() if n > MOST_LINES}


def test_no_file_needs_a_prefix_to_say_where_it_belongs() -> None:
    for folder in [p for p in PACKAGE.rglob("*") if p.is_dir()]:
        stems = [p.stem for p in folder.glob("*.py")]
        for stem in stems:
            family = [s for s in stems if s.startswith(f"{stem}_")]
            assert len(family) < 3, f"{folder.relative_to(ROOT)}: {stem}_* wants a room of its own: {family}"


def _constants(path: Path) -> Iterator[str]:
    """Names of the module's constants."""
    for node in ast.parse(path.read_text()).body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        yield from (n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name) and n.id.isupper())


def test_bounds_have_one_prefix() -> None:
    other = {"MOST", "LEAST", "FEWEST", "CHANCE", "LARGEST", "SMALLEST", "LONGEST", "SHORTEST"}
    found = {
        f"{p.relative_to(ROOT)}: {name}"
        for p in PACKAGE.rglob("*.py")
        for name in _constants(p)
        if other & {*name.split("_")}
    }
    allowed = {"operator/concertmaster/core/changes/admission/capacity.py: LARGEST_NODE"}  # a text
    assert found <= allowed, "an upper bound is MAX_..., a lower one MIN_..., a level _SIGNIFICANCE"


def test_names_of_rules_are_written_once() -> None:
    names = {name for name in RuleName if "-" in name}  # others are names of fields and figures too
    home = PACKAGE / "core" / "model" / "enums.py"
    literals = {
        f"{path.relative_to(PACKAGE)}:{node.lineno}: {node.value}"
        for path in PACKAGE.rglob("*.py")
        if path != home
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in names
    }
    assert not literals, "RuleName has it"
