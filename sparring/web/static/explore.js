// The explore view: samples, interpolation, principal directions, truncation, and the discriminator on a drawing.

import { between, normal } from "./latents.js";
import { follow } from "./connection.js";
import { duration, get, h, newestOnly, number, whole } from "./parts.js";

const SAMPLES = 16, PEN = 0.055; // radius of the pen, as a share of the image's width

export function exploreView(main, trail, key) {
  const base = `api/runs/${key}`, gone = new AbortController();
  document.title = "Sparring: explore";
  trail.replaceChildren(h("a", { href: "#/" }, "runs"), " / ", h("a", { href: `#/run/${key}` }, "run"), " / explore");
  main.replaceChildren(h("h1", {}, "Explore"), h("p", { class: "quiet" }, "Loading the networks, which takes a few seconds …"));
  Promise.all([get(`${base}/explorer`, { signal: gone.signal }), get(base, { signal: gone.signal })]).then(
    ([explorer, run]) => {
      trail.lastElementChild.textContent = run.name;
      const generator = generatorPart(base, explorer, gone.signal);
      const asking = discriminatorPart(base, explorer, generator.picture, gone.signal);
      main.replaceChildren(h("h1", {}, `Explore ${run.name}`), h("p", { class: "quiet" }, `The networks after step ${whole(explorer.step)}. `,
        h("a", { href: `#/run/${key}` }, "Back to the run")), generator.element, asking);
    },
    (error) => error.name === "AbortError" || main.replaceChildren(h("h1", {}, "Explore"), h("p", {}, error.message), h("p", {}, h("a", { href: `#/run/${key}` }, "Back to the run"))),
  );
  const stop = follow(`api/changes?run=${key}`);
  return () => { stop(); gone.abort(); };
}

// ------------------------------------------------------------------------------------------------ the generator

const canvasOf = (explorer, attributes) => h("canvas", { width: explorer.width, height: explorer.height, role: "img", ...attributes });

