"""The client against a store that does everything wrong: each fault has its own error, with source, query and cure."""

from __future__ import annotations

import base64
import contextlib
import gc
import logging
import math
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from concertmaster.net.retry import RetryPolicy, Tools
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.client.errors import (
    AuthFailed,
    BadQuery,
    MetricsError,
    NotPrometheus,
    PartialAnswer,
    SourceUnreachable,
    TimedOut,
    TooLarge,
    Truncated,
)
from concertmaster.prometheus.client.prometheus import StoreInfo
from concertmaster.settings import MetricsSource, parse
from tests.support.data.metrics_store import Reply, Store, failure, running, success, vector

ONE = [({"pod": "a"}, 1)]
SECRET = "s3cr3t-token"


@dataclass
class Clock:
    """A clock that only moves when somebody sleeps."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def store() -> Iterator[Store]:
    with running() as found:
        yield found


def source(url: str, **fields: Any) -> MetricsSource:
    return MetricsSource.model_validate({"name": "main", "url": url, **fields})


def client(store: Store, clock: Clock | None = None, **fields: Any) -> PrometheusClient:
    clock = clock or Clock()
    return PrometheusClient(
        source(store.url, **fields),
        tools=Tools(monotonic=lambda: clock.now, sleep=clock.sleep, chance=lambda: 0.5),
    )


def test_the_query_travels_in_the_body(store: Store) -> None:
    query = "up" + " + up" * 5000
    found = client(store, query_params={"dedup": "true"}).instant(query, 1234.5, limit=7)
    assert len(found) == 1
    (asked,) = store.asked
    assert (asked.method, asked.path, asked.url) == ("POST", "/api/v1/query", {})
    assert asked.query == query
    assert asked.body["time"] == "1234.500"
    assert asked.body["limit"] == "7"
    assert asked.body["dedup"] == "true"
    assert asked.body["timeout"] == "28500ms"


def test_a_path_prefix_is_kept(store: Store) -> None:
    PrometheusClient(source(store.url + "/select/0/prometheus/")).instant("up", 1.0)
    assert store.asked[0].path == "/select/0/prometheus/api/v1/query"


def test_rows_and_labels_come_back(store: Store) -> None:
    store.script = [vector([({"pod": "a", "uid": "1"}, 2.5), ({"pod": "b"}, 3)])]
    found = client(store).instant("up", 1.0)
    assert list(found) == [({"pod": "a", "uid": "1"}, 2.5), ({"pod": "b"}, 3.0)]
    assert list(found.select("uid", "pod", "none")) == [(("1", "a", ""), 2.5), (("", "b", ""), 3.0)]


def test_numbers_that_are_none_are_missing_and_counted(store: Store) -> None:
    rows = [({"pod": str(n)}, value) for n, value in enumerate(["NaN", "+Inf", "-Inf", "1e300", "1e17", "x", "0"])]
    store.script = [vector(rows)]
    found = client(store).instant("up", 1.0)
    assert [value for _, value in found] == [1e17, 0.0]
    assert found.dropped == 5


def test_an_empty_answer_is_empty_and_no_error(store: Store) -> None:
    store.script = [vector([])]
    found = client(store).instant("up", 1.0)
    assert (len(found), found.dropped, list(found)) == (0, 0, [])


def test_histograms_are_no_numbers(store: Store) -> None:
    element = {"metric": {"pod": "a"}, "histogram": [1.0, {"count": "1", "sum": "1", "buckets": []}]}
    store.script = [success({"resultType": "vector", "result": [element]})]
    found = client(store).instant("up", 1.0)
    assert (len(found), found.dropped) == (0, 1)


def test_a_scalar_is_one_row(store: Store) -> None:
    store.script = [success({"resultType": "scalar", "result": [1, "7"]})]
    assert list(client(store).instant("scalar(up)", 1.0)) == [({}, 7.0)]


@pytest.mark.parametrize("status", [429, 502, 503])
def test_a_store_in_trouble_is_asked_again(store: Store, status: int) -> None:
    clock = Clock()
    store.script = [failure(status, "unavailable", "busy"), failure(status, "", ""), vector(ONE)]
    assert len(client(store, clock).instant("up", 1.0)) == 1
    assert len(store.asked) == 3
    assert clock.slept == [pytest.approx(0.375), pytest.approx(0.75)]


@pytest.mark.parametrize("status", [400, 422])
def test_a_wrong_query_is_asked_once(store: Store, status: int) -> None:
    store.script = [failure(status, "bad_data", "parse error at char 3")]
    with pytest.raises(BadQuery, match="parse error at char 3"):
        client(store).instant("up{", 1.0, name="timeline")
    assert len(store.asked) == 1


def test_messages_say_where_and_what_to_do(store: Store) -> None:
    store.script = [failure(422, "execution", "no such function")]
    with pytest.raises(MetricsError) as caught:
        client(store).instant("up", 1.0, name="timeline")
    assert str(caught.value) == (
        f"source main ({store.url}), timeline: the metrics source refuses the query (422): no such function."
        " Correct the query."
    )


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (422, "query processing would load too many samples into memory in query execution"),
        (422, "the query hit the max number of series limit (limit: 100000 series)"),
        (400, "exceeded maximum resolution of 11,000 points per timeseries"),
        (422, "the number of matching timeseries exceeds -search.maxUniqueTimeseries=300000"),
        (422, "too long query; got 20000 bytes; mustn't exceed `-search.maxQueryLen=16384` bytes"),
        (422, "not enough memory for processing rate(x), which returns 1440 data points across 90000 time series"),
        (422, "expanding series: rpc error: code = ResourceExhausted desc = exceeded series limit: limit 9 violated"),
        (413, "body too large"),
    ],
)
def test_limits_of_stores_are_distinguished_from_wrong_queries(store: Store, status: int, text: str) -> None:
    store.script = [failure(status, "execution", text)]
    with pytest.raises(TooLarge) as caught:
        client(store).instant("up", 1.0)
    assert not isinstance(caught.value, Truncated)
    assert len(store.asked) == 1


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (
            503,
            "couldn't start executing the request in 10.000 seconds, since -search.maxConcurrentRequests=2 concurrent "
            "requests are already executed. Possible solutions: to increase -search.maxQueueDuration=10s",
        ),
        (429, "the request has been rejected because the tenant exceeded the request rate limit, set to 10 requests/s"),
        (429, "RESOURCE_EXHAUSTED: limit 'Time series queries per minute' exceeded"),
    ],
)
def test_a_busy_store_is_not_asked_for_less_in_more_queries(store: Store, status: int, text: str) -> None:
    """What it says names limits, too; with halves of each query it would be asked twice as much."""
    clock = Clock()
    store.script = [failure(status, "", text)]
    with pytest.raises(SourceUnreachable, match=r"asks for fewer requests"):
        client(store, clock).instant("up", 1.0)
    assert len(store.asked) == 4


@pytest.mark.parametrize(
    "reply",
    [
        Reply(b"upstream request timeout", 504, {"Content-Type": "text/plain"}),
        failure(422, "422", "timeout exceeded: 30 seconds; it can be adjusted with `-search.maxQueryDuration`"),
        failure(422, "execution", "query timed out in expression evaluation"),
    ],
    ids=["proxy", "VictoriaMetrics", "without type"],
)
def test_a_time_limit_on_the_way_is_one_of_time(store: Store, reply: Reply) -> None:
    """The past is then read in shorter spans."""
    store.script = [reply]
    with pytest.raises(TimedOut, match="time limit"):
        client(store).instant("up", 1.0)
    assert len(store.asked) == 1


def test_retries_end(store: Store) -> None:
    clock = Clock()
    store.script = [failure(503, "", "overloaded")]
    with pytest.raises(SourceUnreachable, match=r"503.*overloaded"):
        client(store, clock).instant("up", 1.0)
    assert len(store.asked) == 4
    assert sum(clock.slept) < 10


def test_retry_after_is_honoured_within_the_deadline(store: Store) -> None:
    clock = Clock()
    store.script = [failure(429, "", "slow down", Retry_After="20"), vector(ONE)]
    client(store, clock, deadline_seconds=60).instant("up", 1.0)
    assert clock.slept == [20.0]


def test_retry_after_beyond_the_deadline_is_not_waited_for(store: Store) -> None:
    clock = Clock()
    store.script = [failure(503, "", "maintenance", Retry_After="3600")]
    with pytest.raises(SourceUnreachable):
        client(store, clock, deadline_seconds=60).instant("up", 1.0)
    assert clock.slept == []


def test_the_stores_own_timeout_is_not_repeated(store: Store) -> None:
    store.script = [failure(503, "timeout", "query timed out in expression evaluation")]
    with pytest.raises(TimedOut, match="timed out in expression"):
        client(store).instant("up", 1.0)
    assert len(store.asked) == 1


def test_a_slow_store_is_given_up(store: Store) -> None:
    store.script = [Reply(delay=2.0)]
    with pytest.raises(TimedOut, match=r"no whole answer within 0\.2 s"):
        client(store, timeout_seconds=0.2).instant("up", 1.0)


def test_an_answer_that_drips_is_given_up(store: Store) -> None:
    """Each byte comes well within the socket's time limit, and all of them never."""
    store.script = [Reply(b'{"status":"success"' + b" " * 1000, drip=0.05)]
    with pytest.raises(TimedOut):
        PrometheusClient(source(store.url, timeout_seconds=0.3)).instant("up", 1.0)


