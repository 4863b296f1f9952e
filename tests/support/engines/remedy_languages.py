"""Reads what is to be pasted with the grammar of the place it is pasted into: YAML, Python, or the part of Groovy in which
Nextflow and Jenkins are configured."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import yaml

_GROOVY = re.compile(
    r"(?P<open>[a-zA-Z]+|withName: '[^'\n]+') \{|(?P<close>\})|(?P<key>[a-zA-Z]+) = (?:'(?P<text>[^'\n]*)'|(?P<number>\d+))"
)
_CONTAINER = re.compile(
    r"containerTemplate\(name: '[^'\n]+'(?P<fields>(?:, resource(?:Request|Limit)[A-Z][a-zA-Z]*: '[^'\n]+')+)\),  // .+"
)
_SETTER = re.compile(r"set_(?:cpu|memory)_(?:request|limit)")


def _leaves(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for below in value.values():
            yield from _leaves(below)
    elif isinstance(value, list):
        for below in value:
            yield from _leaves(below)
    else:
        yield str(value)


class _Once(yaml.SafeLoader):
    """YAML in which no mapping has a key twice: the later value would silently hide the earlier one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        assert len(set(keys)) == len(keys), f"a key stands twice: {keys}"
        return super().construct_mapping(node, deep)


def _yaml(text: str) -> list[str]:
    """Blocks with a comment of their own are pasted into different places."""
    found: list[str] = []
    for block in re.split(r"(?m)^(?=# )", text):
        found += _leaves(yaml.load(block, _Once) or {})
    return found


def _constants(tree: ast.AST) -> list[str]:
    return [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]


def _decorators(text: str) -> list[str]:
    """Each line that is no comment decorates a function."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(line.startswith("@") for line in lines), text
    return [c for line in lines for c in _constants(ast.parse(f"{line}\ndef work(): ..."))]


def _arguments(text: str) -> list[str]:
    """Imports, then keyword arguments of calls that each begin with a comment."""
    head, *calls = re.split(r"(?m)^# .*$", text)
    ast.parse(head)
    return [c for call in calls for c in _constants(ast.parse(f"operator({call}\n)"))]


def _setters(text: str) -> list[str]:
    """Calls of methods of a task."""
    found = []
    for statement in ast.parse(text).body:
        assert isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call), text
        function = statement.value.func
        assert isinstance(function, ast.Attribute) and _SETTER.fullmatch(function.attr), text
        found += _constants(statement)
    return found


def _scoped(text: str) -> Iterator[tuple[str, str]]:
    """Settings, one a line, with the scopes they stand in, every one of which is closed: ``process.cpus`` and its value."""
    scopes: list[str] = []
    for line in text.splitlines():
        if line.startswith("//"):
            continue
        match = _GROOVY.fullmatch(line.strip())
        assert match is not None, line
        if match["open"]:
            scopes.append(match["open"])
        elif match["close"]:
            assert scopes, text
            scopes.pop()
        else:
            yield ".".join([*scopes, match["key"]]), match["text"] or match["number"]
    assert not scopes, text


def _nextflow(text: str) -> list[str]:
    return [value for _, value in _scoped(text)]


def _jenkins(text: str) -> list[str]:
    found = []
    for line in text.splitlines():
        if not line.startswith("//"):
            match = _CONTAINER.fullmatch(line)
            assert match is not None, line
            found += re.findall(r": '([^']+)'", match["fields"])
    return found


_LANGUAGES: Mapping[str, Callable[[str], list[str]]] = {
    "airflow": _arguments,
    "dagster": _decorators,
    "flyte": _decorators,
    "jenkins": _jenkins,
    "kubeflow-pipelines": _setters,
    "nextflow": _nextflow,
}


def values(preset: str, text: str) -> list[str]:
    """The values that a snippet sets; fails where it is not of its language."""
    found = _LANGUAGES.get(preset, _yaml)(text)
    assert found, text
    return found


def _named(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Whole numbers that are keyword arguments or entries of a dict, by their names."""
    for node in ast.walk(tree):
        pairs: list[tuple[object, ast.expr]] = []
        if isinstance(node, ast.keyword):
            pairs = [(node.arg, node.value)]
        elif isinstance(node, ast.Dict):
            pairs = [
                (key.value, value)
                for key, value in zip(node.keys, node.values, strict=True)
                if isinstance(key, ast.Constant)
            ]
        for name, value in pairs:
            if isinstance(value, ast.Constant) and type(value.value) is int:
                yield str(name), value.value


def numbers(preset: str, text: str) -> dict[str, int]:
    """The whole numbers that a snippet sets, by name; fails where it is not of the language of Nextflow, or Python that
    decorates a function or is passed to one."""
    if preset == "nextflow":
        return {name: int(value) for name, value in _scoped(text) if value.isdigit()}
    head, *blocks = re.split(r"(?m)^# .*$", text)
    ast.parse(head)
    found: dict[str, int] = {}
    for block in blocks:
        decorates = block.strip().startswith("@")
        found |= _named(ast.parse(f"{block}\ndef work(): ..." if decorates else f"function({block}\n)"))
    return found


def pasted(said: str) -> str:
    """The snippet in what ``explain`` printed."""
    _, marked, rest = said.partition("  Where the workflow is defined:\n")
    assert marked, said
    block = re.match(r"(?:    .*\n|\n(?=    ))+", rest)
    assert block is not None, said
    return re.sub(r"(?m)^    ", "", block[0])
