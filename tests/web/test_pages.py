"""The pages in a real Chromium: they load whole, fit a phone, can be read in the dark, work by keyboard and without scripts,
and run nothing of what a cluster holds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from concertmaster.report.period.document import ReportScope, period_report
from concertmaster.report.period.render import document
from concertmaster.report.workflows.fleet import FleetView
from testbed.pages import axe
from tests.support.cluster.operator_bed import wait_for
from tests.support.web.analysed import analysed
from tests.support.web.browser import browser, complaints, tab
from tests.support.web.login import SIGN_IN, login
from tests.support.web.objects import HOSTILE, change, hostile, profile, recommendation, result
from tests.support.web.objects import running as in_progress
from tests.support.web.server import NOW, Dashboard, dashboard, memory
from tests.support.web.tenants import TwoTenants, in_cluster

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
PAGES = (
    "/",
    "/?q=zzz",  # no workflow has such a name
    "/workflows/demo/nightly",
    "/workflows/demo/nightly/runs",
    "/workflows/demo/nightly/compare?before=typical&after=latest",
    "/nothing",
)
# Contrast of every visible text with what is behind it, as WCAG 2.2 computes it; texts below 4.5 (3 where large).
CONTRAST = """(() => {
  const channel = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const luminance = c => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
  const parse = text => (text.match(/[0-9.]+/g) || [0, 0, 0, 0]).map(Number);
  const behind = e => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return matchMedia("(prefers-color-scheme: dark)").matches ? [0, 0, 0] : [255, 255, 255];
  };
  const bad = [];
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    const style = getComputedStyle(e), box = e.getBoundingClientRect();
    if (!own || !box.width || style.visibility === "hidden" || /^(title|option)$/i.test(e.tagName)) continue;
    const ink = parse(e instanceof SVGElement ? style.fill : style.color);
    const [high, low] = [luminance(ink), luminance(behind(e))].sort((a, b) => b - a);
    const ratio = (high + 0.05) / (low + 0.05), size = parseFloat(style.fontSize);
    if (ratio < (size >= 24 ? 3 : 4.5)) bad.push(`${e.tagName} ${e.textContent.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return bad;
})()"""
# Every rule of axe-core for WCAG 2.2 level AA, and its best practices; what it leaves to a person is not counted.
AXE = """axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).then(r => ({
  faults: r.violations.flatMap(v => v.nodes.map(n => `${v.id} (${v.impact}): ${n.html.slice(0, 120)}`)),
  passed: r.passes.map(p => p.id),
}))"""


def accessible(page: Page) -> None:
    """The page that is open has no fault that axe-core finds; contrast and names were looked at."""
    page.evaluate(axe.ensure().read_text(encoding="utf-8") + ";0")
    assert page.evaluate("axe.version") == axe.VERSION
    found = page.evaluate(AXE)
    assert found["faults"] == []
    assert {"color-contrast", "document-title", "html-has-lang", "link-name"} <= set(found["passed"])


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


@pytest.fixture(scope="module")
def running() -> Iterator[Dashboard]:
    flow, found = analysed()
    flow["status"]["results"] = [result()]
    flow["status"]["running"] = [in_progress()]
    profiles = [
        profile(0, results=[result()], running=[in_progress(late=True)], objectives=["success: Missed, 80% of 99%"]),
        *(profile(i) for i in range(1, 60)),
        flow,
    ]
    with dashboard(memory(*profiles, changes=(change(),), details={("demo", "nightly"): found})) as served:
        yield served


@pytest.fixture
def page(chromium: Browser, running: Dashboard) -> Iterator[Page]:
    with tab(chromium) as opened:
        opened.goto(running.entrance)
        yield opened


def follow(page: Page, element: str) -> None:
    """Click a link or button that leads to another page."""
    with page.expect_navigation():
        page.locator(element).first.click()


def screenshot(page: Page, file: Path) -> None:
    """The top of a page."""
    page.screenshot(path=file, full_page=True, clip={"x": 0, "y": 0, "width": 1280, "height": 1120})


def submit(page: Page, form: str) -> None:
    with page.expect_navigation():
        page.evaluate(f"document.querySelector({form!r}).requestSubmit()")


def test_the_secret_does_not_stay_in_the_address(page: Page, running: Dashboard) -> None:
    assert page.evaluate("location.href") == f"{running.url}/"
    assert page.evaluate("document.cookie") == ""
    assert page.evaluate("document.querySelectorAll('main h1').length") == 1


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_load_whole_and_can_be_read(page: Page, running: Dashboard, path: str, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    heard = complaints(page)
    page.goto(running.url + path)
    assert page.evaluate(CONTRAST) == []
    accessible(page)
    ground = [int(v) for v in re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor"))]
    assert (sum(ground) > 600) == (scheme == "light")
    assert [c for c in heard if path != "/nothing" or "404" not in c] == []


def test_what_the_policy_stops_is_heard(page: Page) -> None:
    heard = complaints(page)
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'document.title = 1'}))")
    page.evaluate("fetch('/nothing').then(answer => answer.text())")
    assert page.title() != "1"
    assert [("Content Security Policy" in h, "404" in h) for h in heard] == [(True, False), (False, True)]


def test_a_planted_fault_is_found(page: Page) -> None:
    page.evaluate(
        "document.querySelector('label').replaceWith(...document.querySelector('label').querySelectorAll('select')); 0"
    )
    with pytest.raises(AssertionError, match="select-name"):
        accessible(page)


@pytest.mark.parametrize("path", PAGES)
def test_a_phone_needs_no_sideways_scrolling(chromium: Browser, running: Dashboard, path: str) -> None:
    beyond = (
        "[...document.querySelectorAll('main *')].filter(e => !e.closest('.wrap') && !e.closest('pre')"
        " && e.getBoundingClientRect().right > 361).map(e => e.outerHTML.slice(0, 80))"
    )
    with tab(chromium, 360, 740) as page:
        page.goto(running.entrance)
        page.goto(running.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert page.evaluate(beyond) == []


@pytest.mark.parametrize("path", [p for p in PAGES if p not in ("/?q=zzz", "/nothing")])  # those with tables
def test_a_phone_shows_every_value_of_a_table_beside_the_name_of_its_column(
    chromium: Browser, running: Dashboard, path: str
) -> None:
    beyond = (
        "[...document.querySelectorAll('th, td')].filter(e => !e.closest('.stack thead')"
        " && e.getBoundingClientRect().right > 361).map(e => e.outerHTML.slice(0, 80))"
    )
    named = """[...document.querySelectorAll('table.stack')].flatMap(t => {
      const names = [...t.querySelectorAll('th')].map(e => e.textContent.replace(/ [▴▾]$/, ''));
      return [...t.querySelectorAll('tbody tr')].map(r => JSON.stringify([...r.cells].map(c => c.dataset.label)) ===
        JSON.stringify(names) && [...r.cells].every(c => getComputedStyle(c, '::before').content.includes(c.dataset.label)));
    })"""
    with tab(chromium, 360, 740) as page:
        page.goto(running.entrance)
        page.goto(running.url + path)
        page.evaluate(  # runs have longer names than the fixture's
            """document.querySelectorAll("[aria-label='Time split'] th.num").forEach(
              e => e.textContent = "blast-search-9s7rn")"""
        )
        assert page.evaluate(beyond) == []
        rows = page.evaluate(named)
        assert len(rows) >= 3
        assert all(rows)


def test_everything_is_reached_by_keyboard(page: Page) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.name || document.activeElement.textContent"))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline not in ("none", ""), reached[-1]
    assert reached[:3] == ["Concertmaster", "Fleet", "API"]
    assert {"namespace", "label", "kind", "severity", "q", "sort", "Show"} <= set(reached)


def test_a_filter_is_typed_and_sent_by_keyboard(page: Page) -> None:
    page.evaluate("document.querySelector('input[name=q]').focus()")
    page.keyboard.type("nightly-17")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert (
        page.evaluate("[...document.querySelectorAll('main td a')].map(a => a.textContent)") == ["etl/nightly-17"] * 2
    )
    assert page.evaluate("document.querySelector('input[name=q]').value") == "nightly-17"


def test_filters_are_chosen_from_lists_and_leave_what_they_name(chromium: Browser) -> None:
    scheduled = profile(2)
    scheduled["status"]["summary"]["target"] = "CronJob/nightly-2"
    profiles = (profile(0, recommendations=[recommendation(severity="High")]), profile(1), scheduled)
    left = {
        "severity": ("High", "etl/nightly-0"),
        "label": ("team=ml", "etl/nightly-1"),
        "kind": ("CronJob", "etl/nightly-2"),
    }
    with dashboard(memory(*profiles)) as served, tab(chromium) as page:
        page.goto(served.entrance)
        for name, (choice, workflow) in left.items():
            page.goto(served.url)
            assert page.locator("[aria-label='All workflows'] tbody tr").count() == 3
            page.locator(f"select[name={name}]").select_option(choice)
            follow(page, "button:text-is('Show')")
            shown = page.locator("[aria-label='All workflows'] td:first-child a").all_text_contents()
            assert shown == [workflow], name
            assert page.locator(f"select[name={name}]").input_value() == choice


def test_lists_are_paged_and_sorted_by_links(page: Page) -> None:
    follow(page, "a[rel=next]")
    assert "51 to 61 of 61" in page.evaluate("document.querySelector('nav.pages').textContent")
    follow(page, "th a:text-matches('^Workflow')")
    names = page.evaluate(
        "[...document.querySelectorAll('[aria-label=\"All workflows\"] td:first-child a')].map(a => a.textContent)"
    )
    assert names == sorted(names, key=lambda n: n.partition("/")[2])
    assert len(names) == 50


def test_a_workflow_is_reached_and_its_run_chosen(page: Page, running: Dashboard) -> None:
    page.goto(f"{running.url}/workflows/demo/nightly")
    assert page.evaluate("document.querySelectorAll('svg .edge.critical').length") >= 2
    assert page.evaluate("document.querySelectorAll('svg .point').length") == 1
    page.evaluate("document.querySelector('select[name=run]').value = 'run-28'")
    submit(page, "form:has(select[name=run])")
    assert page.evaluate("document.querySelector('select[name=run]').value") == "run-28"
    shown = page.url
    page.goto(f"{running.url}/workflows/demo/nightly")
    assert page.evaluate("[...document.links].filter(a => a.textContent.startsWith('Compare with')).length") == 0, (
        "the typical run is not compared with itself"
    )
    page.goto(shown)
    follow(page, "a:text-matches('^Compare with')")
    assert "run-28 took" in page.evaluate("document.querySelector('.notice').textContent")


def test_a_slider_says_its_value_and_the_replay_answers(page: Page, running: Dashboard) -> None:
    page.goto(f"{running.url}/workflows/demo/nightly")
    page.evaluate("document.querySelector('input[name=\"scale.train\"]').focus()")
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.parentElement.querySelector('output').value") == "0.5"
    submit(page, "form:has(input[name='scale.train'])")
    said = page.evaluate("document.querySelector('p[role=status]').textContent")
    assert said == "7m31s (45%) shorter per run, 90% interval 7m09s to 7m52s, over the newest 11 runs."
    assert page.evaluate("document.querySelector('input[name=\"scale.train\"]').value") == "0.5"


def test_a_slider_that_was_moved_is_replayed_at_once(page: Page, running: Dashboard) -> None:
    """Without sending the form."""
    heard = complaints(page)
    page.goto(f"{running.url}/workflows/demo/nightly")
    assert "Nothing is changed yet" in page.evaluate("document.getElementById('replayed').textContent")
    seconds = page.evaluate("""new Promise((done, failed) => {
      const slider = document.querySelector("input[name='scale.train']"), begun = performance.now();
      const answer = document.getElementById("replayed");
      new MutationObserver(() => done((performance.now() - begun) / 1000)).observe(answer, {childList: true, subtree: true});
      setTimeout(() => failed("no answer"), 20000);
      slider.value = 0.5;
      slider.dispatchEvent(new Event("change", {bubbles: true}));
    })""")
    print("seconds from slider to answer:", seconds)
    said = page.evaluate("document.getElementById('replayed').textContent")
    assert said == "7m31s (45%) shorter per run, 90% interval 7m09s to 7m52s, over the newest 11 runs."
    assert page.evaluate("location.search") == ""
    assert heard == []


def test_a_replay_that_takes_long_is_said_to_run(page: Page, running: Dashboard) -> None:
    def late(route: Route) -> None:
        time.sleep(1.5)
        route.continue_()

    page.goto(f"{running.url}/workflows/demo/nightly")
    page.route("**/what-if?*", late)
    texts = page.evaluate("""new Promise((done, failed) => {
      const slider = document.querySelector("input[name='scale.train']"), texts = [];
      const answer = document.getElementById("replayed");
      new MutationObserver(() => {
        texts.push(answer.textContent);
        if (texts.length === 2) done(texts);
      }).observe(answer, {childList: true, subtree: true});
      setTimeout(() => failed("no answer"), 20000);
      slider.value = 0.5;
      slider.dispatchEvent(new Event("change", {bubbles: true}));
    })""")
    assert texts[0] == "Replaying…"
    assert texts[1].startswith("7m31s (45%) shorter")


def test_the_workflow_page_holds_what_its_guide_lists(page: Page, running: Dashboard) -> None:
    """Every item of docs/dashboard.md by what is drawn, not by its heading."""
    page.goto(f"{running.url}/workflows/demo/nightly")
    count = lambda css: page.evaluate(f"document.querySelectorAll({css!r}).length")  # noqa: E731
    text = page.evaluate("document.querySelector('main').innerText")
    assert count("svg[aria-label^='Step graph'] rect.node.critical") >= 2
    assert count("svg[aria-label^='Gantt chart'] rect.bar.critical") >= 1
    assert "(typical)" in page.evaluate("document.querySelector('select[name=run]').selectedOptions[0].textContent")
    shown = page.evaluate(
        "[...document.querySelectorAll('[aria-label=\"Time split\"] tbody tr')].map(r => r.innerText)"
    )
    assert [row.partition("\t")[0] for row in shown] == [
        "execution", "startup", "scheduling latency",
    ]  # fmt: skip
    assert "Critical path: " in text
    assert count("svg[aria-label^='Durations'] circle.dot") >= 10
    assert count("svg[aria-label^='Durations'] line.point") == 1
    assert re.search(r"Since \d{4}-\d\d-\d\d \d\d:\d\d UTC: \+\d+%", text)
    for line in ("request", "proposed"):
        assert count(f"[aria-label='Usage'] line.{line}") >= 1, line
    assert count("input[type=range]") >= 2
    assert count("pre[data-copy] + button") >= 1
    assert "Changes: predicted and measured effect" in text
    assert page.evaluate("[...document.querySelectorAll('[aria-label=Changes] th')].map(e => e.textContent)") == [
        "Since", "What", "State", "Predicted", "Measured", "Message",
    ]  # fmt: skip


def test_words_are_not_broken_where_there_is_room(chromium: Browser, running: Dashboard) -> None:
    """One line for an outcome, a severity and a risk, also on a phone; tables scroll sideways in their own frame."""
    broken = (
        "[...document.querySelectorAll('td')].filter(e => /^[A-Z][a-z]{2,9}$/.test(e.textContent.trim())"
        " && e.getBoundingClientRect().height > 45 && [...e.parentElement.children].every(o =>"
        " o === e || o.scrollHeight < e.scrollHeight)).map(e => e.textContent)"
    )
    for width in (360, 1280):
        with tab(chromium, width, 800) as page:
            page.goto(running.entrance)
            for path in ("/", "/workflows/demo/nightly"):
                page.goto(running.url + path)
                assert page.evaluate(broken) == []


def test_behind_a_proxy_that_logs_people_in_a_browser_needs_no_token(chromium: Browser) -> None:
    """The pages of the cluster, with the session's cookie alone: page, script, style, and the replay of a slider."""
    flow, found = analysed()
    harness = TwoTenants([flow, profile(1, namespace="other")], documents={flow["metadata"]["uid"]: found})
    harness.person("of-alice", "demo")
    tokens = {"alice": "of-alice"}
    with in_cluster(harness) as pages, login(pages.pages.url, tokens) as address, tab(chromium) as page:
        heard = complaints(page)
        page.goto(f"{address}/workflows/demo/nightly")
        assert page.evaluate("location.pathname") == SIGN_IN
        page.evaluate("document.querySelector('input').value = 'alice'")
        submit(page, "form")
        assert page.evaluate("location.pathname") == "/"
        links = page.evaluate("[...document.querySelectorAll('tbody td a')].map(a => a.textContent)")
        assert set(links) == {"demo/nightly-etl"}
        assert "other/" not in page.evaluate("document.body.innerText")
        page.goto(f"{address}/workflows/demo/nightly")
        page.evaluate("""(() => { const slider = document.querySelector("input[name='scale.train']");
          slider.value = 0.5; slider.dispatchEvent(new Event("change", {bubbles: true})); })()""")
        said = "document.getElementById('replayed').textContent"
        wait_for("the replay", lambda: "7m31s (45%) shorter" in page.evaluate(said))
        assert heard == []


def test_the_trend_is_zoomed_by_keyboard_and_by_dragging(page: Page, running: Dashboard) -> None:
    """What the server draws stays; the chart that zooms says in words which runs it shows."""
    heard = complaints(page)
    page.goto(f"{running.url}/workflows/demo/nightly")
    drawn = page.locator("[data-trend] svg circle").count()
    opener = page.get_by_role("button", name="Zoom in on a period")
    opener.focus()
    page.keyboard.press("Enter")
    said = page.locator("#trend-panel [role=status]")
    expect(said).to_contain_text(f"{drawn} of {drawn} runs")
    assert page.locator("#trend-panel canvas").count() == 1
    page.get_by_role("button", name="Zoom in", exact=True).press("Enter")
    expect(said).not_to_contain_text(f"{drawn} of {drawn} runs")
    half = int(said.inner_text().split()[0])
    assert 0 < half < drawn
    page.get_by_role("button", name="Later").press("Enter")
    page.get_by_role("button", name="Whole period").press("Enter")
    expect(said).to_contain_text(f"{drawn} of {drawn} runs")
    box = page.locator("#trend-panel .u-over").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 50, steps=5)
    page.mouse.up()
    expect(said).not_to_contain_text(f"{drawn} of {drawn} runs")
    assert 0 < int(said.inner_text().split()[0]) < drawn
    accessible(page)
    assert page.evaluate(CONTRAST) == []
    assert heard == []
    opener.press("Enter")
    assert page.locator("#trend-panel").is_hidden()


def test_a_chart_library_that_was_altered_is_not_run(page: Page, running: Dashboard) -> None:
    page.route(
        "**/static/uplot.min.js", lambda route: route.fulfill(body="window.altered = 1", content_type="text/javascript")
    )
    page.goto(f"{running.url}/workflows/demo/nightly")
    assert page.evaluate("[typeof window.altered, typeof window.uPlot]") == ["undefined", "undefined"]
    assert page.locator("[data-trend] svg circle").count() > 0


def test_a_patch_is_copied_by_a_button(page: Page, running: Dashboard) -> None:
    page.goto(f"{running.url}/workflows/demo/nightly")
    page.evaluate("document.querySelector('pre[data-copy] + button').click()")
    state = "new Promise(r => setTimeout(() => r(document.querySelector('span[role=status]').textContent), 300))"
    assert page.evaluate(state).strip() in ("copied", "selected: press Ctrl+C")


@pytest.mark.parametrize("path", [PAGES[0], PAGES[2], PAGES[4]])
def test_pages_say_the_same_without_scripts(chromium: Browser, running: Dashboard, path: str) -> None:
    texts = []
    for enabled in (True, False):
        with tab(chromium, scripts=enabled) as page:
            page.goto(running.entrance)
            page.goto(running.url + path)
            if enabled:
                page.evaluate("document.querySelectorAll('.scripted').forEach(e => e.remove())")
            html = page.content()
        texts.append(
            re.sub(r'<button type="button">.*?</span>|<span[^>]*role="status".*?</span>', "", html, flags=re.S)
        )
    assert texts[0] == texts[1]


def test_nothing_of_a_cluster_is_ever_run(chromium: Browser) -> None:
    changes = tuple(
        change(
            i, profile=f"hostile-{i}", conditions=[{"type": "Approved", "message": attack}], predicted={"text": attack}
        )
        for i, attack in enumerate(HOSTILE)
    )
    flow, found = analysed(step_name=HOSTILE[0])
    reader = memory(*hostile(), flow, changes=changes, notes=HOSTILE, details={("demo", "nightly"): found})
    with dashboard(reader) as served, tab(chromium) as page:
        heard = complaints(page)
        page.goto(served.entrance)
        paths = ["/", "/workflows/demo/nightly", "/workflows/demo/nightly/compare"]
        for path in [*paths, *(f"/workflows/etl/hostile-{i}" for i in range(len(HOSTILE)))]:
            page.goto(served.url + path)
            page.evaluate("new Promise(r => setTimeout(r, 50))")
            assert page.evaluate("document.title") != "owned", path
            scripts = page.evaluate("[...document.scripts].map(s => s.getAttribute('src'))")
            assert set(scripts) <= {"/static/page.js", "/static/trend.js", "/static/uplot.min.js"}, path
            assert page.evaluate("document.querySelectorAll('img, iframe, [onerror], [onload]').length") == 0, path
        assert heard == [], "even the policy had nothing to stop"


def test_the_report_is_styled_under_its_own_policy_and_runs_nothing(chromium: Browser, tmp_path: Path) -> None:
    scope = ReportScope(NOW - 30 * 86400.0, NOW, "cluster", "All namespaces", "team")
    file = tmp_path / "report.html"
    file.write_text(
        document(period_report(FleetView((*hostile(), profile()), (), NOW), scope, notes=(), priced=()), "html")
    )
    for width in (1280, 360):
        with tab(chromium, width) as page:
            heard = complaints(page)
            page.goto(file.as_uri())
            assert page.evaluate("getComputedStyle(document.querySelector('table')).borderCollapse") == "collapse", (
                "the style is applied"
            )
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate("document.scripts.length") == 0
            assert page.evaluate(CONTRAST) == []
            assert page.evaluate("document.title") != "owned"
            assert heard == []


def test_the_screenshots_of_the_docs_are_of_these_pages(
    chromium: Browser, pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    """The pages of the demo's recording, as docs/try.md shows them."""
    folder = IMAGES if pytestconfig.getoption("--update-golden") else tmp_path
    command = [
        sys.executable,
        "-m",
        "concertmaster",
        "dashboard",
        "--no-open",
        "--facts",
        "examples/facts/demo.jsonl.gz",
    ]
    paths = {**os.environ, "PYTHONPATH": str(ROOT / "operator")}
    with subprocess.Popen(command, cwd=ROOT, env=paths, stdout=subprocess.PIPE, text=True) as served:
        try:
            assert served.stdout is not None
            entrance = served.stdout.readline().removeprefix("Dashboard: ").strip()
            with tab(chromium) as page:
                page.goto(entrance)
                screenshot(page, folder / "dashboard-fleet.png")
                page.goto(f"{entrance.partition('/?')[0]}/workflows/demo/wftmpl-blast-search")
                graph = page.evaluate(
                    "[...document.querySelectorAll('h2')].find(e => e.textContent === 'Graph').offsetTop"
                )
                page.evaluate(
                    f"document.body.style.marginTop = '-{graph - 20}px'; document.body.style.overflow = 'visible'"
                )
                screenshot(page, folder / "dashboard-workflow.png")
        finally:
            served.terminate()
    for name in ("dashboard-fleet.png", "dashboard-workflow.png"):
        assert (folder / name).stat().st_size > 20_000
        assert (IMAGES / name).is_file(), "write it with --update-golden"
