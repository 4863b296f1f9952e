"""JSONPath as far as one field of an object needs it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.engines.common.jsonpath import JsonPathError, find

RUN = {
    "metadata": {"annotations": {"example.com/bytes": "5Gi"}},
    "spec": {"arguments": {"parameters": [{"name": "size", "value": "7"}, {"name": "day", "value": "monday"}]}},
    "status": {"files": [{"bytes": 1}, {"bytes": 2}]},
}


@pytest.mark.parametrize(
    ("path", "values"),
    [
        (".metadata.annotations['example.com/bytes']", ["5Gi"]),
        ('{.metadata.annotations["example.com/bytes"]}', ["5Gi"]),
        (r".metadata.annotations.example\.com/bytes", ["5Gi"]),
        ("$.status.files[0].bytes", [1]),
        (".status.files[-1].bytes", [2]),
        (".status.files[*].bytes", [1, 2]),
        ('.spec.arguments.parameters[?(@.name=="size")].value', ["7"]),
        (".spec.arguments.parameters[?(@.name=='none')].value", []),
        (".status.files[7].bytes", []),
        (".no.such.field", []),
    ],
)
def test_values_of_a_path(path: str, values: list[object]) -> None:
    assert find(path, RUN) == values


@pytest.mark.parametrize("path", [".a[?(@.x>1)]", ".a..b", ".a[", "a b", ".a[1:2]"])
def test_a_path_that_cannot_be_read_is_refused_with_the_place(path: str) -> None:
    with pytest.raises(JsonPathError, match="cannot be read from"):
        find(path, RUN)


@given(st.text(max_size=20))
def test_any_text_is_read_or_refused(path: str) -> None:
    try:
        assert isinstance(find(path, RUN), list)
    except JsonPathError:
        pass
