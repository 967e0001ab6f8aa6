// RUNS SIDE BY SIDE: their pictures at the same step or the same time, their curves in one, and how their recipes differ.

import { beside, forget, plotly } from "./charts.js";
import { follow } from "./connection.js";
import { breakable, duration, get, h, number, stateWords, whole } from "./parts.js";

export const MOST_COMPARED = 8;

export function compareView(main, trail, asked) {
  const keys = asked.slice(0, MOST_COMPARED);
  document.title = "Sparring: compare";
  trail.replaceChildren(h("a", { href: "#/" }, "runs"), " / side by side");
  const slider = h("input", { type: "range", min: 0, max: 1000, value: 1000, "aria-label": "how far in training" });
  const radio = (by, words) => h("label", {}, h("input", { type: "radio", name: "by", value: by, checked: by === "steps", onchange: () => { unit = by; showWords(); showCharts(); } }), ` ${words}`);
  const left = h("p", { class: "note", hidden: asked.length <= MOST_COMPARED }, `Of ${asked.length} runs the first ${MOST_COMPARED} are compared: more are not told apart.`);
  const where = h("p", { class: "quiet", role: "status" }), columns = h("div", { class: "pictures" }), charts = h("div", { class: "charts" });
  const table = h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "how the recipes differ" }), drawn = new Map(), faces = new Map();
  let runs = [], differences = {}, unit = "steps";

  main.replaceChildren(h("h1", {}, "Side by side"), left, h("fieldset", { class: "row" }, h("legend", {}, "After"), radio("steps", "the same number of steps"), radio("seconds", "the same time of training")),
    slider, where, columns, h("h2", {}, "Curves"), charts, h("h2", {}, "How the recipes differ"), table);
  slider.addEventListener("input", showPictures);

  const far = (run) => (unit === "steps" ? run.step : (run.seconds ?? 0));

  function showPictures() {
    const most = Math.max(1, ...runs.map(far)), wanted = (slider.value / 1000) * most;
    where.textContent = unit === "steps" ? `after ${whole(wanted)} steps` : `after ${duration(wanted)} of training`;
    slider.setAttribute("aria-valuetext", where.textContent);
    for (const run of runs) {
      const face = faces.get(run.id), places = run.grids[unit];
      const place = places.reduce((best, value, i) => (Math.abs(value - wanted) < Math.abs(places[best] - wanted) ? i : best), 0);
      const source = places.length ? `api/runs/${run.id}/grids/${run.grids.steps[place]}.png?v=${run.began}` : "";
      if (face.shown === source) continue;
      face.shown = source;
      face.picture.hidden = !source;
      if (source) face.picture.src = source;
      face.picture.alt = source ? `samples of ${run.name} after step ${run.grids.steps[place]}` : "";
      face.caption.textContent = source ? `step ${whole(run.grids.steps[place])}, ${duration(run.grids.seconds[place])}` : "no samples yet";
    }
  }

  function showFaces() {
    for (const run of runs) {
      if (!faces.has(run.id)) {
        const picture = h("img", { hidden: true }), caption = h("figcaption"), state = h("p", { class: "note" });
        const element = h("figure", { class: "picture" }, h("h3", {}, h("a", { href: `#/run/${run.id}` }, run.name)), state, picture, caption);
        faces.set(run.id, { picture, caption, state, element });
        columns.append(element);
      }
      const words = stateWords(run);
      faces.get(run.id).state.textContent = `${words.text}, ${words.more}; best distance ${number(run.score)}`;
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

  function showWords() {
    showFaces();
    showPictures();
    showTable();
  }

  async function look() {
    const found = await Promise.allSettled(keys.map((key) => get(`api/runs/${key}`)));
    runs = found.filter(({ status }) => status === "fulfilled").map(({ value }) => value);
    if (runs.length < 2) return () => { where.textContent = "Fewer than two of these runs are there."; };
    ({ differences } = await get(`api/compare?runs=${runs.map((run) => run.id).join(",")}`));
    showWords();
    await plotly();
    return showCharts;
  }

  const stop = follow("api/changes", look);
  return () => { stop(); drawn.forEach(forget); };
}
