// Elements, requests and text formats that every view uses.

// Creates an element: h("p", {class: "note", onclick: f}, "text", child). Attributes that begin with "on" are listeners.
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

export class Problem extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

// Fetches JSON, or a blob. Posts `body` if there is one. Throws a Problem with a message for users.
export async function get(address, { body, blob = false, signal } = {}) {
  const sent = body && { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  let answer;
  try {
    answer = await fetch(address, { ...sent, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("Sparring does not respond. Check that it is still running.");
  }
  if (!answer.ok) throw new Problem((await answer.text()).trim() || `the request failed with status ${answer.status}`, answer.status);
  return blob ? answer.blob() : answer.json();
}

export const whole = (value) => Math.round(value).toLocaleString("en");

// Allows line breaks between the parts of a name.
export const breakable = (name) => name.split(/(?<=[_.])/).flatMap((part) => [part, h("wbr")]);

export function number(value, percent = false) {
  if (value == null) return "–";
  if (percent) return `${Number((100 * value).toPrecision(3))}%`;
  return Math.abs(value) >= 1000 ? whole(value) : String(Number(value.toPrecision(3)));
}

export function duration(seconds) {
  if (seconds == null) return "–";
  const s = Math.round(seconds);
  if (s < 1) return seconds === 0 ? "0 s" : "less than 1 s";
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
}

// Describes the state of a run.
export function stateWords({ state, words, step, steps, left }) {
  const share = steps ? `step ${whole(step)} of ${whole(steps)}` : `step ${whole(step)}`;
  const more = left == null ? "" : `, ${duration(left)} left`;
  return { state, text: state === "running" && words ? `running, ${words}` : state, more: `${share}${more}` };
}

let fading;
export function notify(text) {
  const place = document.getElementById("notice");
  place.textContent = text;
  clearTimeout(fading);
  fading = setTimeout(() => { place.textContent = ""; }, 6000);
}

// Returns a function that runs `work` one call at a time. Of the calls that arrive meanwhile, only the newest runs.
// `forget` drops the waiting call.
export function newestOnly(work) {
  let busy = false, waiting = null;
  run.forget = () => { waiting = null; };
  return run;
  async function run(...given) {
    if (busy) { waiting = given; return; }
    busy = true;
    try {
      await work(...given);
    } catch (error) {
      if (error.name !== "AbortError") notify(error.message);
    }
    busy = false;
    if (waiting) { const next = waiting; waiting = null; run(...next); }
  }
}
