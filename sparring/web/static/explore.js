// THE NETWORKS to play with: new samples, a walk between two, what changes a picture most; and what D finds of a drawing.

import { between, normal } from "./latents.js";
import { follow } from "./connection.js";
import { duration, get, h, newestOnly, number, whole } from "./parts.js";

const SAMPLES = 16, PEN = 0.055; // radius of the pen, as a share of the picture's width

export function exploreView(main, trail, key) {
  const base = `api/runs/${key}`, gone = new AbortController();
  document.title = "Sparring: explore";
  trail.replaceChildren(h("a", { href: "#/" }, "runs"), " / ", h("a", { href: `#/run/${key}` }, "run"), " / explore");
  main.replaceChildren(h("h1", {}, "Explore"), h("p", { class: "quiet" }, "Making the networks ready, which takes some seconds …"));
  Promise.all([get(`${base}/player`, { signal: gone.signal }), get(base, { signal: gone.signal })]).then(
    ([player, run]) => {
      trail.lastElementChild.textContent = run.name;
      const generator = generatorPart(base, player, gone.signal);
      const asking = askingPart(base, player, generator.picture, gone.signal);
      main.replaceChildren(h("h1", {}, `Explore ${run.name}`), h("p", { class: "quiet" }, `Its networks after step ${whole(player.step)}. `,
        h("a", { href: `#/run/${key}` }, "Back to the run")), generator.element, asking);
    },
    (error) => error.name === "AbortError" || main.replaceChildren(h("h1", {}, "Explore"), h("p", {}, error.message), h("p", {}, h("a", { href: `#/run/${key}` }, "Back to the run"))),
  );
  const stop = follow(`api/changes?run=${key}`);
  return () => { stop(); gone.abort(); };
}

// ------------------------------------------------------------------------------------------------ the generator

const canvasOf = (player, attributes) => h("canvas", { width: player.width, height: player.height, role: "img", ...attributes });

