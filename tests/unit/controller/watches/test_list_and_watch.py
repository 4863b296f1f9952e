"""What kopf says about its watches, made fit for people: short, seldom, and no error while it is tried again. And what ends
a watch does not end the process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import kopf
import pytest
from kopf._cogs.clients import errors, fetching, watching
from kopf._cogs.structs.credentials import LoginError, Vault

from concertmaster.controller.watches import kopf_operator, list_and_watch
from concertmaster.controller.watches.kopf_operator import settings
from concertmaster.controller.watches.list_and_watch import Backoffs, WatchLogFilter
from concertmaster.kube.configuration import ApiConnection
from concertmaster.kube.objects import PROFILES


def said(message: str) -> logging.LogRecord:
    return logging.LogRecord("kopf", logging.ERROR, __file__, 1, message, (), None)


def test_a_watch_that_is_tried_again_is_a_warning_once_a_minute() -> None:
    now = [0.0]
    calm = WatchLogFilter(clock=lambda: now[0])
    first = said("Request attempt #1 failed; will retry: GET /apis -> " + "x" * 5000)
    assert calm.filter(first)
    assert (first.levelno, first.levelname) == (logging.WARNING, "WARNING")
    assert len(first.getMessage()) < 400
    assert not calm.filter(said("Request attempt #2 failed; will retry: GET /apis"))
    now[0] = 61.0
    given_up = said("Request attempt #9 failed; escalating: GET /apis")
    assert calm.filter(given_up)
    assert given_up.levelno == logging.ERROR


def test_pauses_grow_and_never_end() -> None:
    pauses = [pause for pause, _ in zip(Backoffs(), range(100), strict=False)]
    assert pauses == sorted(pauses)
    assert pauses[0] < 1.0
    assert pauses[-1] == pauses[-2] <= 300.0


def test_objects_of_events_are_not_copied_for_handlers_of_changes_that_are_not_there() -> None:
    body = kopf.Body({"metadata": {"name": "etl"}, "spec": {"rules": {}}, "status": {"score": 80}})
    storage = settings(scanning=False).persistence.diffbase_storage
    assert not storage.build(body=body)
    assert storage.fetch(body=body) is None


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were waited, which take no time."""
    waited, sleep = [], asyncio.sleep

    async def pause(seconds: float) -> None:
        waited.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", pause)
    return waited


Answer = Exception | list[dict[str, Any]]  # events until the end of a watch
GONE = {"type": "ERROR", "object": {"code": 410, "message": "too old resource version"}}
EVENT = {"type": "MODIFIED", "object": {"metadata": {"resourceVersion": "9"}}}


class Server:
    """An API server with one object, and the ``answers`` to watches."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answers: list[Answer], lists: list[Exception | None]) -> None:
        self.answers = answers
        self.lists = lists
        self.asked: list[str] = []
        monkeypatch.setattr(fetching, "fetch_objs", self.list)
        monkeypatch.setattr(watching, "watch_objs", self.watch)

    async def list(self, **_: Any) -> AsyncIterator[Any]:
        self.asked.append("list")
        yield [{"metadata": {"name": "etl"}}], "7"
        if self.lists and (error := self.lists.pop(0)) is not None:
            raise error

    async def watch(self, *, since: str, **_: Any) -> AsyncIterator[Any]:
        self.asked.append(since)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        for event in answer:
            yield event

    def until_deleted(self) -> list[Any]:
        """What kopf hands on until an object is deleted."""

        async def events() -> list[Any]:
            found: list[Any] = []
            stream = watching.infinite_watch(settings=settings(scanning=False), resource=PROFILES, namespace=None)
            async for event in stream:
                found.append("listed" if event is watching.Bookmark.LISTED else event["type"])
                if found[-1] == "DELETED":
                    break
            return found

        return asyncio.run(events())


DELETED = [{"type": "DELETED", "object": {}}]


def test_a_watch_goes_on_where_the_one_before_it_ended(monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> None:
    server = Server(monkeypatch, [[EVENT], [], DELETED], [])
    assert server.until_deleted() == [None, "listed", "MODIFIED", "DELETED"]
    assert server.asked == ["list", "7", "9", "9"]


@pytest.mark.parametrize(
    "answer",
    [
        [GONE],
        [{"type": "ERROR", "object": {"code": 500, "message": "etcd event received with PrevKv=nil"}}],
        errors.APIError("too old resource version", status=410, headers={}),
        errors.APITooManyRequestsError("slow down", status=429, headers={}),
        aiohttp.ClientPayloadError("cut short"),
        ValueError("no JSON"),
    ],
)
def test_what_a_watch_is_answered_does_not_end_the_process_and_all_is_listed_anew(
    monkeypatch: pytest.MonkeyPatch, pauses: list[float], answer: Answer
) -> None:
    server = Server(monkeypatch, [answer, DELETED], [])
    assert server.until_deleted() == [None, "listed", None, "listed", "DELETED"]
    assert pauses == [0.5]


def test_a_list_that_cannot_be_continued_is_begun_anew(monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> None:
    server = Server(monkeypatch, [DELETED], [errors.APIError("the continue token is too old", status=410, headers={})])
    assert server.until_deleted() == [None, None, "listed", "DELETED"]


def test_a_kind_that_is_gone_ends_it(monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> None:
    gone = errors.APINotFoundError("no such kind", status=404, headers={})
    with pytest.raises(errors.APINotFoundError):
        Server(monkeypatch, [gone], []).until_deleted()


@pytest.mark.parametrize(("answer", "why"), [([GONE], "too old resource version"), ([], "its connection was closed")])
def test_watches_that_all_end_at_once_are_opened_less_and_less_often(
    monkeypatch: pytest.MonkeyPatch, pauses: list[float], caplog: pytest.LogCaptureFixture, answer: Answer, why: str
) -> None:
    monkeypatch.setattr(list_and_watch, "log", logging.getLogger("unfiltered"))
    Server(monkeypatch, [*[answer] * 19, DELETED], []).until_deleted()
    assert (len(pauses), pauses[-1]) == (19, list_and_watch._MAX_BACKOFF)
    assert f"ended: {why}; will retry" in caplog.text


def test_watches_that_last_are_opened_again_at_once_and_without_a_word(
    monkeypatch: pytest.MonkeyPatch, pauses: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(list_and_watch, "log", logging.getLogger("unfiltered"))
    monkeypatch.setattr(list_and_watch.time, "monotonic", iter(range(0, 99999, 301)).__next__)
    Server(monkeypatch, [*[[EVENT]] * 19, DELETED], []).until_deleted()
    assert pauses == [0.5] * 19
    assert caplog.text == ""


def test_credentials_that_were_refused_for_a_moment_are_tried_again(pauses: list[float]) -> None:
    """kopf never uses credentials again that are equal to refused ones, and the token of an API server that refused it while
    it started is the same."""
    present = ApiConnection("https://a", None, True, "Bearer", "token", None, None, None, None)
    (handler,) = kopf_operator.operator_registry(None, [], lambda: present, lambda: None)._activities.get_all_handlers()

    async def logins() -> None:
        vault = Vault()
        for _ in range(5):
            await vault.populate({"login": await handler.fn()})
            key, item = vault.select()
            refusal = asyncio.create_task(vault.invalidate(key, item.info, exc=LoginError("401")))
            await vault.wait_for_emptiness()
            await vault.populate({"login": await handler.fn()})
            await refusal

    asyncio.run(logins())
    assert len(pauses) == 9
    assert pauses == sorted(pauses)