@pytest.mark.parametrize(
    "piece", [b"H", b"X-More: 1\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"], ids=["status", "headers", "continue"]
)
def test_an_answer_whose_head_never_ends_is_given_up(piece: bytes) -> None:
    """It would hold up the cycle until the liveness probe fails, and again after each restart. Its socket is closed."""
    first = b"HTTP/1.1 200 OK\r\n" if piece.startswith(b"X") else b""

    def drip(listening: socket.socket) -> None:
        with contextlib.suppress(OSError):  # at the latest, the client disconnects
            made, _ = listening.accept()
            with made:
                made.sendall(first)
                while True:
                    made.sendall(piece)
                    time.sleep(0.05)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=drip, args=(listening,), daemon=True).start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        gc.collect()  # what other tests left open
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always", ResourceWarning)
            asking = PrometheusClient(source(url, timeout_seconds=0.3))
            with asking, pytest.raises(TimedOut, match=r"no whole answer within 0\.3 s"):
                asking.instant("up", 1.0)
            gc.collect()
    assert not [str(w.message) for w in found if "socket" in str(w.message)]


def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(SourceUnreachable, match="Connection refused"):
            PrometheusClient(source(url), tools=Tools(sleep=lambda _: None)).instant("up", 1.0)


def test_a_host_that_does_not_exist() -> None:
    url = "http://prometheus.invalid:9090"
    with pytest.raises(SourceUnreachable, match=r"prometheus\.invalid"):
        PrometheusClient(source(url), tools=Tools(sleep=lambda _: None)).instant("up", 1.0)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(store: Store, status: int) -> None:
    location = f"{store.url}/login?next={SECRET}"
    store.script = [Reply(b"", status, {"Location": location}), vector(ONE)]
    with pytest.raises(AuthFailed, match=f"redirect .*to {store.url}/login, as login pages do") as caught:
        client(store).instant("up", 1.0)
    assert len(store.asked) == 1
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("status", [200, 502])
def test_a_web_page_is_no_answer(store: Store, status: int) -> None:
    page = f"<!DOCTYPE html><form action=/login>{SECRET}</form>".encode()
    store.script = [Reply(page, status, {"Content-Type": "text/html"})]
    with pytest.raises(MetricsError) as caught:
        client(store).instant("up", 1.0)
    assert SECRET not in str(caught.value)
    assert isinstance(caught.value, NotPrometheus if status == 200 else SourceUnreachable)