function generatorPart(base, player, signal) {
  const { size, std } = player.latent, latent = () => Array.from({ length: size }, () => normal(std));
  let latents = Array.from({ length: SAMPLES }, latent), labels = Array(SAMPLES).fill(0), ends = [0, 1], label = null, walking = null, usual = 1;
  const tiles = latents.map((_, i) => {
    const canvas = canvasOf(player, { "aria-label": `sample ${i + 1}` });
    return { canvas, button: h("button", { type: "button", "aria-label": `choose sample ${i + 1}`, onclick: () => choose(i) }, canvas) };
  });
  const big = canvasOf(player, { "aria-label": "the chosen picture" }), status = h("p", { class: "note", role: "status" }), caption = h("figcaption");
  const way = h("input", { type: "range", min: 0, max: 1, step: 0.01, value: 0, "aria-label": "from sample A to sample B" });
  const short = h("input", { type: "range", min: 0, max: 1.5, step: 0.05, value: 1, "aria-label": "truncation" }), shortWords = h("span");
  const sliders = player.directions.map((_, i) => h("input", { type: "range", min: -3, max: 3, step: 0.05, value: 0, "aria-label": `direction ${i + 1}` }));
  const play = h("button", { type: "button", "aria-pressed": "false", onclick: () => (walking ? stop() : walk()) }, "Walk");

  const chosenLabel = () => (label ?? labels[ends[Number(way.value) < 0.5 ? 0 : 1]]); // half way it becomes B's
  const scaled = (z) => z.map((value) => value * usual);
  function current() {
    const point = scaled(between(latents[ends[0]], latents[ends[1]], Number(way.value)));
    sliders.forEach((slider, i) => { const along = Number(slider.value) * std; if (along) player.directions[i].forEach((value, j) => { point[j] += along * value; }); });
    return point;
  }

  async function ask(wanted, marks) {
    const blob = await get(`${base}/pictures`, { body: { latents: wanted, labels: player.classes.length ? marks : null }, blob: true, signal });
    return createImageBitmap(blob, { premultiplyAlpha: "none", colorSpaceConversion: "none" });
  }
  const put = (canvas, sheet, place) => {
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, player.width, player.height);
    context.drawImage(sheet, 0, place * player.height, player.width, player.height, 0, 0, player.width, player.height);
  };
  const drawTiles = newestOnly(async () => {
    const sheet = await ask(latents.map(scaled), label === null ? labels : labels.map(() => label));
    tiles.forEach(({ canvas }, i) => put(canvas, sheet, i));
    status.textContent = `${SAMPLES} samples`;
  });
  const drawBig = newestOnly(async () => {
    const began = performance.now(), sheet = await ask([current()], [chosenLabel()]);
    put(big, sheet, 0);
    big.dataset.milliseconds = Math.round(performance.now() - began);
  });

  function showEnds() {
    tiles.forEach(({ button }, i) => {
      button.querySelectorAll("span").forEach((mark) => mark.remove());
      button.classList.toggle("chosen", ends.includes(i));
      if (ends.includes(i)) button.append(h("span", {}, ends[0] === i ? "A" : "B"));
    });
    showClasses();
  }
  // A sample becomes B, and is what is shown; what was B is A from then on.
  function choose(i) {
    stop();
    if (i !== ends[1]) ends = [ends[1], i];
    way.value = 1;
    sliders.forEach((slider) => { slider.value = 0; });
    showEnds();
    drawBig();
  }
  function showClasses() {
    const names = ends.map((i) => player.classes[label ?? labels[i]]);
    caption.textContent = !player.classes.length ? "from A to B" : names[0] === names[1] ? `from A to B, all as ${names[0]}` : `from A as ${names[0]} to B as ${names[1]}`;
  }
  function fresh() {
    latents = latents.map(latent);
    labels = labels.map(() => Math.floor(Math.random() * Math.max(1, player.classes.length)));
    showClasses();
    drawTiles();
    drawBig();
  }
  function walk() {
    play.setAttribute("aria-pressed", "true");
    let t = Number(way.value), up = true;
    walking = setInterval(() => {
      if (!big.isConnected) return stop();
      t += up ? 0.02 : -0.02;
      if (t >= 1 || t <= 0) up = t <= 0;
      way.value = t;
      drawBig();
    }, 60);
  }
  function stop() {
    clearInterval(walking);
    walking = null;
    play.setAttribute("aria-pressed", "false");
  }
  function save() {
    const link = h("a", { href: big.toDataURL("image/png"), download: "sample.png" });
    link.click();
  }
  way.addEventListener("input", drawBig);
  sliders.forEach((slider) => slider.addEventListener("input", drawBig));
  short.addEventListener("input", () => { usual = Number(short.value); showShort(); drawTiles(); drawBig(); });
  const showShort = () => { shortWords.textContent = `truncation ${number(usual)}`; };
  const group = h("fieldset", { class: "row", hidden: !player.classes.length }, h("legend", {}, "Class"));
  [["any", null], ...player.classes.slice(0, 100).map((name, i) => [name, i])].forEach(([name, value]) => {
    const button = h("button", { type: "button", "aria-pressed": String(value === null), onclick: () => {
      for (const other of group.querySelectorAll("button")) other.setAttribute("aria-pressed", String(other === button));
      label = value;
      showClasses();
      drawTiles();
      drawBig();
    } }, name);
    group.append(button);
  });
  showEnds();
  showShort();
  fresh();
  const element = h("section", { "aria-label": "the generator" }, h("h2", {}, "The generator"), h("div", { class: "row" }, h("button", { type: "button", onclick: fresh }, "New samples"), play,
    h("button", { type: "button", onclick: () => { sliders.forEach((slider) => { slider.value = 0; }); way.value = 0; drawBig(); } }, "Back to sample A"), h("button", { type: "button", onclick: save }, "Download PNG")), group,
    h("div", { class: "play" }, h("figure", {}, big, caption, way),
      h("div", {}, h("p", { class: "note" }, "Choose a sample to see it; the last two that you chose are the ends of the walk, A and B."), h("div", { class: "tiles" }, ...tiles.map(({ button }) => button)), status)),
    h("h2", {}, "What changes the picture most"),
    h("p", { class: "note" }, "The directions of the latents along which the pictures of this generator change most, the first most of all; and how long latents are: with shorter ones (truncation) pictures become more usual and more alike."),
    h("div", { class: "sliders" }, h("label", { class: "note" }, shortWords, short), ...sliders.map((slider, i) => h("label", { class: "note" }, `direction ${i + 1}, strength ${number(player.strengths[i])}`, slider))));
  return { element, picture: () => ({ canvas: big, label: chosenLabel() }) };
}

