"""What is refused of a YAML text before it is read."""

from __future__ import annotations

import pytest
import yaml

from concertmaster.engines.yaml_documents import MAX_LEVELS, MAX_REPEATED, check
from tests.support.counting import all_calls

LOADERS = [yaml.SafeLoader, *([yaml.CSafeLoader] if hasattr(yaml, "CSafeLoader") else [])]


def bomb(levels: int, row: str = "x: *a{0}, y: *a{0}") -> str:
    """A text whose values double with each of its lines."""
    lines = [f"a{i + 1}: &a{i + 1} {{{row.format(i)}}}" for i in range(levels)]
    return "\n".join(["a0: &a0 {x: 1, y: 2}", *lines])


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize(
    ("text", "problem", "line"),
    [
        (bomb(60), f"its aliases repeat more than {MAX_REPEATED:,} values", None),
        (bomb(60, "<<: [*a{0}, *a{0}]"), f"its aliases repeat more than {MAX_REPEATED:,} values", None),
        ("a: 1\nb: &b\n  c: [*b]", "b contains itself", 3),
        ("a: 1\n'a': 2", "a is set twice", 2),
        ("- {a: {b: 1}, c: [x, x], a: 2}", "a is set twice", 1),
        ("\n" + "[" * (MAX_LEVELS + 1), f"it is nested too deeply, at more than {MAX_LEVELS} levels", 2),
    ],
)
def test_what_would_end_the_process_or_hides_a_mistake_is_refused(
    text: str, problem: str, line: int | None, loader: type
) -> None:
    def refused() -> None:
        with pytest.raises(yaml.MarkedYAMLError) as caught:
            check(text, loader)
        errors.append(caught.value)

    errors: list[yaml.MarkedYAMLError] = []
    assert all_calls(refused) < 20_000  # what the aliases stand for is 2**60 values
    (error,) = errors
    assert error.problem == problem
    assert error.problem_mark is not None
    assert line is None or error.problem_mark.line + 1 == line


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: {b: 1}\nb: {b: 1}\n---\na: 2",
        "base: &base {cpu: 1}\none: {<<: *base, <<: *base}\ntwo: [*base, *base]",
        "a: &x 1\n---\nb: &x [2]\nc: *x",
        "? [a, b]\n: c\n? [a]\n: c",
        "{a: a, b: a, c: b}",
        "[" * MAX_LEVELS + "]" * MAX_LEVELS,
    ],
)
def test_what_people_write_is_let_through(text: str, loader: type) -> None:
    check(text, loader)


@pytest.mark.parametrize("loader", LOADERS)
def test_what_is_no_yaml_is_refused_as_by_the_parser(loader: type) -> None:
    for text in ("a: [", "a: b: c", "\t- a"):
        with pytest.raises(yaml.YAMLError):
            check(text, loader)
