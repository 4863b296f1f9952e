"""Answers of the metrics source: plain vectors are read by a faster way, and it makes no difference to what is read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.prometheus.client import response
from concertmaster.prometheus.client.response import IncompleteBody, Malformed, Wide, decode, vector_of
from concertmaster.prometheus.client.vector import Vector

NAMES = st.sampled_from(["a", "b", "c", "pod", "id", "", "k8s.pod", 'a"b', "a\\b", "a\nb", "a\0b"])  # UTF-8 is allowed
LABELS = st.dictionaries(NAMES, st.text(max_size=5), max_size=4)
NUMBERS = st.sampled_from(["1", "-2.5", "1e9", "NaN", "+Inf", "0", "garbage", ""])
SAMPLES = st.tuples(st.sampled_from([1.5, 1760000000, 1760000000.123]), NUMBERS)
ELEMENTS = st.one_of(
    st.fixed_dictionaries({"metric": LABELS, "value": SAMPLES}),
    st.fixed_dictionaries({"metric": LABELS}, optional={"histogram": st.just([1, {"count": "1"}])}),
)


def body(result: object, **more: object) -> bytes:
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}, **more}).encode()


def reported(content: bytes, way: Any) -> tuple[Any, ...]:
    try:
        envelope = way(content)
        found = vector_of(envelope)
    except Malformed as error:
        return (type(error), str(error))
    flags = (envelope.status, envelope.warnings, envelope.partial)
    return (*flags, found.columns, found.rows, list(found.values), found.dropped, found.warnings)


@given(st.lists(ELEMENTS, max_size=8), st.lists(st.text(max_size=5), max_size=2), st.booleans())
def test_both_ways_read_the_same(result: list[Any], warnings: list[str], partial: bool) -> None:
    content = body(result, warnings=warnings, isPartial=partial)
    assert reported(content, decode) == reported(content, response._decode_any)


def test_a_plain_vector_takes_the_faster_way() -> None:
    found = decode(body([{"metric": {"pod": "x"}, "value": [1, "2"]}]))
    assert isinstance(found.data, Vector)


@pytest.mark.parametrize(
    "content",
    [
        body([{"metric": {"pod": 7}, "value": [1, "2"]}]),
        body([{"metric": {"pod": "x"}, "value": [1, 2]}]),
        body([{"metric": {"pod": "x"}, "value": ["1", "2"]}]),
        body([{"metric": None, "value": [1, "2"]}]),
        body([{"metric": {"pod": "x"}, "histogram": [1, {"count": "1"}]}]),
        body([7]),
        body({"metric": {}}),
        body([], warnings=None),
        body([{"metric": {"pod": "x"}, "value": [1, "2"]}])[:-9],
        body([{"metric": {"pod": "x"}, "value": [1, "2"]}]).replace(b"x", b"\xff"),
        body([{"metric": {"pod": "x"}, "value": [1, "2"]}]).replace(b"x", b"\\ud800"),
        b'{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}',
        b'{"status":"success","data":{"resultType":"matrix","result":[]}}',
        b'{"status":"error","errorType":"bad_data","error":"no"}',
        b'{"status":"success"}',
        b"<html>",
        b"",
        b"[" * 100_000,
        b'{"status":"success","data":{"resultType":"vector","result":[' + b"[" * 100_000,
    ],
)
def test_what_is_odd_is_said_as_the_standard_library_finds_it(content: bytes) -> None:
    assert reported(content, decode) == reported(content, response._decode_any)


def test_a_body_that_was_cut_off_is_distinguished_from_another_service() -> None:
    with pytest.raises(IncompleteBody):
        decode(body([{"metric": {"pod": "x"}, "value": [1, "2"]}])[:-1])
    with pytest.raises(Malformed, match="no status"):
        decode(b'{"kind":"Status"}')


def test_an_answer_with_hundreds_of_labels_is_read_the_same() -> None:
    many = body([{"metric": {f"label_{n}": str(n)}, "value": [1.5, "1"]} for n in range(300)])
    assert reported(many, decode) == reported(many, response._decode_any)


def test_label_sets_of_different_size_fill_the_same_columns() -> None:
    found = vector_of(
        decode(
            body(
                [
                    {"metric": {}, "value": [1, "1"]},
                    {"metric": {"a": "x"}, "value": [1, "2"]},
                    {"metric": {"b": "y", "a": "z"}, "value": [1, "3"]},
                ]
            )
        )
    )
    assert found.columns == ("a", "b")
    assert found.rows == (("", ""), ("x", ""), ("z", "y"))


def test_named_labels_come_in_the_order_asked_for_and_empty_where_there_is_none() -> None:
    vector = Vector(("a", "b"), (("1", "2"), ("3", "")), [1.0, 2.0])
    assert list(vector.select("b", "c", "a")) == [(("2", "", "1"), 1.0), (("", "", "3"), 2.0)]
    assert list(vector.select("c")) == [(("",), 1.0), (("",), 2.0)]
    assert list(vector.select("b")) == [(("2",), 1.0), (("",), 2.0)]


def test_series_that_share_no_label_are_refused_before_they_make_a_table_of_their_square() -> None:
    """Each of a user's series may have labels of its own."""
    rows = [{"metric": {f"l{i}-{n}": "x" for n in range(10)}, "value": [1, "1"]} for i in range(1_000)]
    with pytest.raises(Wide, match="1000 series of the answer have 10000 different labels"):
        vector_of(decode(body(rows)))
    assert len(vector_of(decode(body(rows[:500])))) == 500