// ------------------------------------------------------------------------------------------------ the discriminator

// The colour of a pen that is seen on that ground: the values of one pixel, 0 to 255.
const inkOn = ([r, g = r, b = r]) => (0.299 * r + 0.587 * g + 0.114 * b < 128 ? "#ffffff" : "#000000");

function askingPart(base, player, sample, signal) {
  const { width, height, channels } = player, colour = channels > 1, draw = canvasOf(player, { class: "draw", tabindex: 0, "aria-label": "draw here; or drop a picture" });
  const context = draw.getContext("2d", { willReadFrequently: true }), slope = canvasOf(player, { "aria-label": "which pixels decide" }), nearest = canvasOf(player, { "aria-label": "the nearest picture that G makes" });
  const answer = h("p", { class: "answer", role: "status" }), far = h("figcaption"), ink = inkOn(player.background), pen = h("input", { type: "color", value: ink, "aria-label": "colour of the pen", hidden: !colour });
  const label = h("select", { "aria-label": "shown as", hidden: !player.classes.length, onchange: () => changed() }, h("option", { value: "" }, "as what it takes it for"), ...player.classes.map((name, i) => h("option", { value: i }, `as ${name}`)));
  let last = null, asking = new AbortController();

  function blank() {
    const [r, g = r, b = r, alpha = 255] = player.background;
    context.clearRect(0, 0, width, height);
    context.fillStyle = `rgb(${r} ${g} ${b} / ${alpha / 255})`;
    context.fillRect(0, 0, width, height);
  }
  // Nothing of the drawing stays, and nothing that was asked about it comes any more.
  function clear() {
    asking.abort();
    asking = new AbortController();
    judge.forget();
    search.forget();
    last = null;
    blank();
    for (const canvas of [slope, nearest]) canvas.getContext("2d").clearRect(0, 0, width, height);
    far.textContent = "";
    answer.textContent = "Draw something, and the discriminator says how real it finds it.";
  }
  function line(from, to) {
    Object.assign(context, { strokeStyle: colour ? pen.value : ink, lineWidth: 2 * PEN * width, lineCap: "round" });
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(to[0] + 0.001, to[1]); // a line of no length is not drawn, and a click is a dot
    context.stroke();
  }
  const at = (event) => { const box = draw.getBoundingClientRect(); return [((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height]; };
  draw.addEventListener("pointerdown", (event) => { draw.setPointerCapture(event.pointerId); last = at(event); line(last, last); event.preventDefault(); });
  draw.addEventListener("pointermove", (event) => { if (last) { const here = at(event); line(last, here); last = here; judge(); } });
  const up = () => { if (last) { last = null; changed(); } };
  draw.addEventListener("pointerup", up);
  draw.addEventListener("pointercancel", up);
  draw.addEventListener("dragover", (event) => event.preventDefault());
  draw.addEventListener("drop", (event) => { event.preventDefault(); const file = event.dataTransfer.files[0]; if (file) load(file); });

  // A picture from a file, its middle, at our size.
  async function load(file) {
    const mine = asking;
    try {
      const picture = await createImageBitmap(file);
      if (mine !== asking) return;
      const share = Math.min(picture.width / width, picture.height / height);
      const w = width * share, hi = height * share;
      blank();
      context.imageSmoothingQuality = "high";
      context.drawImage(picture, (picture.width - w) / 2, (picture.height - hi) / 2, w, hi, 0, 0, width, height);
      changed();
    } catch {
      if (mine === asking) answer.textContent = "The browser cannot read this file as a picture; try a PNG, JPEG or WebP.";
    }
  }
  function pixels() {
    const { data } = context.getImageData(0, 0, width, height), found = [];
    for (let i = 0; i < data.length; i += 4) {
      if (channels === 1) found.push(Math.round(0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2]));
      else for (let c = 0; c < channels; c++) found.push(data[i + c]);
    }
    return found;
  }
  const body = () => ({ pixels: pixels(), label: label.value === "" ? null : Number(label.value) });
  const ask = (what) => get(`${base}/${what}`, { body: body(), signal: AbortSignal.any([signal, asking.signal]) });
  const percent = (share) => `${Math.round(100 * share)}%`;
  const judge = newestOnly(async () => {
    const found = await ask("opinion");
    const real = found.above_real == null ? "" : `, and than ${percent(found.above_real)} of the real images`;
    const taken = player.classes.length ? `As ${player.classes[found.label]}: more` : "More";
    answer.textContent = `${taken} real than ${percent(found.above_samples)} of the generator's samples${real} (logit ${number(found.logit)}).`;
    const most = slope.getContext("2d"), image = most.createImageData(width, height), under = context.getImageData(0, 0, width, height).data;
    found.slope.flat().forEach((value, i) => { // the drawing, dark, and over it what decides
      const colour = value > 0 ? [255, 140, 0] : [40, 130, 255], share = Math.min(1, 1.5 * Math.abs(value));
      image.data.set([...colour.map((part, c) => share * part + 0.4 * (1 - share) * under[4 * i + c]), 255], 4 * i);
    });
    most.putImageData(image, 0, 0);
  });
  const search = newestOnly(async () => {
    const began = performance.now();
    far.textContent = "searching …";
    const found = await ask("nearest");
    const place = nearest.getContext("2d"), image = place.createImageData(width, height);
    for (let i = 0; i < width * height; i++) {
      const one = found.pixels.slice(i * channels, (i + 1) * channels);
      image.data.set(channels === 1 ? [one[0], one[0], one[0], 255] : [one[0], one[1], one[2], channels === 4 ? one[3] : 255], 4 * i);
    }
    place.putImageData(image, 0, 0);
    far.textContent = `the nearest picture that G was found to make, ${number(found.difference)} gray levels away (${duration((performance.now() - began) / 1000)})`;
  });
  const changed = () => { judge(); search(); };
  function take() {
    const { canvas, label: shown } = sample();
    context.clearRect(0, 0, width, height);
    context.drawImage(canvas, 0, 0);
    if (player.classes.length) label.value = String(shown);
    changed();
  }
  const file = h("input", { type: "file", accept: "image/png,image/jpeg,image/webp,image/gif,image/bmp,image/avif", hidden: true, onchange: () => {
    if (file.files[0]) load(file.files[0]);
    file.value = ""; // so that the same file can be taken again
  } });
  clear();
  return h("section", { "aria-label": "the discriminator" }, h("h2", {}, "Ask the discriminator"), h("div", { class: "row" }, h("button", { type: "button", onclick: clear }, "Clear"),
    h("button", { type: "button", onclick: take }, "Take the picture above"), h("button", { type: "button", onclick: () => file.click() }, "Take a file"), pen, label, file), answer,
    h("div", { class: "ask" }, h("figure", {}, draw, h("figcaption", {}, "draw with mouse or finger, or drop a picture")),
      h("figure", {}, slope, h("figcaption", {}, "which pixels decide: orange ones it wants brighter, blue ones darker")), h("figure", {}, nearest, far)));
}
