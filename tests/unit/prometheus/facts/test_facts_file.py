"""The facts file: what is written comes back, and every damage is named with its line."""

from __future__ import annotations

import gzip
import json
import resource
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from concertmaster.core.model import ContainerFact, JobFact, PodFact
from concertmaster.prometheus.facts.facts_codec import CodecError, decode, encode
from concertmaster.prometheus.facts.facts_file import FactsFileError, FactsHeader, read, stream, write

numbers = st.one_of(
    st.none(), st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**60), 2**60).map(float), st.just(0.0)
)
texts = st.text(max_size=12)
maybe = st.one_of(st.none(), texts)
containers = st.builds(
    ContainerFact,
    name=texts,
    image=maybe,
    init=st.booleans(),
    started=numbers,
    finished=numbers,
    reason=maybe,
    cpu_request=numbers,
    memory_limit=numbers,
    cpu_seconds=numbers,
    throttled_share=numbers,
    samples=st.one_of(st.none(), st.integers(0, 10**6)),
    expected_samples=st.one_of(st.none(), st.integers(0, 10**6)),
    ambiguous=st.booleans(),
)
pods = st.builds(
    PodFact,
    namespace=texts,
    pod=texts,
    uid=texts,
    node=maybe,
    owner_kind=maybe,
    owner_name=maybe,
    labels=st.dictionaries(texts, texts, max_size=3),
    created=numbers,
    finished=numbers,
    phase=maybe,
    vanished=st.booleans(),
    containers=st.lists(containers, max_size=3).map(tuple),
)
job_facts = st.builds(
    JobFact,
    namespace=texts,
    name=texts,
    owner_kind=maybe,
    succeeded=st.one_of(st.none(), st.booleans()),
    finished=numbers,
)
headers = st.builds(
    FactsHeader,
    since=st.floats(0, 2e9),
    until=st.floats(0, 2e9),
    source=texts,
    recorded=numbers,
    namespaces=st.lists(texts, max_size=3).map(tuple),
)
objects = st.dictionaries(texts, st.one_of(texts, st.integers(), st.none()), max_size=3).map(
    lambda spec: {"apiVersion": "v1", "kind": "Thing", "metadata": {"name": "x"}, "spec": spec}
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    header=headers,
    things=st.lists(objects, max_size=3),
    facts=st.lists(pods, max_size=4),
    jobs=st.lists(job_facts, max_size=2),
    packed=st.booleans(),
)
def test_round_trip(
    tmp_path: Path, header: FactsHeader, things: list[Any], facts: list[PodFact], jobs: list[JobFact], packed: bool
) -> None:
    file = tmp_path / ("facts.jsonl.gz" if packed else "facts.jsonl")
    assert write(file, header, things, facts, jobs) == len(facts)
    found = read(file)
    assert found.header == header
    assert found.objects == tuple(things)
    assert found.facts == tuple(facts)
    assert found.jobs == tuple(jobs)


HEADER = FactsHeader(since=1.0, until=2.0)
FACT = PodFact("ns", "pod", "uid", created=5.0, containers=(ContainerFact("main", samples=0),))


def lines(tmp_path: Path, *more: str, facts: int = 1) -> Path:
    """A file whose lines can be tampered with."""
    file = tmp_path / "facts.jsonl"
    write(file, HEADER, [], [FACT] * facts)
    found = file.read_text().splitlines()
    file.write_text("\n".join([*found[:-1], *more, found[-1]]) + "\n")
    return file


def test_unknown_is_left_out_and_zero_is_not(tmp_path: Path) -> None:
    file = tmp_path / "facts.jsonl"
    write(file, HEADER, [], [FACT])
    pod = json.loads(file.read_text().splitlines()[1])["pod"]
    assert pod == {
        "namespace": "ns",
        "pod": "pod",
        "uid": "uid",
        "created": 5,
        "containers": [{"name": "main", "samples": 0}],
    }


def test_equal_facts_make_equal_files(tmp_path: Path) -> None:
    for name in ("a.gz", "b.gz"):
        write(tmp_path / name, HEADER, [], [FACT])
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


def test_packed_files_are_recognised_by_their_content(tmp_path: Path) -> None:
    write(tmp_path / "facts.gz", HEADER, [], [FACT])
    (tmp_path / "facts.gz").rename(tmp_path / "renamed")
    assert read(tmp_path / "renamed").facts == (FACT,)


