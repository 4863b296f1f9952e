"""The fence holds for every query: random PromQL and deliberate attempts to get out."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import promql_parser
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from concertmaster.prometheus.client.errors import QueryRefused
from concertmaster.prometheus.guard.fence import MAX_LENGTH, check, fence
from concertmaster.prometheus.guard.promql_text import FUNCTIONS
from concertmaster.prometheus.queries.promql import one_of, quote, selector
from tests.support.data.promql_grammar import queries

OWN = "team-a"
CLUSTER = {"cluster": 'prod"1'}


def selectors_of(text: str) -> list[Any]:
    """All vector selectors of a text, those of ranges included, by the parser library's own walk."""
    found: list[Any] = []

    def visit(expr: Any) -> None:
        if isinstance(expr, promql_parser.VectorSelector):
            found.append(expr)

    promql_parser.walk(promql_parser.parse(text), visit)
    return found


def confined(text: str, namespace: str = OWN) -> bool:
    """Whether every selector of a text carries the namespace and the cluster as equalities, and no alternatives."""
    wanted = {("namespace", namespace), *CLUSTER.items()}
    found = selectors_of(text)
    return bool(found) and all(
        not expr.matchers.or_matchers
        and wanted <= {(m.name, m.value) for m in expr.matchers.matchers if m.op == promql_parser.MatchOp.Equal}
        for expr in found
    )


@settings(max_examples=400, deadline=None)
@given(queries)
@example("sum by (run) (last_over_time(up[$window]))")
@example("up - up[$window:1m] offset 1d")
def test_whatever_passes_is_confined(query: str) -> None:
    try:
        text = fence(query, namespace=OWN, window=600, extra_matchers=CLUSTER)
    except QueryRefused:
        return
    assert confined(text)
    assert "$window" not in text


@settings(max_examples=300, deadline=None)
@given(queries)
def test_queries_about_the_own_namespace_are_not_refused(query: str) -> None:
    """What is refused is refused for a reason that is in the query, never by accident."""
    try:
        fence(
            f"({query}) + on () group_left () count(last_over_time(up[$window]))",
            namespace=OWN,
            window=600,
            extra_matchers=CLUSTER,
        )
    except QueryRefused as refused:
        reasons = (
            "asks for",
            "not valid PromQL",
            "operators, at most",
            "brackets, at most",
            "characters",
            "points",
            "one number",
        )
        assert any(reason in str(refused) for reason in reasons), str(refused)


@settings(max_examples=300, deadline=None)
@given(queries)
def test_fencing_twice_changes_nothing(query: str) -> None:
    try:
        once = fence(query, namespace=OWN, window=600, extra_matchers=CLUSTER)
    except QueryRefused:
        return
    again = fence(once.replace("[600s", "[$window", 1), namespace=OWN, window=600, extra_matchers=CLUSTER)
    assert again == once


@settings(max_examples=300, deadline=None)
@given(queries)
def test_everything_but_the_matchers_stays(query: str) -> None:
    """The fenced query, its forced matchers taken out again, is the user's query as the parser understands it."""
    try:
        text = fence(query, namespace=OWN, window=600, extra_matchers=CLUSTER)
    except QueryRefused:
        return
    before = [_rest(expr) for expr in selectors_of(query.replace("$window", "600s"))]
    assert [_rest(expr) for expr in selectors_of(text)] == before


def _rest(expr: Any) -> tuple[Any, ...]:
    """Metric, further matchers, offset and time of a selector, without what the fence forces on it."""
    own = [(m.name, str(m.op), m.value) for m in expr.matchers.matchers]
    own += [("__name__", str(promql_parser.MatchOp.Equal), expr.name)] if expr.name is not None else []
    forced = {("namespace", OWN), *CLUSTER.items()}
    at = None if expr.at is None else str(expr.at)
    kept = {term for term in own if not ((term[0], term[2]) in forced and term[1] == str(promql_parser.MatchOp.Equal))}
    return frozenset(kept), expr.offset, at


@settings(max_examples=400, deadline=None)
@given(st.text(alphabet=st.sampled_from(list("up{}[]()\"'`=~!,|or$window 5m:@#\\\n-+")), max_size=60))
def test_noise_is_refused_or_confined(noise: str) -> None:
    for query in (noise, f"last_over_time(up[$window]) {noise}", f'last_over_time(up{{a="{noise}"}}[$window])'):
        try:
            text = fence(query, namespace=OWN, window=600, extra_matchers=CLUSTER)
        except QueryRefused:
            continue
        assert confined(text)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=30), st.text(max_size=30))