function generatorPart(base, explorer, signal) {
  const { size, std } = explorer.latent, latent = () => Array.from({ length: size }, () => normal(std));
  let latents = Array.from({ length: SAMPLES }, latent), labels = Array(SAMPLES).fill(0), ends = [0, 1], label = null, walking = null, truncation = 1;
  const tiles = latents.map((_, i) => {
    const canvas = canvasOf(explorer, { "aria-label": `sample ${i + 1}` });
    return { canvas, button: h("button", { type: "button", "aria-label": `select sample ${i + 1}`, onclick: () => select(i) }, canvas) };
  });
  const big = canvasOf(explorer, { "aria-label": "the selected image" }), status = h("p", { class: "note", role: "status" }), caption = h("figcaption");
  const way = h("input", { type: "range", min: 0, max: 1, step: 0.01, value: 0, "aria-label": "from sample A to sample B" });
  const truncate = h("input", { type: "range", min: 0, max: 1.5, step: 0.05, value: 1, "aria-label": "truncation" }), truncationText = h("span");
  const sliders = explorer.directions.map((_, i) => h("input", { type: "range", min: -3, max: 3, step: 0.05, value: 0, "aria-label": `direction ${i + 1}` }));
  const play = h("button", { type: "button", "aria-pressed": "false", onclick: () => (walking ? stop() : walk()) }, "Walk");

  const chosenLabel = () => (label ?? labels[ends[Number(way.value) < 0.5 ? 0 : 1]]); // the class changes half way from A to B
  const scaled = (z) => z.map((value) => value * truncation);
  function current() {
    const point = scaled(between(latents[ends[0]], latents[ends[1]], Number(way.value)));
    sliders.forEach((slider, i) => { const along = Number(slider.value) * std; if (along) explorer.directions[i].forEach((value, j) => { point[j] += along * value; }); });
    return point;
  }

  async function ask(wanted, marks) {
    const blob = await get(`${base}/images`, { body: { latents: wanted, labels: explorer.classes.length ? marks : null }, blob: true, signal });
    return createImageBitmap(blob, { premultiplyAlpha: "none", colorSpaceConversion: "none" });
  }
  const put = (canvas, sheet, place) => {
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, explorer.width, explorer.height);
    context.drawImage(sheet, 0, place * explorer.height, explorer.width, explorer.height, 0, 0, explorer.width, explorer.height);
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
  // The selected sample becomes B and is shown. The previous B becomes A.
  function select(i) {
    stop();
    if (i !== ends[1]) ends = [ends[1], i];
    way.value = 1;
    sliders.forEach((slider) => { slider.value = 0; });
    showEnds();
    drawBig();
  }
  function showClasses() {
    const names = ends.map((i) => explorer.classes[label ?? labels[i]]);
    caption.textContent = !explorer.classes.length ? "from A to B" : names[0] === names[1] ? `from A to B, all as ${names[0]}` : `from A as ${names[0]} to B as ${names[1]}`;
  }
  function fresh() {
    latents = latents.map(latent);
    labels = labels.map(() => Math.floor(Math.random() * Math.max(1, explorer.classes.length)));
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
  truncate.addEventListener("input", () => { truncation = Number(truncate.value); showTruncation(); drawTiles(); drawBig(); });
  const showTruncation = () => { truncationText.textContent = `truncation ${number(truncation)}`; };
  const group = h("fieldset", { class: "row", hidden: !explorer.classes.length }, h("legend", {}, "Class"));
  [["any", null], ...explorer.classes.slice(0, 100).map((name, i) => [name, i])].forEach(([name, value]) => {
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
  showTruncation();
  fresh();
  const element = h("section", { "aria-label": "the generator" }, h("h2", {}, "The generator"), h("div", { class: "row" }, h("button", { type: "button", onclick: fresh }, "New samples"), play,
    h("button", { type: "button", onclick: () => { sliders.forEach((slider) => { slider.value = 0; }); way.value = 0; drawBig(); } }, "Back to sample A"), h("button", { type: "button", onclick: save }, "Download PNG")), group,
    h("div", { class: "play" }, h("figure", {}, big, caption, way),
      h("div", {}, h("p", { class: "note" }, "Select a sample to see it. The last two selected samples, A and B, are the ends of the walk."), h("div", { class: "tiles" }, ...tiles.map(({ button }) => button)), status)),
    h("h2", {}, "Principal directions and truncation"),
    h("p", { class: "note" }, "The directions of the latents along which the images change most, strongest first. Truncation shortens the latents: images become more typical and less diverse."),
    h("div", { class: "sliders" }, h("label", { class: "note" }, truncationText, truncate), ...sliders.map((slider, i) => h("label", { class: "note" }, `direction ${i + 1}, strength ${number(explorer.strengths[i])}`, slider))));
  return { element, picture: () => ({ canvas: big, label: chosenLabel() }) };
}

// ------------------------------------------------------------------------------------------------ the discriminator

// Returns a pen colour that is visible on this background pixel (values from 0 to 255).
const inkOn = ([r, g = r, b = r]) => (0.299 * r + 0.587 * g + 0.114 * b < 128 ? "#ffffff" : "#000000");

function discriminatorPart(base, explorer, sample, signal) {
  const { width, height, channels } = explorer, colour = channels > 1, draw = canvasOf(explorer, { class: "draw", tabindex: 0, "aria-label": "draw here, or drop an image" });
  const context = draw.getContext("2d", { willReadFrequently: true }), gradient = canvasOf(explorer, { "aria-label": "gradient of the logit" }), nearest = canvasOf(explorer, { "aria-label": "the nearest generated image" });
  const answer = h("p", { class: "answer", role: "status" }), distance = h("figcaption"), ink = inkOn(explorer.background), pen = h("input", { type: "color", value: ink, "aria-label": "colour of the pen", hidden: !colour });
  const label = h("select", { "aria-label": "class label", hidden: !explorer.classes.length, onchange: () => changed() }, h("option", { value: "" }, "as its most likely class"), ...explorer.classes.map((name, i) => h("option", { value: i }, `as ${name}`)));
  let last = null, asking = new AbortController();

  function blank() {
    const [r, g = r, b = r, alpha = 255] = explorer.background;
    context.clearRect(0, 0, width, height);
    context.fillStyle = `rgb(${r} ${g} ${b} / ${alpha / 255})`;
    context.fillRect(0, 0, width, height);
  }
  // Removes the drawing and its results, and cancels requests about it.
  function clear() {
    asking.abort();
    asking = new AbortController();
    judge.forget();
    search.forget();
    last = null;
    blank();
    for (const canvas of [gradient, nearest]) canvas.getContext("2d").clearRect(0, 0, width, height);
    distance.textContent = "";
    answer.textContent = "Draw something to see how real the discriminator finds it.";
  }
  function line(from, to) {
    Object.assign(context, { strokeStyle: colour ? pen.value : ink, lineWidth: 2 * PEN * width, lineCap: "round" });
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(to[0] + 0.001, to[1]); // a line of length 0 is not drawn, and a click should draw a dot
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

  // Draws the centre of an image file at the size of the data.
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
      if (mine === asking) answer.textContent = "The browser cannot read this file as an image. Try PNG, JPEG or WebP.";
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
    const found = await ask("discriminator");
    const real = found.above_real == null ? "" : `, and than ${percent(found.above_real)} of the real images`;
    const taken = explorer.classes.length ? `As ${explorer.classes[found.label]}: more` : "More";
    answer.textContent = `${taken} real than ${percent(found.above_samples)} of the generator's samples${real} (logit ${number(found.logit)}).`;
    const most = gradient.getContext("2d"), image = most.createImageData(width, height), under = context.getImageData(0, 0, width, height).data;
    found.gradient.flat().forEach((value, i) => { // the darkened drawing, with the gradient over it
      const colour = value > 0 ? [255, 140, 0] : [40, 130, 255], share = Math.min(1, 1.5 * Math.abs(value));
      image.data.set([...colour.map((part, c) => share * part + 0.4 * (1 - share) * under[4 * i + c]), 255], 4 * i);
    });
    most.putImageData(image, 0, 0);
  });
  const search = newestOnly(async () => {
    const began = performance.now();
    distance.textContent = "searching …";
    const found = await ask("nearest");
    const place = nearest.getContext("2d"), image = place.createImageData(width, height);
    for (let i = 0; i < width * height; i++) {
      const one = found.pixels.slice(i * channels, (i + 1) * channels);
      image.data.set(channels === 1 ? [one[0], one[0], one[0], 255] : [one[0], one[1], one[2], channels === 4 ? one[3] : 255], 4 * i);
    }
    place.putImageData(image, 0, 0);
    distance.textContent = `the nearest generated image that was found, ${number(found.difference)} gray levels away (${duration((performance.now() - began) / 1000)})`;
  });
  const changed = () => { judge(); search(); };
  function take() {
    const { canvas, label: shown } = sample();
    context.clearRect(0, 0, width, height);
    context.drawImage(canvas, 0, 0);
    if (explorer.classes.length) label.value = String(shown);
    changed();
  }
  const file = h("input", { type: "file", accept: "image/png,image/jpeg,image/webp,image/gif,image/bmp,image/avif", hidden: true, onchange: () => {
    if (file.files[0]) load(file.files[0]);
    file.value = ""; // so that the same file can be opened again
  } });
  clear();
  return h("section", { "aria-label": "the discriminator" }, h("h2", {}, "The discriminator"), h("div", { class: "row" }, h("button", { type: "button", onclick: clear }, "Clear"),
    h("button", { type: "button", onclick: take }, "Use the generated image"), h("button", { type: "button", onclick: () => file.click() }, "Open a file"), pen, label, file), answer,
    h("div", { class: "ask" }, h("figure", {}, draw, h("figcaption", {}, "draw with a mouse or a finger, or drop an image")),
      h("figure", {}, gradient, h("figcaption", {}, "gradient of the logit: brighter orange pixels would look more real, and darker blue ones")), h("figure", {}, nearest, distance)));
}