def test_a_web_page_without_its_content_type(store: Store) -> None:
    store.script = [Reply(b"  <html>hello</html>", 200, {"Content-Type": "application/json"})]
    with pytest.raises(NotPrometheus, match="web page"):
        client(store).instant("up", 1.0)


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b'{"hello": 1}', b'{"status": "fine"}', b'{"data": {}}', b"\xff"]
)
def test_another_service_is_no_prometheus(store: Store, body: bytes) -> None:
    store.script = [Reply(body)]
    with pytest.raises(NotPrometheus, match="Check url"):
        client(store).instant("up", 1.0)


@pytest.mark.parametrize(
    "data",
    [
        {"resultType": "matrix", "result": []},
        {"resultType": "string", "result": [1, "x"]},
        {"resultType": "vector", "result": {}},
        {"resultType": "vector", "result": [1]},
        {"resultType": "vector", "result": [{"metric": ["a"], "value": [1, "1"]}]},
        {"result": []},
        [],
        "text",
    ],
)
def test_odd_results_are_no_traceback(store: Store, data: Any) -> None:
    store.script = [success(data)]
    with pytest.raises(NotPrometheus):
        client(store).instant("up", 1.0)


def test_missing_paths(store: Store) -> None:
    store.script = [Reply(b"404 page not found", 404, {"Content-Type": "text/plain"})]
    with pytest.raises(NotPrometheus, match="no Prometheus HTTP API") as refused:
        client(store).instant("up", 1.0)
    assert "Add what precedes /api/v1, as /prometheus" in refused.value.remedy


