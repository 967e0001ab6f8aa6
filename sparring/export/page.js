// A trained generator: computes its layers (sparring/export/layers.py) one image at a time, and handles the buttons.
// `normal` and `between` come from latents.js.
// A value is {shape: [height, width, channels] or [features], data: Float32Array}.

// ------------------------------------------------------------------------------------------------ the weights

const model = JSON.parse(document.getElementById("model").textContent);
const bytes = Uint8Array.from(atob(model.bytes), (letter) => letter.charCodeAt(0));
const view = new DataView(bytes.buffer);

function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return exponent === 31 ? (fraction ? NaN : sign * Infinity) : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

// Decodes an array: float16, float32, or int8 with a float32 factor for each index of the last axis.
function numbers({ type, at, shape, factors }) {
  const count = shape.reduce((a, b) => a * b, 1), values = new Float32Array(count);
  if (type === "int8") {
    const scale = numbers(factors), last = scale.length;
    for (let i = 0; i < count; i++) values[i] = view.getInt8(at + i) * scale[i % last];
  } else {
    for (let i = 0; i < count; i++)
      values[i] = type === "float16" ? half(view.getUint16(at + 2 * i, true)) : view.getFloat32(at + 4 * i, true);
  }
  return values;
}

function ready(layer) {
  const made = { ...layer };
  for (const [name, value] of Object.entries(layer))
    if (value && value.type) made[name] = Object.assign(numbers(value), { sides: value.shape });
  if (layer.layers) made.layers = layer.layers.map(ready);
  return made;
}

const layers = model.layers.map(ready);

// ------------------------------------------------------------------------------------------------ the layers

const each = (x, change) => ({ shape: x.shape, data: x.data.map(change) });

const LAYERS = {
  Embedding({ table }, x, label) {
    const size = table.sides[1], data = new Float32Array(x.data.length + size);
    data.set(x.data);
    data.set(table.subarray(label * size, (label + 1) * size), x.data.length);
    return { shape: [data.length], data };
  },
  Dense({ weights, biases }, x) {
    const outputs = biases.length, data = Float32Array.from(biases);
    for (let i = 0; i < x.data.length; i++) {
      const value = x.data[i], row = i * outputs;
      for (let j = 0; j < outputs; j++) data[j] += value * weights[row + j];
    }
    return { shape: [outputs], data };
  },
  Convolution({ weights, biases }, x) {
    const [height, width, channels] = x.shape, [h, w, , outputs] = weights.sides;
    const top = (h - 1) >> 1, left = (w - 1) >> 1, data = new Float32Array(height * width * outputs);
    for (let row = 0, out = 0; row < height; row++)
      for (let column = 0; column < width; column++, out += outputs) {
        data.set(biases, out);
        for (let i = Math.max(0, top - row); i < Math.min(h, height + top - row); i++)
          for (let j = Math.max(0, left - column); j < Math.min(w, width + left - column); j++) {
            const from = ((row + i - top) * width + column + j - left) * channels;
            for (let c = 0, tap = (i * w + j) * channels * outputs; c < channels; c++, tap += outputs) {
              const value = x.data[from + c];
              for (let f = 0; f < outputs; f++) data[out + f] += value * weights[tap + f];
            }
          }
      }
    return { shape: [height, width, outputs], data };
  },
  Scale({ factors, offsets }, x) {
    const last = factors.length;
    return each(x, (value, i) => value * factors[i % last] + offsets[i % last]);
  },
  LeakyReLU: ({ slope }, x) => each(x, (value) => (value >= 0 ? value : slope * value)),
  Tanh: (_, x) => each(x, Math.tanh),
  Reshape: ({ height, width, channels }, x) => ({ shape: [height, width, channels], data: x.data }),
  Enlarge: ({ side }, x) => moved(x, x.shape[0] * side, x.shape[1] * side, x.shape[2],
    (row, column) => [Math.floor(row / side), Math.floor(column / side), 0]),
  DepthToSpace({ side }, x) {
    const channels = x.shape[2] / side ** 2;
    return moved(x, x.shape[0] * side, x.shape[1] * side, channels, (row, column) =>
      [Math.floor(row / side), Math.floor(column / side), ((row % side) * side + (column % side)) * channels]);
  },
  Crop: ({ height, width }, x) => moved(x, height, width, x.shape[2], (row, column) => [row, column, 0]),
  Residual({ layers }, x, label) {
    const change = through(layers, x, label);
    return each(x, (value, i) => value + change.data[i]);
  },
};