def test_files_are_compact(tmp_path: Path) -> None:
    """Facts of a week must travel by mail: under 100 bytes a pod, packed."""
    facts = [
        PodFact(
            "etl",
            f"nightly-{n}-transform-{n * 7919}",
            f"0947aa92-90df-617b-a95b-3b44{n:08x}",
            node="n1",
            owner_kind="Workflow",
            owner_name=f"nightly-{n // 10}",
            created=1.76e9 + n * 60,
            scheduled=1.76e9 + n * 60 + 1,
            started=1.76e9 + n * 60 + 2,
            finished=1.76e9 + n * 60 + 300,
            phase="Succeeded",
            containers=(
                ContainerFact(
                    "main",
                    "etl:v1",
                    cpu_request=0.5,
                    memory_request=1e9,
                    cpu_seconds=n * 1.5,
                    memory_sampled_peak=1e8 + n,
                ),
            ),
        )
        for n in range(2000)
    ]
    write(tmp_path / "facts.gz", HEADER, [], facts)
    assert (tmp_path / "facts.gz").stat().st_size < 100 * len(facts)


def test_bookkeeping_of_objects_is_dropped(tmp_path: Path) -> None:
    thing = {
        "kind": "CronJob",
        "metadata": {
            "name": "a",
            "managedFields": [{"manager": "x"}],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "keep": "me"},
        },
    }
    write(tmp_path / "f", HEADER, [thing], [])
    assert read(tmp_path / "f").objects == (
        {"kind": "CronJob", "metadata": {"name": "a", "annotations": {"keep": "me"}}},
    )
    assert "managedFields" in thing["metadata"]


def test_secrets_are_not_recorded(tmp_path: Path) -> None:
    with pytest.raises(FactsFileError, match="Secret"):
        write(tmp_path / "f", HEADER, [{"kind": "Secret", "metadata": {"name": "a"}}], [])
    assert list(tmp_path.iterdir()) == []


def test_reading_is_one_by_one(tmp_path: Path) -> None:
    file = lines(tmp_path, '{"pod": {}}')
    header, items = stream(file)
    assert header == HEADER
    assert next(items) == FACT
    with pytest.raises(FactsFileError, match=r"line 3: pod\.namespace is missing"):
        next(items)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 3: is not JSON"),
        ('["pod"]', "line 3: must be an object with one key"),
        ('{"pod": {}, "job": {}}', "line 3: must be an object with one key"),
        ('{"node": {}}', "line 3: has the unknown key 'node'"),
        ('{"pod": []}', "line 3: pod must be an object, not a list"),
        ('{"pod": {"namespace": 1, "pod": "a", "uid": "b"}}', r"line 3: pod\.namespace must be a text, not a number"),
        ('{"pod": {"namespace": "n", "pod": "a"}}', r"line 3: pod\.uid is missing"),
        (
            '{"pod": {"namespace": "n", "pod": "a", "uid": "b", "created": "now"}}',
            r"line 3: pod\.created must be a number, not a text",
        ),
        ('{"pod": {"namespace": "n", "pod": "a", "uid": "b", "created": true}}', r"pod\.created must be a number"),
        (
            '{"pod": {"namespace": "n", "pod": "a", "uid": "b", "created": NaN}}',
            r"pod\.created must be a finite number",
        ),
        (
            '{"pod": {"namespace": "n", "pod": "a", "uid": "b", "created": 1' + "0" * 400 + "}}",
            r"pod\.created must be a finite number",
        ),
        (
            '{"pod": {"namespace": "n", "pod": "a", "uid": "b", "overhead": [0.25]}}',
            r"pod\.overhead must have 2 values, not 1",
        ),
        ('{"pod": {"namespace": "n", "pod": "a", "uid": "b", "vanished": 1}}', r"pod\.vanished must be true or false"),
        (
            '{"pod": {"namespace": "n", "pod": "a", "uid": "b", "labels": {"a": 1}}}',
            r"pod\.labels must be an object of texts",
        ),
        ('{"pod": {"namespace": "n", "pod": "a", "uid": "b", "containers": {}}}', r"pod\.containers must be a list"),
        (
            '{"pod": {"namespace": "n", "pod": "a", "uid": "b", "containers": [{"name": "c"}, {"name": 5}]}}',
            r"pod\.containers\[1\]\.name must be a text",
        ),
        (
            '{"pod": {"namespace": "n", "pod": "a", "uid": "b", "containers": [{"name": "c", "samples": 1.5}]}}',
            r"containers\[0\]\.samples must be a whole number",
        ),
        (
            '{"pod": {"namespace": "n", "pod": "a", "uid": "b", "containers": [{"name": "c", "samples": true}]}}',
            r"containers\[0\]\.samples must be a whole number",
        ),
        ('{"object": {"metadata": {}}}', "line 3: object has no kind"),
        ('{"end": {"objects": 0, "jobs": 0, "pods": 7}}', "line 3: counts"),
        ('{"end": {"objects": 0, "jobs": 0, "pods": 1}}', "line 4: there is more after the end"),
    ],
)
def test_broken_lines_are_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(FactsFileError, match=message) as caught:
        read(lines(tmp_path, line))
    assert str(tmp_path / "facts.jsonl") in str(caught.value)


