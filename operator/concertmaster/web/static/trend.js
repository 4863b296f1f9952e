"use strict";
// The trend as the server draws it stays. With scripts it opens into a chart whose period is chosen with buttons or by dragging.
const STEPS = [0.1, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800];
for (const place of document.querySelectorAll("[data-trend]")) {
  const {runs, changes} = JSON.parse(place.dataset.trend);
  const times = runs.map(run => run[0]);
  const where = outcome => runs.map(run => ((run[2] === "Failed") === outcome ? run[1] : null));
  const first = times[0], last = Math.max(times[times.length - 1], first + 1), margin = (last - first) / 50;

  const duration = seconds => {
    if (seconds == null) return "–";
    const parts = [[86400, "d"], [3600, "h"], [60, "m"], [1, "s"]].flatMap(([size, unit]) => {
      const count = Math.floor(seconds / size);
      seconds -= count * size;
      return count ? [`${count}${unit}`] : [];
    });
    return parts.slice(0, 2).join(" ") || "0s";
  };
  const moment = time => `${new Date(1000 * time).toISOString().slice(0, 16).replace("T", " ")} UTC`;
  const colour = name => getComputedStyle(place).getPropertyValue(name);

  const make = (name, text) => Object.assign(document.createElement(name), {textContent: text ?? ""});
  const panel = make("div"), tools = make("p"), status = make("p"), drawing = make("div");
  panel.hidden = true;
  panel.id = "trend-panel";
  status.setAttribute("role", "status");
  drawing.setAttribute("aria-hidden", "true"); // what it shows is in the status, in the drawing above and in the list of runs
  panel.append(tools, status, drawing);
  const open = make("button", "Zoom in on a period");
  open.type = "button";
  open.setAttribute("aria-expanded", "false");
  open.setAttribute("aria-controls", panel.id);
  const added = make("div"); // with scripts only
  added.className = "scripted";
  added.append(open, panel);
  place.append(added);

  let chart = null;
  const say = (low, high) => {
    const shown = runs.filter(run => run[0] >= low && run[0] <= high);
    const done = shown.filter(run => run[2] !== "Failed").map(run => run[1]).sort((a, b) => a - b); // as the page's own median
    const failed = shown.filter(run => run[2] === "Failed").length;
    const middle = done.length ? (done[(done.length - 1) >> 1] + done[done.length >> 1]) / 2 : null;
    status.textContent = `${shown.length} of ${runs.length} runs, ${failed} failed, median ${duration(middle)}, ` +
      `${moment(Math.max(low, first))} to ${moment(Math.min(high, last))}`;
  };
  const show = (low, high) => chart.setScale("x", {min: low, max: high});
  const scaled = (factor, shift) => () => {
    const {min, max} = chart.scales.x, half = factor * (max - min) / 2, middle = (min + max) / 2 + shift * (max - min);
    show(middle - half, middle + half);
  };
  for (const [text, act] of [
    ["Zoom in", scaled(0.5, 0)], ["Zoom out", scaled(2, 0)], ["Earlier", scaled(1, -0.25)], ["Later", scaled(1, 0.25)],
    ["Whole period", () => show(first - margin, last + margin)],
  ]) {
    const button = make("button", text);
    button.type = "button";
    button.addEventListener("click", act);
    tools.append(button, " ");
  }

  const draw = () => {
    const ink = () => colour("--ink"), axis = {stroke: ink, grid: {stroke: () => colour("--line"), width: 1}, ticks: {show: false}};
    const dots = (label, name) => ({
      label, paths: () => null, stroke: () => colour(name), value: (_, seconds) => duration(seconds),
      points: {show: true, size: 6, fill: () => colour(name)},
    });
    const marks = self => {
      const {ctx, bbox} = self;
      ctx.save();
      ctx.strokeStyle = colour("--critical");
      ctx.setLineDash([6, 4]);
      for (const at of changes) {
        const x = self.valToPos(at, "x", true);
        if (x < bbox.left || x > bbox.left + bbox.width) continue;
        ctx.beginPath();
        ctx.moveTo(x, bbox.top);
        ctx.lineTo(x, bbox.top + bbox.height);
        ctx.stroke();
      }
      ctx.restore();
    };
    return new uPlot({
      width: Math.max(280, Math.min(920, place.clientWidth)), height: 260,
      tzDate: time => uPlot.tzDate(new Date(1000 * time), "Etc/UTC"),
      scales: {x: {min: first - margin, max: last + margin}, y: {range: (_, low, high) => [0, Math.max(high ?? 0, 1e-3) * 1.08]}},
      axes: [
        {...axis, space: 100, values: (_, ticks, __, ___, step) => ticks.map(time => moment(time).slice(5, step < 86400 ? 16 : 10))},
        {...axis, size: 70, incrs: STEPS, values: (_, ticks) => ticks.map(duration)},
      ],
      series: [{label: "Run ended", value: (_, time) => (time == null ? "–" : moment(time))}, dots("Duration", "--fill"), dots("Failed", "--bad")],
      hooks: {draw: [marks], setScale: [(self, key) => { if (key === "x") say(self.scales.x.min, self.scales.x.max); }]},
    }, [times, where(false), where(true)], drawing);
  };
  open.addEventListener("click", () => {
    panel.hidden = !panel.hidden;
    open.setAttribute("aria-expanded", String(!panel.hidden));
    if (chart === null) chart = draw();
  });
  new ResizeObserver(() => chart?.setSize({width: Math.max(280, Math.min(920, place.clientWidth)), height: 260})).observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => chart?.redraw());
}