def test_no_text_breaks_out_of_a_matcher(namespace: str, cluster: str) -> None:
    """The namespace and the extra matchers come from trusted places; a quote in them must still do no harm."""
    try:
        text = fence(
            "last_over_time(up[$window])", namespace=namespace or "n", window=1, extra_matchers={"cluster": cluster}
        )
    except (QueryRefused, ValueError):
        return
    (expr,) = selectors_of(text)
    assert {(m.name, m.value) for m in expr.matchers.matchers} == {
        ("__name__", "up"),
        ("namespace", namespace or "n"),
        ("cluster", cluster),
    }


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ('sum(last_over_time(up{a="1" or namespace="team-b"}[$window]))', '"or" between'),
        ('sum(last_over_time(up{namespace="team-b"}[$window]))', "asks for namespace='team-b'"),
        ('sum(last_over_time(up[$window])) + sum(up{namespace="team-b"})', "asks for namespace"),
        ('sum(last_over_time(up{cluster="prod-2"}[$window]))', "asks for cluster"),
        ("info(rate(up[$window]))", "function info"),
        ('info(rate(up[$window]), {namespace="team-b"})', "function info"),
        ('last_over_time({namespace="team-a"}[$window])', "name its metric"),
        ('last_over_time({__name__=~".+"}[$window])', "name its metric"),
        ('last_over_time({__name__!="up",a="b"}[$window])', "name its metric"),
        ('last_over_time(up{__tenant_id__="b"}[$window])', "__tenant_id__"),
        ('last_over_time(up{vm_account_id="1"}[$window])', "vm_account_id"),
        ('last_over_time(up{__graphite__="team-b.*"}[$window])', "__graphite__"),
        ('last_over_time(up{"odd name"="x"}[$window])', "label name"),
        ('last_over_time({"up"}[$window]) or last_over_time(up{"a\\"} or up{b"="c"}[$window])', "label name"),
        ("sum(up)", "must use $window"),
        ('sum(up{a="[$window]"})', "must use $window"),
        ('label_replace(rate(up[5m]), "a", "[$window]", "", "")', "must use $window"),
        ("last_over_time(up[$window]) # or up", "comments"),
        ("last_over_time(up[$window])\n# comment\nor up", "comments"),
        ("last_over_time(up[$window]) or up\x00", "control characters"),
        ("last_over_time(up[$window]) or up\r", "control characters"),
        ("max_over_time(rate(up[1m])[$window:1ms])", "points"),
        ("max_over_time(max_over_time(rate(up[1m])[1d:1m])[$window:1s])", "points"),
        ("last_over_time(up[$window]) + max_over_time(up[365d])", "31 days"),
        ("last_over_time(up[$window] offset 90d)", "31 days"),
        ("up[$window]", "one number per series"),
        ("up[$window:1m]", "one number per series"),
        ("vector(1) + scalar(vector(2))", "must use $window"),
        ("limitk(3, last_over_time(up[$window]))", "limitk"),
        ("last_over_time(up[$window]) +", "not valid PromQL"),
        ("last_over_time(up[$window] offset $window)", "not valid PromQL"),
        ("last_over_time(up[$windows])", "must use $window"),
        ("(" * 25 + "last_over_time(up[$window])" + ")" * 25, "brackets"),
        ("-" * 61 + "last_over_time(up[$window])", "operators"),
        ("last_over_time(up[$window])" + " or up" * 61, "operators"),
        ("last_over_time(up[$window])" + " " * MAX_LENGTH, "characters"),
    ],
)
def test_attempts_are_refused_with_the_reason(query: str, reason: str) -> None:
    with pytest.raises(QueryRefused) as caught:
        fence(query, namespace=OWN, window=600, extra_matchers=CLUSTER, where="tokens")
    assert reason in str(caught.value)
    assert str(caught.value).startswith("tokens: ")


@pytest.mark.parametrize(
    "query",
    [
        "sum by (run, step) (last_over_time(llm_tokens_total[$window]))",
        'max by (run) (last_over_time(my_step_seconds{step="train"}[$window]))',
        'sum by (run) (increase(up{namespace="team-a"}[$window]))',
        "max_over_time(rate(up[5m])[$window:30s])",
        "sum(rate(up[ $window ])) / ignoring(x) group_left() sum(up)",
        "quantile_over_time(0.95, up[$window:])",
        "histogram_quantile(0.9, sum by (le, run) (rate(x_bucket[$window])))",
        'label_replace(last_over_time(up[$window]), "run", "$1", "pod", "(.+)-[0-9]+")',
        "max by (run) (last_over_time(up[$window] @ end() offset 1h))",
        "last_over_time(up{path=`C:/dir`, a='it\"s'}[$window])",
    ],
)
def test_ordinary_queries_pass(query: str) -> None:
    check(query)
    assert confined(fence(query, namespace=OWN, window=600, extra_matchers=CLUSTER))


