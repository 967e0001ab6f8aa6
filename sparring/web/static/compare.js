// The compare view: samples at the same step or time, curves in common charts, and differences of the recipes.

import { beside, forget, plotly } from "./charts.js";
import { follow } from "./connection.js";
import { breakable, duration, get, h, number, stateWords, whole } from "./parts.js";

export const MAX_COMPARED = 8;

export function compareView(main, trail, asked) {
  const keys = asked.slice(0, MAX_COMPARED);
  document.title = "Sparring: compare";
  trail.replaceChildren(h("a", { href: "#/" }, "runs"), " / compare");
  const slider = h("input", { type: "range", min: 0, max: 1000, value: 1000, "aria-label": "progress of training" });
  const radio = (by, words) => h("label", {}, h("input", { type: "radio", name: "by", value: by, checked: by === "steps", onchange: () => { unit = by; showText(); showCharts(); } }), ` ${words}`);
  const left = h("p", { class: "note", hidden: asked.length <= MAX_COMPARED }, `The first ${MAX_COMPARED} of ${asked.length} runs are compared; more cannot be told apart by colour.`);
  const where = h("p", { class: "quiet", role: "status" }), columns = h("div", { class: "pictures" }), charts = h("div", { class: "charts" });
  const table = h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "differences of the recipes" }), drawn = new Map(), columnsOf = new Map();
  let runs = [], differences = {}, unit = "steps";

  main.replaceChildren(h("h1", {}, "Compare"), left, h("fieldset", { class: "row" }, h("legend", {}, "After"), radio("steps", "the same number of steps"), radio("seconds", "the same training time")),
    slider, where, columns, h("h2", {}, "Curves"), charts, h("h2", {}, "Differences of the recipes"), table);
  slider.addEventListener("input", showPictures);

  const progressOf = (run) => (unit === "steps" ? run.step : (run.seconds ?? 0));

  function showPictures() {
    const most = Math.max(1, ...runs.map(progressOf)), target = (slider.value / 1000) * most;
    where.textContent = unit === "steps" ? `after ${whole(target)} steps` : `after ${duration(target)} of training`;
    slider.setAttribute("aria-valuetext", where.textContent);
    for (const run of runs) {
      const column = columnsOf.get(run.id), places = run.grids[unit];
      const place = places.reduce((best, value, i) => (Math.abs(value - target) < Math.abs(places[best] - target) ? i : best), 0);
      const source = places.length ? `api/runs/${run.id}/grids/${run.grids.steps[place]}.png?v=${run.began}` : "";
      if (column.shown === source) continue;
      column.shown = source;
      column.picture.hidden = !source;
      if (source) column.picture.src = source;
      column.picture.alt = source ? `samples of ${run.name} after step ${run.grids.steps[place]}` : "";
      column.caption.textContent = source ? `step ${whole(run.grids.steps[place])}, ${duration(run.grids.seconds[place])}` : "no samples yet";
    }
  }

  function showColumns() {
    for (const run of runs) {
      if (!columnsOf.has(run.id)) {
        const picture = h("img", { hidden: true }), caption = h("figcaption"), state = h("p", { class: "note" });
        const element = h("figure", { class: "picture" }, h("h3", {}, h("a", { href: `#/run/${run.id}` }, run.name)), state, picture, caption);
        columnsOf.set(run.id, { picture, caption, state, element });
        columns.append(element);
      }
      const words = stateWords(run);
      columnsOf.get(run.id).state.textContent = `${words.text}, ${words.more}; best distance ${number(run.score)}`;
    }
  }

  function showTable() {
    const rows = Object.entries(differences);
    table.replaceChildren(h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "setting"), ...runs.map((run) => h("th", { scope: "col" }, run.name)))),
      h("tbody", {}, ...(rows.length ? rows : [["all settings are the same", runs.map(() => "")]]).map(([name, values]) =>
        h("tr", { class: rows.length ? "differs" : "" }, h("th", { scope: "row" }, ...breakable(name)), ...values.map((value) => h("td", {}, value === null ? "–" : String(value))))))));
  }

  async function showCharts() {
    const titles = [...new Set(runs.flatMap((run) => run.charts.map((chart) => chart.title)))];
    for (const title of titles) {
      if (!drawn.has(title)) {
        const place = h("div", { class: "chart" });
        drawn.set(title, place);
        charts.append(h("figure", { class: "card" }, h("h3", {}, title), place));
      }
      await beside(drawn.get(title), title, runs.map((run) => ({ name: run.name, chart: run.charts.find((chart) => chart.title === title) })), unit);
    }
  }

  function showText() {
    showColumns();
    showPictures();
    showTable();
  }

  async function look() {
    const found = await Promise.allSettled(keys.map((key) => get(`api/runs/${key}`)));
    runs = found.filter(({ status }) => status === "fulfilled").map(({ value }) => value);
    if (runs.length < 2) return () => { where.textContent = "Fewer than two of these runs exist."; };
    ({ differences } = await get(`api/compare?runs=${runs.map((run) => run.id).join(",")}`));
    showText();
    await plotly();
    return showCharts;
  }

  const stop = follow("api/changes", look);
  return () => { stop(); drawn.forEach(forget); };
}