// Moves channels between places: from(row, column) returns the source row, column and first channel.
function moved(x, height, width, channels, from) {
  const data = new Float32Array(height * width * channels);
  for (let row = 0, out = 0; row < height; row++)
    for (let column = 0; column < width; column++, out += channels) {
      const [i, j, c] = from(row, column), start = (i * x.shape[1] + j) * x.shape[2] + c;
      data.set(x.data.subarray(start, start + channels), out);
    }
  return { shape: [height, width, channels], data };
}

function through(layers, x, label) {
  return layers.reduce((value, layer) => LAYERS[layer.kind](layer, value, label), x);
}

// Returns the image of a latent (Float32Array) as height x width x channels bytes.
function picture(latent, label) {
  const { data } = through(layers, { shape: [latent.length], data: latent }, label);
  return Uint8ClampedArray.from(data, (value) => (value + 1) * 127.5);
}

// ------------------------------------------------------------------------------------------------ latents

const latent = () => Float32Array.from({ length: model.latent.size }, () => normal(model.latent.std));

// ------------------------------------------------------------------------------------------------ the page

const canvas = document.getElementById("grid"), context = canvas.getContext("2d");
const status = document.getElementById("status"), walkButton = document.getElementById("walk");
const [height, width, channels] = model.image_shape, columns = 8, gap = 1;
const rows = model.classes.length > 1 && model.classes.length <= 16 ? model.classes.length : 6;
const budget = 14; // milliseconds of a frame
canvas.width = columns * (width + gap) + gap;
canvas.height = rows * (height + gap) + gap;

let latents = [], goals = [], share = 0, walking = false, next = 0, chosen = null;

const labelAt = (place) => (chosen === null ? Math.floor(place / columns) % Math.max(1, model.classes.length) : chosen);

function draw(place) {
  const pixels = picture(walking ? between(latents[place], goals[place], share) : latents[place], labelAt(place));
  const image = context.createImageData(width, height);
  for (let i = 0; i < height * width; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = pixels[i * channels + (channels < 3 ? 0 : c)];
    image.data[4 * i + 3] = channels === 2 || channels === 4 ? pixels[i * channels + channels - 1] : 255;
  }
  const column = place % columns, row = Math.floor(place / columns);
  context.putImageData(image, gap + column * (width + gap), gap + row * (height + gap));
}

// Draws images for at most one frame, so that the page stays responsive with a slow generator.
function frame() {
  const began = performance.now();
  while (next < latents.length && performance.now() - began < budget) draw(next++);
  if (next === latents.length && walking) {
    share += 0.04;
    next = 0;
    if (share >= 1) [latents, goals, share] = [goals, latents.map(latent), 0];
  }
  if (next < latents.length) requestAnimationFrame(frame);
  else status.textContent = `${latents.length} new images`;
}

function redraw() {
  const idle = next >= latents.length;
  next = 0;
  status.textContent = "";
  if (idle) requestAnimationFrame(frame);
}

document.getElementById("new").onclick = () => {
  redraw();
  [latents, goals, share] = [latents.map(latent), latents.map(latent), 0];
};

walkButton.onclick = () => {
  if (walking) [latents, walking] = [latents.map((a, i) => between(a, goals[i], share)), false];
  else [goals, share, walking] = [latents.map(latent), 0, true];
  walkButton.setAttribute("aria-pressed", walking);
  redraw();
};

document.getElementById("save").onclick = () => canvas.toBlob((blob) => {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: "samples.png" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
});

const group = document.getElementById("classes");
group.hidden = model.classes.length === 0;
[["one class per row", null], ...model.classes.map((name, label) => [name, label])].forEach(([name, label]) => {
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: name });
  button.setAttribute("aria-pressed", label === null);
  button.onclick = () => {
    for (const other of group.querySelectorAll("button")) other.setAttribute("aria-pressed", other === button);
    chosen = label;
    redraw();
  };
  group.append(button);
});

latents = Array.from({ length: rows * columns }, latent);
requestAnimationFrame(frame);