def test_a_source_may_call_the_namespace_otherwise() -> None:
    query = 'sum by (run) (last_over_time(tokens{namespace="other"}[$window]))'
    text = fence(query, namespace=OWN, window=600, extra_matchers=CLUSTER, label="k8s_namespace")
    assert f'k8s_namespace="{OWN}"' in text


def test_names_that_are_words_of_the_language_stay_names() -> None:
    for word in ("sum", "offset", "by", "and", "bool"):
        query = f'last_over_time({{__name__="{word}"}}[$window])'
        assert confined(fence(query, namespace=OWN, window=600, extra_matchers=CLUSTER))


@pytest.mark.parametrize("window", [0.0, -5.0, float("nan"), float("inf")])
def test_windows_that_are_none(window: float) -> None:
    with pytest.raises(QueryRefused, match="no span of time"):
        fence("last_over_time(up[$window])", namespace=OWN, window=window, extra_matchers=None)


def test_a_query_without_a_namespace_is_never_run() -> None:
    with pytest.raises(QueryRefused, match="no namespace"):
        fence("last_over_time(up[$window])", namespace="", window=60, extra_matchers=None)


def test_a_fraction_of_a_second_is_a_second() -> None:
    assert "[1s]" in fence("last_over_time(up[$window])", namespace=OWN, window=0.2, extra_matchers=None)
    assert "[91s]" in fence("last_over_time(up[$window])", namespace=OWN, window=90.5, extra_matchers=None)


def test_every_allowed_function_is_known_to_the_parser_and_info_is_not_allowed() -> None:
    assert "info" not in FUNCTIONS
    for function in FUNCTIONS:
        with pytest.raises(ValueError, match=r".*") as caught:
            promql_parser.parse(f"{function}(1,1,1,1,1,1,1,1,1)")
        assert "unknown function" not in str(caught.value)


HOSTILE = """
from concertmaster.prometheus.client.errors import QueryRefused
from concertmaster.prometheus.guard.fence import MAX_LENGTH, fence
import threading

def attempts():
    tail = "last_over_time(up[$window])"
    for opening in "([{-+":
        for count in (100, 1000, MAX_LENGTH - len(tail), 20_000, 200_000):
            yield opening * count + tail
            yield "# \\" \\n" + opening * count + tail
            yield "'" + opening * count + tail
    yield tail + "or up" * 40_000
    yield "sum(" * 400 + tail + ")" * 400
    yield "^".join(["up"] * 600) + tail

def run():
    for query in attempts():
        try:
            fence(query, namespace="n", window=60)
        except QueryRefused:
            pass

threading.stack_size(512 * 1024)
thread = threading.Thread(target=run)
thread.start()
thread.join()
print("alive")
"""


def test_no_query_ends_the_process() -> None:
    """The parser recurses on the machine's stack; a deep query must be turned away before it gets there."""
    done = subprocess.run([sys.executable, "-c", HOSTILE], capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "alive"), done.stderr


# --- the pieces every query is built of ---------------------------------------------------------------------------


@settings(max_examples=400, deadline=None)
@given(st.text(max_size=40))
def test_quoting_is_exact(text: str) -> None:
    try:
        quoted = quote(text)
    except ValueError:
        assert any("\ud800" <= character <= "\udfff" for character in text)
        return
    expr: Any = promql_parser.parse(f"up{{a={quoted}}}")
    (found,) = expr.matchers.matchers
    assert found.value == text
    alone: Any = promql_parser.parse(quoted)
    assert alone.val == text


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=5), st.text(max_size=12))
def test_a_choice_of_literals_matches_just_these(values: list[str], other: str) -> None:
    pattern = one_of(values)
    for value in values:
        assert re.fullmatch(pattern, value, re.DOTALL)
    assert bool(re.fullmatch(pattern, other, re.DOTALL)) == (other in values)


@pytest.mark.parametrize("name", ["", "1up", "up{}", "up or down", "up-down", "ü"])
def test_odd_names_are_not_put_into_queries(name: str) -> None:
    with pytest.raises(ValueError, match="is not a"):
        selector(name, [])
