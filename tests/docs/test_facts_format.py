"""The page on the facts file names every key there is, and its example is a file that reads."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest
from pydantic.alias_generators import to_camel

from concertmaster.core.model import AnswerFact, ContainerFact, JobFact, PodFact
from concertmaster.prometheus.facts.facts_file import FactsHeader, read

PAGE = (Path(__file__).parents[2] / "docs" / "facts-format.md").read_text()


def test_the_example_reads(tmp_path: Path) -> None:
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "example").write_text(example)
    found = read(tmp_path / "example")
    assert found.header.namespaces == ("etl",)
    assert (len(found.objects), len(found.jobs), len(found.facts), len(found.answers)) == (1, 1, 1, 1)


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("## Header", FactsHeader),
        ("## `job`", JobFact),
        ("## `pod`", PodFact),
        ("### Containers", ContainerFact),
        ("## `answer`", AnswerFact),
    ],
)
def test_every_key_is_described(heading: str, kind: type) -> None:
    section = re.split(r"\n##+ ", PAGE.split(heading, 1)[1], maxsplit=1)[0]
    described: dict[str, str] = {}
    for row in re.findall(r"^\|([^|]*)\|([^|]*)\|", section, re.MULTILINE):
        described.update(dict.fromkeys(re.findall(r"`(\w+)`", row[0]), row[1]))
    wanted = {to_camel(field.name): field for field in fields(kind)}
    assert set(wanted) <= set(described)
    extra = {"format", "version"} if kind is FactsHeader else set()
    assert set(described) - set(wanted) == extra
    for key, field in wanted.items():
        needed = field.default is MISSING and field.default_factory is MISSING
        assert ("required" in described[key]) == needed, key
