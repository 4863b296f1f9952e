"""``dismiss``: wrong calls are reported in one line, owned profiles are left to their owner, nothing is overwritten."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner

from concertmaster.cli import profiles
from concertmaster.cli.commands.dismiss import command
from concertmaster.cli.dismissals import MANAGER, expiration, refuse_same, withdraw, write
from concertmaster.cli.errors import UserError
from concertmaster.kube.objects import PROFILES
from tests.support.builders import NOW
from tests.support.controller.fakes import MemoryClient


@pytest.mark.parametrize(
    ("span", "until", "end"),
    [
        (None, None, None),
        ("30d", None, "2025-11-08T08:53:20Z"),
        ("1d12h", None, "2025-10-10T20:53:20Z"),
        (None, "2027-01-31", "2027-01-31T00:00:00Z"),
        (None, "2027-01-31T10:00:00Z", "2027-01-31T10:00:00Z"),
    ],
)
def test_its_end_is_written_as_the_resource_wants_it(span: str | None, until: str | None, end: str | None) -> None:
    assert expiration(span, until, NOW) == end


@pytest.mark.parametrize(
    ("span", "until", "why"),
    [
        ("2 weeks", None, "--for: "),
        (None, "next week", "--until: 'next week' is no time such as 2027-01-31"),
        (None, "2020-01-01", "--until: 2020-01-01 is over already"),
        ("0s", None, "--for: 0s is over already"),
        (None, "9999-12-31T23:59:59-23:59", "--until: 9999-12-31T23:59:59-23:59 is too far ahead"),
        ("1d", "2027-01-31", "not both"),
    ],
)
def test_a_wrong_end_is_reported(span: str | None, until: str | None, why: str) -> None:
    with pytest.raises(UserError, match=why):
        expiration(span, until, NOW)


def stored(client: MemoryClient, *dismissals: dict[str, str], own: tuple[str, ...] = ()) -> dict[str, Any]:
    keys = {f'k:{{"recommendation":"{i}"}}': {} for i in own}
    managed = [{"manager": MANAGER, "operation": "Apply", "fieldsV1": {"f:spec": {"f:dismissals": keys}}}]
    return client.put(
        PROFILES, "demo", "etl", spec={"dismissals": list(dismissals)}, metadata={"managedFields": managed}
    )


def test_an_apply_carries_what_this_command_decided_before_and_nobody_elses() -> None:
    client = MemoryClient()
    raw = stored(
        client,
        {"recommendation": "a.x", "reason": "mine"},
        {"recommendation": "b.x", "reason": "theirs"},
        {"recommendation": "c.x", "reason": "old"},
        own=("a.x", "c.x"),
    )
    client.request = lambda method, path, **more: sent.append((method, path, more)) or {}  # type: ignore[assignment,func-returns-value]
    sent: list[Any] = []
    write(client, raw, {"recommendation": "c.x", "reason": "new"})
    ((method, path, more),) = sent
    assert (method, path) == ("PATCH", PROFILES.path("demo", "etl"))
    assert more["query"]["fieldManager"] == MANAGER
    assert more["body"]["spec"]["dismissals"] == [
        {"recommendation": "a.x", "reason": "mine"},
        {"recommendation": "c.x", "reason": "new"},
    ]


def test_taking_back_tests_what_it_removes() -> None:
    client = MemoryClient()
    raw = stored(client, {"recommendation": "a.x", "reason": "1"}, {"recommendation": "b.x", "reason": "2"})
    with pytest.raises(UserError, match=r"z.x is not dismissed; dismissed are: a.x, b.x"):
        withdraw(client, raw, "z.x")
    sent: list[Any] = []
    client.request = lambda method, path, **more: sent.append(more["body"]) or {}  # type: ignore[assignment,func-returns-value]
    withdraw(client, raw, "b.x")
    assert sent == [
        [
            {"op": "test", "path": "/spec/dismissals/1/recommendation", "value": "b.x"},
            {"op": "remove", "path": "/spec/dismissals/1"},
        ]
    ]


def test_the_words_of_a_decision_that_the_recommendation_is_back_in_spite_of_are_refused() -> None:
    known = {"state": "Active", "dismissal": "month end", "note": "back although it was dismissed (month end): x"}
    same = {"recommendation": "a.x", "reason": "month end"}
    with pytest.raises(UserError, match="another --reason, or an end") as reported:
        refuse_same(known, same)
    assert "back although it was dismissed (month end): x" in str(reported.value)
    refuse_same(known, {**same, "reason": "month end, really"})
    refuse_same(known, {**same, "expirationTime": "2027-01-31T00:00:00Z"})
    refuse_same({**known, "state": "Dismissed"}, same)


@pytest.mark.parametrize("wanted", [None, "2027-01-31T00:00:00Z"])
def test_an_end_that_somebody_else_gave_goes_unless_one_is_asked_for(wanted: str | None) -> None:
    client = MemoryClient()
    raw = stored(client, {"recommendation": "c.x", "reason": "old", "expirationTime": "2025-01-01T00:00:00Z"})
    decision = {"recommendation": "c.x", "reason": "new"} | ({"expirationTime": wanted} if wanted else {})
    sent: list[Any] = []

    def answer(method: str, path: str, **more: Any) -> dict[str, Any]:
        """Server-side apply: fields of other managers stay."""
        sent.append(more)
        merged = {"expirationTime": "2025-01-01T00:00:00Z", **decision}
        return {"spec": {"dismissals": [{"recommendation": "b.x", "reason": "theirs"}, merged]}}

    client.request = answer  # type: ignore[assignment]
    write(client, raw, decision)
    removed = [m["body"] for m in sent[1:]]
    path = "/spec/dismissals/1"
    assert removed == (
        []
        if wanted
        else [
            [
                {"op": "test", "path": f"{path}/recommendation", "value": "c.x"},
                {"op": "test", "path": f"{path}/expirationTime", "value": "2025-01-01T00:00:00Z"},
                {"op": "remove", "path": f"{path}/expirationTime"},
            ]
        ]
    )


@pytest.mark.parametrize("table", ["right-size", "right-size.library"])
def test_a_step_of_the_table_is_dismissed_although_no_recommendation_is_called_so(
    monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    """Also where the only table is of the templates of another object."""
    raw = {
        "metadata": {"name": "etl", "namespace": "demo"},
        "status": {"recommendations": [{"id": table, "state": "Active"}]},
    }
    monkeypatch.setattr(profiles, "connect", lambda *_: MemoryClient())
    monkeypatch.setattr(profiles, "read", lambda *_: raw)
    call = ["etl", "right-size.load", "-n", "demo", "--reason", "month end", "--print"]
    said = CliRunner().invoke(command, call)
    assert (said.exit_code, "recommendation: right-size.load" in said.output) == (0, True)
    assert CliRunner().invoke(command, [*call[:1], "timeout.load", *call[2:]]).exit_code != 0
    raw["status"] = {"recommendations": []}
    assert CliRunner().invoke(command, call).exit_code != 0
