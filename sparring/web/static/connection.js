// The connection to the server: polls for changes every second, and shows a notice if the server does not respond.
// Each poll is a separate request. Open streams would use up the six connections that a browser has for a server.

import { Problem, get, h, notify } from "./parts.js";

const POLL_MILLISECONDS = 1000, TIMEOUT_MILLISECONDS = 3000;
const lost = document.getElementById("lost");
let command = "sparring watch", since = null;

function connected() {
  since = null;
  lost.hidden = true;
}

function disconnected(error) {
  since ??= new Date();
  const why = error.status === 403
    ? ["Sparring was restarted, so this address is no longer valid. Open the address that it printed."]
    : ["Sparring does not respond. If it has ended, restart it with ", h("code", {}, command), " and open the address that it prints."];
  lost.hidden = false;
  const words = h("span", {}, `Not connected since ${since.toLocaleTimeString("en", { hour: "2-digit", minute: "2-digit", hour12: false })}; the last state is shown. `, ...why);
  if (lost.textContent !== words.textContent) lost.replaceChildren(words);
}

// Calls `fetch` now and after every change. A hidden tab does not poll. `fetch` resolves to a function that draws; drawing
// takes at most 1% of the time, because it slows down a training on the same machine. Returns a function that stops.
export function follow(address, fetch = async () => null) {
  let stopped = false, busy = false, showing = false, shown = null, due = null, wait = 0, timer = null;

  async function poll() {
    if (stopped || busy || document.hidden) return;
    busy = true;
    try {
      const found = await get(address, { signal: AbortSignal.timeout(TIMEOUT_MILLISECONDS) });
      command = found.again;
      if (!stopped) {
        connected();
        show(found.stamp);
      }
    } catch (error) {
      if (!stopped) {
        shown = null; // fetch again after reconnecting
        disconnected(error);
      }
    }
    busy = false;
    clearTimeout(timer);
    timer = setTimeout(poll, POLL_MILLISECONDS);
  }

  async function show(stamp) {
    if (showing) return;
    showing = true;
    try {
      if (stamp !== shown) {
        shown = stamp;
        due = await fetch();
      }
      if (stopped || !due || performance.now() < wait) return;
      const draw = due, began = performance.now();
      due = null;
      await draw();
      wait = performance.now() + Math.min(15000, 100 * (performance.now() - began));
    } catch (error) {
      shown = null;
      if (!(error instanceof Problem)) throw error;
      if (!stopped && error.status !== undefined) notify(error.message); // the next poll reports a lost connection
    } finally {
      showing = false;
    }
  }

  document.addEventListener("visibilitychange", poll);
  poll();
  return () => {
    stopped = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", poll);
  };
}
