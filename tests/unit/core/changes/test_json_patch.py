"""JSON Patch on plain documents: equality is that of JSON, and a difference is where it is said to be."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from concertmaster.core.changes.json_patch import apply, difference, find, fits, join, parts

KEYS = st.sampled_from(["a", "b", "a/b", "~1", ""])
LEAVES = st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from(["", "1", "true"])
DOCUMENTS = st.recursive(
    LEAVES, lambda below: st.lists(below, max_size=2) | st.dictionaries(KEYS, below, max_size=2), max_leaves=6
)


def written(value: object) -> str:
    return json.dumps(value, sort_keys=True)


@given(DOCUMENTS, DOCUMENTS)
@example([], [[]])
@example([1], "1")
@example({"a": 1}, {"a": True})
def test_two_documents_differ_where_it_is_said(a: Any, b: Any) -> None:
    there, here = {"doc": a}, {"doc": b}
    place = difference(there, here)
    assert (place is None) == (written(a) == written(b)) == fits(there, [{"op": "test", "path": "/doc", "value": b}])
    if place is not None:
        (held, one), (holds, other) = find(there, place), find(here, place)
        assert (held, written(one)) != (holds, written(other))


@given(st.lists(KEYS, max_size=4))
def test_a_pointer_names_the_keys_it_was_made_of(keys: list[str]) -> None:
    document: Any = "value"
    for key in reversed(keys):
        document = {key: document}
    assert not keys or parts(join(keys)) == keys
    assert not keys or find(document, join(keys)) == (True, "value")


def test_a_list_has_places_for_its_members_only() -> None:
    raw = {"list": [0, {"a": 1}]}
    assert find(raw, "/list/1/a") == (True, 1)
    assert [find(raw, f"/list/{i}") for i in ("2", "-1", "01", "-", "x")] == [(False, None)] * 5
    assert apply(raw, [{"op": "replace", "path": "/list/1/a", "value": 2}]) == {"list": [0, {"a": 2}]}
    assert raw == {"list": [0, {"a": 1}]}
