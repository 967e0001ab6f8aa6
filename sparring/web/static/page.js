// Chooses the view by the part of the address after #, and implements the list of runs.

import { MAX_COMPARED, compareView } from "./compare.js";
import { exploreView } from "./explore.js";
import { follow } from "./connection.js";
import { duration, get, h, number, stateWords, whole } from "./parts.js";
import { runView } from "./run.js";

const main = document.getElementById("main"), trail = document.getElementById("trail");
const isKey = (word) => /^[0-9a-f]{16}$/.test(word);
let leave = () => {};

function show() {
  leave();
  leave = () => {};
  main.replaceChildren(h("p", { class: "quiet" }, "Loading …"));
  const [, what = "", key = "", part = ""] = location.hash.split("/"), keys = key.split(",").filter(isKey);
  trail.replaceChildren();
  if (what === "run" && isKey(key)) leave = (part === "explore" ? exploreView : runView)(main, trail, key);
  else if (what === "compare" && keys.length) leave = compareView(main, trail, keys);
  else leave = runsView();
  main.focus({ preventScroll: true });
  scrollTo(0, 0);
}

// ------------------------------------------------------------------------------------------------ the list of runs

function runsView() {
  document.title = "Sparring: runs";
  const list = h("ul", { class: "cards" }), title = h("h1", {}, "Runs"), selected = new Set(), cards = new Map();
  const compare = h("button", { type: "button", onclick: () => { location.hash = `#/compare/${[...selected].join(",")}`; } }, "Compare");
  const bar = h("div", { class: "bar row", hidden: true }, compare, h("span", { class: "quiet" }, "shows the selected runs side by side"));
  const empty = h("p", { class: "quiet" });
  let first = true;

  function select(key, box) {
    if (box.checked) selected.add(key); else selected.delete(key);
    bar.hidden = selected.size === 0;
    compare.disabled = selected.size < 2 || selected.size > MAX_COMPARED;
    compare.textContent = selected.size < 2 ? "Select two or more" : selected.size > MAX_COMPARED ? `Select at most ${MAX_COMPARED}` : `Compare ${selected.size} runs`;
  }

  async function look() {
    const found = await get("api/runs");
    return () => showAll(found);
  }

  function showAll({ folder, runs }) {
    if (runs.length === 1 && first) {
      location.replace(`#/run/${runs[0].id}`); // the only run
      return;
    }
    first = !runs.length;
    title.textContent = runs.length ? `${runs.length} run${runs.length > 1 ? "s" : ""} in ${folder}` : `No runs in ${folder} yet`;
    empty.textContent = runs.length ? "" : "Start one with sparring train; it appears here at once.";
    for (const key of [...cards.keys()]) if (!runs.some((run) => run.id === key)) {
      cards.get(key).element.remove();
      cards.delete(key);
      if (selected.delete(key)) bar.hidden = selected.size === 0;
    }
    runs.forEach((run, i) => {
      if (!cards.has(run.id)) cards.set(run.id, card(select));
      const one = cards.get(run.id);
      one.update(run);
      if (list.children[i] !== one.element) list.insertBefore(one.element, list.children[i] ?? null);
    });
  }

  main.replaceChildren(title, empty, list, bar);
  return follow("api/changes", look);
}

function card(select) {
  const picture = h("img", { loading: "lazy", hidden: true }), blank = h("div", { class: "blank" }, "no samples yet");
  const link = h("a"), box = h("input", { type: "checkbox" }), state = h("span", { class: "state" });
  const about = h("p", { class: "note" }), progress = h("progress", { max: 1, "aria-label": "progress" }), score = h("p", { class: "note" });
  const element = h("li", { class: "card" }, h("a", { class: "face", tabindex: -1, "aria-hidden": "true" }, picture, blank),
    h("h3", {}, link), h("p", { class: "note" }, state), progress, about, score, h("label", { class: "note" }, box, " compare"));
  let shown = "";

  function update(run) {
    const words = stateWords(run), address = `#/run/${run.id}`;
    link.textContent = run.name;
    link.href = element.querySelector(".face").href = address;
    box.onchange = () => select(run.id, box);
    box.setAttribute("aria-label", `compare ${run.name}`);
    state.className = `state ${run.state}`;
    state.textContent = run.state === "failed" ? `failed: ${run.words}` : words.text;
    progress.value = run.steps ? run.step / run.steps : 0;
    about.textContent = `${run.recipe ?? "unreadable recipe"} on ${run.data || "?"}; ${words.more}${run.seconds == null ? "" : `, ${duration(run.seconds)} trained`}`;
    score.textContent = (run.score == null ? "not evaluated yet" : `best distance ${number(run.score)} at step ${whole(run.best_step)}${run.floor == null ? "" : ` (real images ${number(run.floor)})`}`)
      + (run.alarms ? `; ▲ ${run.alarms} alarm${run.alarms > 1 ? "s" : ""}` : "");
    const source = run.grid == null ? "" : `api/runs/${run.id}/grids/${run.grid}.png?v=${run.began}`;
    if (source !== shown) {
      shown = source;
      picture.hidden = !source;
      blank.hidden = Boolean(source);
      picture.alt = `samples of ${run.name} after step ${run.grid}`;
      if (run.grid_size) [picture.width, picture.height] = run.grid_size; // reserves its place until it has loaded
      if (source) picture.src = source;
    }
  }

  return { element, update };
}

// Without this, the browser would open an image that is dropped outside of the drawing canvas.
for (const type of ["dragover", "drop"]) addEventListener(type, (event) => {
  if (event.defaultPrevented) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = "none";
});
addEventListener("hashchange", show);
show();