def test_truncated_json_is_partial_and_asked_again(store: Store) -> None:
    whole = vector(ONE).body
    store.script = [Reply(whole[:40]), vector(ONE)]
    assert len(client(store).instant("up", 1.0)) == 1
    store.script = [Reply(whole[:40])]
    with pytest.raises(PartialAnswer, match="cut off"):
        client(store).instant("up", 1.0)


def test_a_connection_that_breaks_in_the_middle(store: Store) -> None:
    store.script = [Reply(vector(ONE).body, cut=30), vector(ONE)]
    assert len(client(store).instant("up", 1.0)) == 1
    store.script = [Reply(vector(ONE).body, cut=30)]
    with pytest.raises(PartialAnswer, match="cut off"):
        client(store).instant("up", 1.0)


def test_warnings_mean_partial(store: Store) -> None:
    store.script = [vector(ONE, warnings=["store 10.0.0.1 unavailable"])]
    with pytest.raises(PartialAnswer, match=r"store 10\.0\.0\.1 unavailable"):
        client(store).instant("up", 1.0)
    found = client(store).instant("up", 1.0, whole=False)
    assert found.warnings == ("store 10.0.0.1 unavailable",)


def test_infos_do_not(store: Store) -> None:
    store.script = [vector(ONE, infos=["PromQL info: metric might not be a counter"])]
    assert len(client(store).instant("up", 1.0)) == 1


def test_partial_answers_are_refused_even_when_warnings_are_not(store: Store) -> None:
    store.script = [vector(ONE, isPartial=True)]
    with pytest.raises(PartialAnswer, match="isPartial"):
        client(store).instant("up", 1.0, whole=False)


def test_reaching_the_limit_is_seen(store: Store) -> None:
    store.script = [vector([({"pod": str(n)}, n) for n in range(5)])]
    assert len(client(store).instant("up", 1.0, limit=6)) == 5
    with pytest.raises(Truncated, match="limit of 5 series"):
        client(store).instant("up", 1.0, limit=5)


def test_a_truncation_warning_is_distinguished_from_other_warnings(store: Store) -> None:
    store.script = [vector(ONE, warnings=["results truncated due to limit"])]
    with pytest.raises(Truncated):
        client(store).instant("up", 1.0, limit=100)


def test_a_warning_of_a_limit_of_one_of_several_stores_asks_for_less(store: Store) -> None:
    """Else no reading would ever get past it."""
    limit = "receive series from 10.0.0.1:10901: exceeded series limit: limit 50000 violated (got 50001)"
    store.script = [vector(ONE, warnings=["slow", limit])]
    with pytest.raises(Truncated, match="limit 50000 violated"):
        client(store).instant("up", 1.0)
    assert len(client(store).instant("up", 1.0, whole=False)) == 1


def test_series_that_share_no_label_are_too_much_of_an_answer_and_no_other_service(store: Store) -> None:
    """Pods of one namespace may have thousands of different labels: then less is asked for."""
    store.script = [vector([({f"l{n}-{i}": "x" for i in range(10)}, 1) for n in range(1_000)])]
    with pytest.raises(TooLarge, match="1000 series of the answer have 10000 different labels"):
        client(store).instant("up", 1.0)


def test_the_answer_to_a_user_s_query_is_bounded_more_narrowly(store: Store) -> None:
    store.script = [vector([({"run": "x" * 1000}, n) for n in range(9_000)])]
    asking = client(store)
    assert len(asking.instant("up", 1.0, limit=10_000)) == 9_000
    with pytest.raises(TooLarge, match=r"larger than 8388608 bytes.*Aggregate the query"):
        asking.instant("up", 1.0, limit=10_000, of_user=True)


def test_an_answer_without_end_is_not_read_to_the_end(store: Store) -> None:
    store.script = [vector([({"pod": "x" * 1000}, n) for n in range(200)])]
    with pytest.raises(TooLarge, match="larger than 65536 bytes"):
        client(store, max_response_bytes=65_536).instant("up", 1.0)