def test_keys_of_later_versions_are_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text(
        '{"format":"concertmaster-facts","version":1,"since":1,"until":2,"later":true}\n'
        '{"pod":{"namespace":"n","pod":"p","uid":"u","later":[1],"containers":[{"name":"c","later":null,"image":null}]}}\n'
        "\n"
        '{"end":{"objects":0,"jobs":0,"pods":1}}\n'
    )
    assert read(file).facts == (PodFact("n", "p", "u", containers=(ContainerFact("c"),)),)


@pytest.mark.parametrize(
    ("first", "message"),
    [
        ("", "is not a facts file"),
        ("hello", "line 1: is not JSON"),
        ("[1]", "is not a facts file"),
        ('{"format": "other"}', "is not a facts file"),
        ('{"format": "concertmaster-facts", "version": 2}', "has version 2"),
        ('{"format": "concertmaster-facts", "version": 1}', r"header\.since is missing"),
    ],
)
def test_other_files(tmp_path: Path, first: str, message: str) -> None:
    (tmp_path / "f").write_text(first)
    with pytest.raises(FactsFileError, match=message):
        read(tmp_path / "f")


def test_a_file_that_was_cut_off(tmp_path: Path) -> None:
    whole = tmp_path / "f"
    write(whole, HEADER, [], [FACT] * 3)
    content = whole.read_bytes()
    for cut in range(1, len(content)):
        whole.write_bytes(content[:cut])
        if cut == len(content) - 1:
            assert len(read(whole).facts) == 3  # only the last line's end is missing
            continue
        with pytest.raises(FactsFileError):
            read(whole)


def test_a_packed_file_that_was_cut_off_or_damaged(tmp_path: Path) -> None:
    whole = tmp_path / "f.gz"
    write(whole, HEADER, [], [FACT] * 300)
    content = whole.read_bytes()
    for cut in range(2, len(content), 7):
        whole.write_bytes(content[:cut])
        with pytest.raises(FactsFileError):
            read(whole)
    middle = len(content) // 2
    whole.write_bytes(content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :])
    with pytest.raises(FactsFileError):
        read(whole)


def test_a_line_without_end_is_not_read_to_the_end(tmp_path: Path) -> None:
    file = tmp_path / "f.gz"
    with gzip.open(file, "wb") as out:
        out.write(b'{"format":"')
        for _ in range(64):
            out.write(b"x" * (1 << 20))
    with pytest.raises(FactsFileError, match="line 1: is longer than"):
        read(file)


def test_paths_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(FactsFileError, match="cannot be read"):
        read(tmp_path / "none")
    with pytest.raises(FactsFileError, match="cannot be read"):
        read(tmp_path)
    with pytest.raises(FactsFileError, match="cannot be written"):
        write(tmp_path / "no" / "such" / "folder", HEADER, [], [])


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "f"
    write(file, HEADER, [], [FACT])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        with pytest.raises(FactsFileError, match="cannot be written"):
            write(file, HEADER, [], [FACT] * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert read(file).facts == (FACT,)
    assert [found.name for found in tmp_path.iterdir()] == ["f"]


def test_infinite_numbers_are_no_facts(tmp_path: Path) -> None:
    with pytest.raises(FactsFileError, match="created is inf"):
        write(tmp_path / "f", HEADER, [], [PodFact("a", "b", "c", created=float("inf"))])
    assert encode(PodFact("a", "b", "c", created=float("nan"))) == {"namespace": "a", "pod": "b", "uid": "c"}


def test_the_codec_names_the_path() -> None:
    with pytest.raises(CodecError, match=r"job\.succeeded must be true or false, not a text"):
        decode(JobFact, {"namespace": "a", "name": "b", "succeeded": "yes"}, "job")
