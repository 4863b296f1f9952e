"""A grammar of PromQL: random queries, most of them valid, some of them for namespaces of other tenants."""

from __future__ import annotations

from hypothesis import strategies as st

from concertmaster.prometheus.queries.promql import literal, quote

names = st.sampled_from(["up", "llm_tokens_total", "kube_pod_info", "a:b:rate5m", "sum_like", "x_bucket"])
label_names = st.sampled_from(["run", "step", "pod", "namespace", "le", "cluster", "job"])
texts = st.one_of(
    st.text(alphabet=st.characters(exclude_categories=("C", "Z")), max_size=8),
    st.sampled_from(["team-a", "team-b", '"', "\\", "a|b", '"} or up{x="', "$1", "#", "`"]),
)
spans = st.sampled_from(["30s", "5m", "1h", "1d", "$window"])
functions = st.sampled_from(
    ["rate", "increase", "last_over_time", "max_over_time", "count_over_time", "present_over_time"]
)
comparisons = st.sampled_from(["+", "-", "*", "/", "%", "^", "==", "!=", ">", "<=", "and", "or", "unless", "atan2"])


def safe_quote(text: str) -> str:
    return quote(text.encode("utf-8", "ignore").decode())


@st.composite
def matchers(draw: st.DrawFn) -> str:
    label, operator = draw(label_names), draw(st.sampled_from(["=", "!=", "=~", "!~"]))
    text = draw(texts)
    if operator in ("=~", "!~"):
        text = literal(text)
    return f"{label}{operator}{safe_quote(text)}"


@st.composite
def selectors(draw: st.DrawFn) -> str:
    inner = draw(st.lists(matchers(), max_size=3))
    name = draw(names)
    if draw(st.booleans()):
        return f"{name}{{{','.join(inner)}}}"
    return "{" + ",".join([f'__name__="{name}"', *inner]) + "}"


@st.composite
def moved(draw: st.DrawFn) -> str:
    return draw(st.sampled_from(["", "", " offset 5m", " offset -30s", " @ end()", " @ 100.5", " @ start() offset 1h"]))


def ranges(draw: st.DrawFn) -> str:
    return f"{draw(functions)}({draw(selectors())}[{draw(spans)}]{draw(moved())})"


leaves = st.one_of(st.composite(ranges)(), st.builds(str.__add__, selectors(), moved()))


def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    labels = st.lists(label_names, max_size=2, unique=True).map(", ".join)
    return st.one_of(
        st.builds("sum by ({}) ({})".format, labels, inner),
        st.builds("topk without ({}) (3, {})".format, labels, inner),
        st.builds("count_values({}, {})".format, st.just('"namespace"'), inner),
        st.builds("({}) {} ({})".format, inner, comparisons, inner),
        st.builds("({}) * on ({}) group_left ({})".format, inner, labels, inner),
        st.builds("({}) > bool ignoring ({}) ({})".format, inner, labels, inner),
        st.builds("-({})".format, inner),
        st.builds("(({}))".format, inner),
        st.builds("max_over_time(({})[{}:{}]{})".format, inner, spans, st.sampled_from(["", "5m", "1h"]), moved()),
        st.builds('label_replace({}, "namespace", {}, "pod", "(.*)")'.format, inner, texts.map(safe_quote)),
        st.builds("histogram_quantile(0.9, {})".format, inner),
        st.builds("absent({})".format, inner),
        st.builds("clamp({}, 0, 1e300)".format, inner),
        st.builds("{} + vector(time())".format, inner),
    )


anything = st.recursive(leaves, grown, max_leaves=6)
# Most get a part that uses the window, which the check requires.
queries = st.one_of(anything, *[anything.map("({}) unless on () last_over_time(down[$window])".format)] * 4)