@pytest.mark.parametrize(
    ("status", "body", "remedy"),
    [
        (401, b"no org id\n", "X-Scope-OrgID: TENANT"),
        (403, b'{"message":"Missing Authentication Token"}', "signing proxy"),
        (
            403,
            b"Forbidden (user=system:serviceaccount:cm:cm, verb=get, resource=namespaces)",
            "cluster-monitoring-view",
        ),
        (401, b"who are you? SECRET", "Check url, auth and headers"),
        (401, b"failed to verify token: square/go-jose: invalid signature", "Check url, auth and headers"),
        (405, b"Method Not Allowed", "pass POST to /api/v1/query"),
        (400, b'unsupported path requested: "/api/v1/query"', "/select/0/prometheus"),
    ],
)
def test_what_servers_are_known_to_refuse_has_its_own_remedy(
    store: Store, status: int, body: bytes, remedy: str
) -> None:
    store.script = [Reply(body, status, {"Content-Type": "text/plain"})]
    with pytest.raises(MetricsError) as caught:
        client(store).instant("up", 1.0)
    assert isinstance(caught.value, AuthFailed | NotPrometheus)
    assert remedy in caught.value.remedy and "SECRET" not in str(caught.value)


def test_a_server_without_tls_is_said_to_have_none(store: Store) -> None:
    with pytest.raises(AuthFailed, match="does not speak TLS at this port: write http://"):
        PrometheusClient(source(store.url.replace("http:", "https:"))).instant("up", 1.0)


def test_a_certificate_that_is_not_mounted_is_said_to_be_missing(store: Store) -> None:
    url = store.url.replace("http:", "https:")
    with pytest.raises(AuthFailed, match=r"/nope\.pem.* Mount the file, or correct its path in tls of the source"):
        PrometheusClient(source(url, tls={"caFile": "/nope.pem"})).instant("up", 1.0)


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials(store: Store, status: int) -> None:
    store.script = [Reply(f"bad token {SECRET}".encode(), status, {"Content-Type": "text/plain"})]
    with pytest.raises(AuthFailed) as caught:
        client(store).instant("up", 1.0)
    assert SECRET not in str(caught.value)


