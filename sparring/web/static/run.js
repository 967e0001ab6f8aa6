// The view of one run: samples during training, curves, classes, alarms, and the closest training images.

import { classes, curves, forget, plotly } from "./charts.js";
import { follow } from "./connection.js";
import { breakable, duration, get, h, number, stateWords, whole } from "./parts.js";

export function runView(main, trail, key) {
  const base = `api/runs/${key}`;
  const title = h("h1"), state = h("span", { class: "state" }), more = h("span", { class: "quiet" });
  const progress = h("progress", { max: 1, "aria-label": "progress" }), facts = h("dl", { class: "facts" });
  const explore = h("a", { class: "button", href: `#/run/${key}/explore`, hidden: true }, "Explore the networks");
  const alarms = h("section", { class: "alarms", hidden: true });
  const samples = h("img", { hidden: true }), real = h("img", { alt: "real images", hidden: true }), none = h("p", { class: "quiet", hidden: true });
  const caption = h("figcaption"), slider = h("input", { type: "range", min: 0, value: 0, "aria-label": "step of the samples" });
  const time = h("div", { hidden: true }, h("label", { class: "note" }, "Step ", slider));
  const charts = h("div", { class: "charts" }), classChart = h("div", { class: "chart" }), classNote = h("p", { class: "note" });
  const classPart = h("section", { hidden: true }, h("h2", {}, "Classes"), classNote, classChart);
  const pairs = h("img", { alt: "samples, each with its nearest training image on the right" });
  const pairNote = h("p", { class: "note" });
  const pairPart = h("section", { hidden: true }, h("h2", {}, "Closest training images"),
    pairNote, h("figure", { class: "picture" }, pairs));
  const settings = h("dl", { class: "settings" });
  const drawn = new Map();
  let run = null, follows = true, shownGrid = "", shownReal = "", shownPairs = null, timer = null, chartsDue = new Set();

  main.replaceChildren(title, h("p", {}, state, " ", more), progress, facts, h("div", { class: "row" }, explore), alarms,
    h("section", { "aria-label": "samples" }, h("h2", {}, "Samples of the same latents during training"), none, time,
      h("div", { class: "pictures" }, h("figure", { class: "picture" }, samples, caption), h("figure", { class: "picture" }, real, h("figcaption", {}, "real images")))),
    h("section", { "aria-label": "curves" }, h("h2", {}, "Curves"), charts), classPart, pairPart,
    h("section", {}, h("h2", {}, "Settings"), settings));
  trail.replaceChildren(h("a", { href: "#/" }, "runs"));

  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      entry.target.seen = entry.isIntersecting;
      if (entry.isIntersecting && chartsDue.has(entry.target)) draw(entry.target);
    }
  }, { rootMargin: "100px" });

  const step = () => run.grids.steps[slider.value];

  function showGrid() {
    const count = run.grids.steps.length;
    none.hidden = count > 0;
    none.textContent = run.state === "running" ? "No samples yet. They appear at the first step." : "This run has no samples.";
    time.hidden = samples.hidden = count === 0;
    if (!count) return;
    slider.max = count - 1;
    if (follows) slider.value = count - 1;
    slider.setAttribute("aria-valuetext", `step ${step()}`);
    const source = `${base}/grids/${step()}.png?v=${run.began}`;
    if (source !== shownGrid) {
      samples.src = shownGrid = source;
      samples.alt = `samples after step ${step()}`;
    }
    if (run.grid_size) for (const picture of [samples, real]) [picture.width, picture.height] = run.grid_size; // reserves their place
    caption.replaceChildren(`samples after step `, h("b", {}, whole(step())), `, ${duration(run.grids.seconds[slider.value])} of training${follows && run.state === "running" ? "; newest" : ""}`);
  }

  function onSlide() {
    follows = Number(slider.value) === run.grids.steps.length - 1;
    showGrid();
    clearTimeout(timer);
    timer = setTimeout(() => drawn.forEach(({ place }) => mark(place)), 250); // moves the line in the curves once the slider rests
  }
  slider.addEventListener("input", onSlide);

  function showStep(target) {
    const near = run.grids.steps.findIndex((one) => one >= target);
    slider.value = near < 0 ? run.grids.steps.length - 1 : near;
    onSlide();
    slider.focus();
  }

  function mark(place) {
    if (place.seen) draw(place); else chartsDue.add(place);
  }

  function draw(place) {
    chartsDue.delete(place);
    const end = run.state === "running" ? run.step : Math.max(run.step, 1);
    return curves(place, place.chart, { end, at: follows || !run.grids.steps.length ? null : step() });
  }

  function showCharts() {
    for (const chart of run.charts) {
      if (!drawn.has(chart.title)) {
        const place = h("div", { class: "chart" });
        const card = h("figure", { class: "card" }, h("h3", {}, chart.title), h("p", { class: "note" }, chart.note), place);
        drawn.set(chart.title, { place, card });
        charts.append(card);
        seen.observe(place);
      }
      drawn.get(chart.title).place.chart = chart;
    }
    for (const [name, { place, card }] of drawn) if (!run.charts.some((chart) => chart.title === name)) {
      forget(place);
      card.remove();
      drawn.delete(name);
    }
    return Promise.all([...drawn.values()].map(({ place }) => mark(place)));
  }

  function showFacts() {
    const words = stateWords(run);
    document.title = `${run.name}: ${words.more}`;
    trail.replaceChildren(h("a", { href: "#/" }, "runs"), " / ", run.name);
    title.textContent = run.name;
    state.className = `state ${run.state}`;
    state.textContent = words.text;
    more.textContent = words.more + (run.words && run.state !== "running" ? `; ${run.words}` : "");
    progress.value = run.steps ? run.step / run.steps : 0;
    const score = run.score == null ? "not evaluated yet" : `${number(run.score)} at step ${whole(run.best_step)}${run.floor == null ? "" : ` (real images ${number(run.floor)})`}`;
    facts.replaceChildren(...[["recipe", run.recipe ?? "unreadable"], ["data", run.data || "?"], ["training time", duration(run.seconds)], ["best distance", score]]
      .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
    explore.hidden = !run.explorable;
    alarms.hidden = !run.alarms.length;
    alarms.replaceChildren(h("h2", {}, `▲ ${run.alarms.length} alarm${run.alarms.length > 1 ? "s" : ""}`), h("ul", {}, ...run.alarms.map((alarm) =>
      h("li", {}, h("button", { type: "button", class: "link", onclick: () => showStep(alarm.step) }, `step ${whole(alarm.step)}`), `: ${alarm.text}`))));
    if (!settings.children.length) settings.append(...Object.entries(run.settings).map(([name, value]) =>
      h("div", {}, h("dt", {}, ...breakable(name)), h("dd", {}, value === null ? "–" : String(value)))));
  }

  async function showRest() {
    const source = run.real ? `${base}/real.png?v=${run.began}` : "";
    if (source !== shownReal) { shownReal = source; real.hidden = !source; if (source) real.src = source; }
    if (run.closest !== shownPairs) { shownPairs = run.closest; pairPart.hidden = run.closest == null; if (run.closest != null) pairs.src = `${base}/closest.png?v=${run.closest}`; }
    pairNote.textContent = "The samples of the newest evaluation that are closest to a training image, closest first. Each has its nearest training image on the right."
      + (run.suspicious == null ? "" : run.suspicious ? ` The first ${run.suspicious === 1 ? "pair is" : `${run.suspicious} pairs are`} suspiciously close: almost no validation image is as close to a training image.`
        : " None is suspiciously close: validation images are as close.");
    classPart.hidden = !run.classes;
    if (!run.classes) return;
    classNote.textContent = `Classes that the classifier assigns to ${whole(run.classes.samples)} samples of step ${whole(run.judged_step)}. The vertical lines are the 95% bands of a perfectly balanced generator.`;
    await classes(classChart, run.classes);
  }

  async function look() {
    try {
      run = await get(base);
    } catch (error) {
      if (!/no such run/.test(error.message)) throw error;
      return showGone;
    }
    showFacts();
    showGrid();
    await plotly();
    return showDrawn;
  }

  function showGone() {
    state.className = "state failed";
    state.textContent = "gone";
    more.textContent = "this run was deleted; its last state is shown";
    if (!run) title.textContent = "There is no such run";
  }

  async function showDrawn() {
    await showCharts();
    await showRest();
  }

  const dark = matchMedia("(prefers-color-scheme: dark)"), recolour = () => run && (showCharts(), showRest());
  dark.addEventListener("change", recolour);
  const stop = follow(`api/changes?run=${key}`, look);
  return () => {
    stop();
    seen.disconnect();
    clearTimeout(timer);
    dark.removeEventListener("change", recolour);
    drawn.forEach(({ place }) => forget(place));
    forget(classChart);
  };
}
