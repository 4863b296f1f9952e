"""Records that are made quickly behave as the frozen dataclasses they are."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, replace
from functools import cached_property
from inspect import signature

import pytest

from concertmaster.core.fast_init import fast_init, fast_replace, positional_constructor
from concertmaster.core.model import ContainerFact, Outcome, RunRecord, StepExecution
from tests.support.builders import run_record


@dataclass(frozen=True, slots=True)
class Plain:
    name: str
    size: float | None = None
    extra: dict[str, float] = field(default_factory=dict)


@fast_init
@dataclass(frozen=True, slots=True)
class Quick:
    name: str
    size: float | None = None
    extra: dict[str, float] = field(default_factory=dict)


def test_they_are_made_as_the_dataclass_says() -> None:
    for args, named in ((("a",), {}), (("a", 2.0), {}), ((), {"name": "a", "extra": {"x": 1.0}})):
        assert asdict(Quick(*args, **named)) == asdict(Plain(*args, **named))
    assert Quick("a").extra is not Quick("a").extra
    assert signature(Quick) == signature(Plain)
    assert repr(Quick("a", 2.0)) == "Quick(name='a', size=2.0, extra={})"
    with pytest.raises(TypeError, match=r"Quick.*missing 1 required positional argument: 'name'"):
        Quick()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        Quick("a", colour=1)  # type: ignore[call-arg]


@fast_init
@dataclass(frozen=True)
class Remembering:
    name: str
    size: float = 1.0

    @cached_property
    def twice(self) -> float:
        return 2.0 * self.size


def test_one_without_slots_remembers_what_it_worked_out() -> None:
    made = Remembering("a", 2.0)
    assert made.twice == 4.0
    assert vars(made) == {"name": "a", "size": 2.0, "twice": 4.0}
    assert made == Remembering("a", 2.0) != replace(made, size=3.0)
    assert replace(made, size=3.0).twice == 6.0
    with pytest.raises(FrozenInstanceError):
        made.size = 3.0  # type: ignore[misc]


@pytest.mark.parametrize(
    "made",
    [
        Quick("a", 2.0),
        ContainerFact("main", cpu_request=1.0),
        StepExecution("a", outcome=Outcome.FAILED, containers=(ContainerFact("main"),)),
        run_record([StepExecution("a")]),
    ],
    ids=lambda made: type(made).__name__,
)
def test_they_are_frozen_compared_copied_and_pickled(
    made: Quick | ContainerFact | StepExecution | RunRecord,
) -> None:
    first = fields(made)[0].name
    with pytest.raises(FrozenInstanceError):
        setattr(made, first, "b")
    with pytest.raises(FrozenInstanceError):
        delattr(made, first)
    for same in (copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made)), replace(made)):  # type: ignore[type-var]
        assert same == made
        assert type(same) is type(made)
    other = replace(made, **{first: "b"})  # type: ignore[type-var]
    assert other != made
    assert getattr(other, first) == "b"
    assert fast_replace(made, **{first: "b"}) == other
    assert getattr(made, first) != "b"
    with pytest.raises(AttributeError):
        fast_replace(made, colour=1)


def test_one_field_is_changed_like_many() -> None:
    @fast_init
    @dataclass(frozen=True, slots=True)
    class One:
        size: float

    made = One(1.0)
    assert fast_replace(made, size=2.0) == One(2.0)
    assert made == One(1.0)
    with pytest.raises(FrozenInstanceError):
        fast_replace(made, size=2.0).size = 3.0  # type: ignore[misc]


def test_they_are_made_of_rows_in_another_order() -> None:
    make = positional_constructor(Quick, ("name", "extra", "size"))
    assert make("a", {"x": 1.0}, 2.0) == Quick("a", 2.0, {"x": 1.0})
    assert type(make("a")) is Quick
    assert make("a") == Quick("a")
    assert make("a").extra is not make("a").extra
    with pytest.raises(FrozenInstanceError):
        make("a").size = 1.0  # type: ignore[misc]
    with pytest.raises(TypeError):
        make()