def test_a_token_file_is_read_again_when_it_changes(store: Store, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("one\n")
    asking = client(store, auth={"bearerTokenFile": str(token)})
    asking.instant("up", 1.0)
    token.write_text("two\n")
    asking.instant("up", 1.0)
    assert [asked.headers["Authorization"] for asked in store.asked] == ["Bearer one", "Bearer two"]


def test_basic_authentication_and_headers_from_files(store: Store, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("pa:ss")
    (tmp_path / "key").write_text("k1")
    client(
        store,
        auth={"basic": {"username": "ops", "passwordFile": str(tmp_path / "password")}},
        headers={"X-Scope-OrgID": "team-a", "X-Api-Key": {"valueFile": str(tmp_path / "key")}},
    ).instant("up", 1.0)
    headers = store.asked[0].headers
    assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")) == b"ops:pa:ss"
    assert headers["X-Scope-OrgID"] == "team-a"
    assert headers["X-Api-Key"] == "k1"


def test_a_netrc_entry_changes_nothing(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    client(store).instant("up", 1.0)
    assert "Authorization" not in store.asked[0].headers


@pytest.mark.parametrize("content", [None, b"", b"two\nlines", b"\xff\xfe", b"x" * 70_000])
def test_unusable_credential_files_are_named(store: Store, tmp_path: Path, content: bytes | None) -> None:
    token = tmp_path / "token"
    if content is not None:
        token.write_bytes(content)
    with pytest.raises(AuthFailed, match=str(token)) as caught:
        client(store, auth={"bearerTokenFile": str(token)}).instant("up", 1.0)
    assert store.asked == []
    assert "two" not in str(caught.value)


def test_no_secret_reaches_messages_or_logs(store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    token = tmp_path / "token"
    token.write_text(SECRET)
    asking = client(store, auth={"bearerTokenFile": str(token)}, headers={"X-Team": "plain-value"})
    texts = [repr(asking.source), repr(asking), str(asking.source)]
    with caplog.at_level(logging.DEBUG):
        for reply in (
            Reply(b"", 401),
            failure(500, "", "x"),
            Reply(b"<html>", 200),
            Reply(b"", 302, {"Location": "/"}),
        ):
            store.script = [reply]
            with pytest.raises(MetricsError) as caught:
                asking.instant("up", 1.0)
            texts.append(repr(caught.value) + str(caught.value))
    assert SECRET not in "".join(texts) + caplog.text
    assert "plain-value" not in "".join(texts) + caplog.text


def test_a_dead_source_is_left_alone_for_a_while(store: Store) -> None:
    clock = Clock()
    store.script = [failure(503, "", "down")]
    asking = client(store, clock)
    for _ in range(3):
        with pytest.raises(SourceUnreachable):
            asking.instant("up", 1.0)
    before = len(store.asked)
    with pytest.raises(SourceUnreachable, match="left alone for another 15 s"):
        asking.instant("up", 1.0)
    assert len(store.asked) == before
    clock.now += 16
    store.script = [vector(ONE)]
    assert len(asking.instant("up", 1.0)) == 1
    store.script = [failure(503, "", "down")]
    with pytest.raises(SourceUnreachable, match="answers 503"):
        asking.instant("up", 1.0)


def test_a_refused_query_does_not_trip_the_breaker(store: Store) -> None:
    store.script = [failure(422, "execution", "no")]
    asking = client(store)
    for _ in range(4):
        with pytest.raises(BadQuery):
            asking.instant("up", 1.0)
    assert len(store.asked) == 4


def test_failures_of_users_queries_leave_the_source_open_to_everybody_else(store: Store) -> None:
    store.script = [failure(503, "", "too slow")]
    asking = client(store)
    for _ in range(3):
        with pytest.raises(SourceUnreachable, match="answers 503"):
            asking.instant("slow", 1.0, of_user=True)
    store.script = [vector(ONE)]
    assert len(asking.instant("up", 1.0)) == 1


def test_what_a_store_says_about_itself(store: Store) -> None:
    answers = {
        "/api/v1/status/buildinfo": success({"version": "3.1.0"}),
        "/api/v1/status/runtimeinfo": success({"storageRetention": "15d", "startTime": "2026-01-01T00:00:00Z", "n": 1}),
    }
    store.script = lambda asked: answers[asked.path]
    asking = client(store)
    assert (asking.info().version, asking.info().retention) == ("3.1.0", "15d")


@pytest.mark.parametrize(
    ("stated", "days"), [("15d", 15), ("2w or 10GiB", 14), ("1w2d", 9), ("36h", 1.5), ("10GiB", None), (None, None)]
)
def test_a_retention_in_days(stated: str | None, days: float | None) -> None:
    assert StoreInfo(retention=stated).retention_days == days


def test_compatible_stores_may_say_little(store: Store) -> None:
    store.script = [Reply(b"not found", 404, {"Content-Type": "text/plain"})]
    found = client(store).info()
    assert (found.version, found.retention) == (None, None)


def test_mutual_tls_files_that_do_not_exist_are_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "client.pem")
    tls = {"certFile": missing, "keyFile": missing}
    with pytest.raises(AuthFailed, match=missing):
        PrometheusClient(source("https://127.0.0.1:1", tls=tls), tools=Tools(sleep=lambda _: None)).instant("up", 1.0)


def test_plain_http_behind_an_https_url_is_a_clear_error(store: Store) -> None:
    with pytest.raises(AuthFailed, match="no trusted TLS connection"):
        PrometheusClient(source(store.url.replace("http", "https")), tools=Tools(sleep=lambda _: None)).instant(
            "up", 1.0
        )


def test_requests_are_counted_once_whatever_the_attempts(store: Store) -> None:
    store.script = [failure(503, "", ""), vector(ONE)]
    asking = client(store)
    asking.instant("up", 1.0)
    assert asking.requests == 1


def test_every_query_is_a_sign_of_life_but_those_of_users(store: Store) -> None:
    store.script = lambda _: vector(ONE)
    asking, beats = client(store), []
    asking.beat = lambda: beats.append(1)
    asking.instant("up", 1.0)
    asking.instant("up", 1.0, of_user=True)  # in another thread: it says nothing about the loop
    assert len(beats) == 1


def test_a_source_of_a_settings_file_works_as_it_stands(store: Store) -> None:
    settings = parse(f"sources: [{{name: default, url: '{store.url}', extraMatchers: {{cluster: a}}}}]")
    found = settings.source("default")
    assert found is not None
    assert len(PrometheusClient(found).instant("up", 1.0)) == 1


def test_pauses_grow_and_stay_bounded() -> None:
    policy = RetryPolicy(attempts=20, first_pause=1.0, longest_pause=8.0)
    pauses = [policy.pause(n, 0.999, math.inf) for n in range(1, 20)]
    assert all(pause is not None and pause <= 8.0 for pause in pauses)
    assert [pause for pause in pauses[:3] if pause is not None] == [pytest.approx(x, rel=0.01) for x in (1, 2, 4)]
    assert policy.pause(20, 0.0, math.inf) is None
    assert policy.pause(1, 0.5, 0.1) is None
