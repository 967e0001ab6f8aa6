// Charts: curves of one run or several, and class shares. Plotly comes from the installed Python package.

import { Problem, number, whole } from "./parts.js";

const DASHES = ["solid", "dash", "dot"];
const COLOURS = ["--one", "--two", "--three", "--four", "--five", "--six", "--seven", "--eight"];
const SYMBOLS = ["circle", "square", "diamond", "cross", "triangle-up", "star", "x", "pentagon"];

let loading = null;
export function plotly() {
  loading ??= new Promise((done, failed) => {
    const script = Object.assign(document.createElement("script"), { src: "plotly.js" });
    script.onload = () => done(window.Plotly);
    script.onerror = () => { loading = null; failed(new Problem("Plotly could not be loaded", 0)); };
    document.head.append(script);
  });
  return loading;
}

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const faded = (colour) => `${colour}33`;

function layout({ percent, atLeast = 0, xTitle = "step", end }) {
  const axis = { gridcolor: style("--rule"), zerolinecolor: style("--rule"), linecolor: style("--rule"), fixedrange: true };
  return {
    margin: { l: 48, r: 12, t: 8, b: 34 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: style("--soft"), size: 12, family: "system-ui, sans-serif" },
    hoverlabel: { bgcolor: style("--card"), font: { color: style("--ink") }, namelength: -1 },
    hovermode: "x unified",
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, font: { size: 11 } },
    xaxis: { ...axis, title: { text: xTitle, standoff: 2 }, range: end ? [0, end] : undefined, rangemode: "tozero" },
    yaxis: { ...axis, tickformat: percent ? ".0%" : undefined, rangemode: "tozero",
      ...(percent && atLeast === 1 ? { range: [0, 1.03] } : {}) },
    shapes: [],
  };
}

// Plotly interprets markup such as <b> and <a href> in all text. Names of runs and classes are untrusted: escape them.
function plain(value) {
  if (typeof value === "string") return value.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, plain(one)]));
}

const react = (Plotly, place, traces, made) => Plotly.react(place, plain(traces), plain(made), { displayModeBar: false, responsive: true });

const upright = (at, colour, dash) => ({ type: "line", x0: at, x1: at, y0: 0, y1: 1, yref: "paper", line: { color: colour, width: 1, dash } });

// Draws one chart of a run. `at` marks the step that is shown.
export async function curves(place, chart, { end, at }) {
  const Plotly = await plotly(), traces = [];
  chart.lines.forEach((line, i) => {
    const colour = style(COLOURS[i]);
    if (line.steps.length > 60)
      traces.push({ x: [...line.steps, ...line.steps.slice().reverse()], y: [...line.high, ...line.low.slice().reverse()],
        fill: "toself", fillcolor: faded(colour), line: { width: 0 }, mode: "lines", hoverinfo: "skip", showlegend: false });
    traces.push({ x: line.steps, y: line.values, name: line.label, mode: line.steps.length < 40 ? "lines+markers" : "lines",
      line: { color: colour, dash: DASHES[i % 3], width: 2 }, marker: { symbol: SYMBOLS[i], size: 5 } });
  });
  if (chart.level) traces.push({ x: [0, end], y: [chart.level.value, chart.level.value], name: chart.level.label, mode: "lines",
    line: { color: style("--soft"), dash: "dashdot", width: 1.3 } });
  if (chart.best) traces.push({ x: [chart.best.step], y: [chart.best.value], name: "best", mode: "markers", cliponaxis: false,
    marker: { symbol: "circle-open", size: 12, color: style("--ink"), line: { width: 2 } } });
  const made = layout({ percent: chart.percent, atLeast: chart.at_least, end });
  if (chart.alarms.length) {
    const top = Math.max(...chart.lines.flatMap((line) => line.high));
    traces.push({ x: chart.alarms.map((alarm) => alarm.step), y: chart.alarms.map(() => top), text: chart.alarms.map((alarm) => alarm.text),
      name: "alarm", mode: "markers", cliponaxis: false, hoverinfo: "text", marker: { symbol: "triangle-down", size: 12, color: style("--alarm") } });
    made.shapes.push(...chart.alarms.map((alarm) => upright(alarm.step, style("--alarm"), "dot")));
  }
  if (at != null) made.shapes.push(upright(at, style("--soft"), "solid"));
  await react(Plotly, place, traces, made);
  describe(place, chart.title, chart.lines.map((line) => [line.label, line.values]), chart.percent);
}

// Draws the same chart of several runs, over steps or seconds.
export async function beside(place, title, runs, by) {
  const Plotly = await plotly(), traces = [], described = [];
  let chosen = null;
  runs.forEach(({ name, chart }, i) => {
    if (!chart) return;
    chosen = chart;
    chart.lines.forEach((line, j) => {
      const label = chart.lines.length > 1 ? `${name}: ${line.label}` : name;
      described.push([label, line.values]);
      traces.push({ x: line[by], y: line.values, name: label, mode: line.steps.length < 40 ? "lines+markers" : "lines",
        line: { color: style(COLOURS[i % COLOURS.length]), dash: DASHES[j % 3], width: 2 }, marker: { symbol: SYMBOLS[i % 8], size: 5 } });
    });
  });
  const made = layout({ percent: chosen.percent, atLeast: chosen.at_least, xTitle: by === "steps" ? "step" : "seconds of training" });
  await react(Plotly, place, traces, made);
  describe(place, title, described, chosen.percent);
}

// Draws the class shares of samples and data, with the 95% bands of a perfectly balanced generator.
export async function classes(place, { names, shares, due, bands }) {
  const Plotly = await plotly(), made = layout({ percent: true, xTitle: "" });
  made.xaxis.type = "category";
  const traces = [
    { type: "bar", x: names, y: shares, name: "samples", marker: { color: style("--one") } },
    { type: "scatter", mode: "markers", x: names, y: due, name: "data, with 95% band", marker: { color: style("--ink"), symbol: "line-ew-open", size: 14, line: { width: 2 } },
      error_y: { type: "data", symmetric: false, array: bands.map(([, high], i) => high - due[i]), arrayminus: bands.map(([low], i) => due[i] - low), color: style("--soft"), thickness: 1.5 } },
  ];
  await react(Plotly, place, traces, made);
  place.setAttribute("role", "img");
  place.setAttribute("aria-label", names.map((name, i) => `${name}: ${number(shares[i], true)} of the samples, ${number(due[i], true)} of the data`).join("; "));
}

function describe(place, title, lines, percent) {
  place.setAttribute("role", "img");
  place.setAttribute("aria-label", `${title}: ` + lines.filter(([, values]) => values.length).map(([label, values]) =>
    `${label} from ${number(values[0], percent)} to ${number(values.at(-1), percent)}`).join("; "));
}

// Frees a chart that is no longer shown.
export const forget = (place) => window.Plotly && window.Plotly.purge(place);
