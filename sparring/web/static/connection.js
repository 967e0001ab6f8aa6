// THE CONNECTION to the program: asks each second whether something has changed, and says so where nobody answers.
// Each question is a request of its own: a stream that stays open would use up the six connections of a browser.

import { Problem, get, h, say } from "./parts.js";

const ASK = 1000, TIMEOUT = 3000; // milliseconds
const lost = document.getElementById("lost");
let again = "sparring watch", since = null;

function connected() {
  since = null;
  lost.hidden = true;
}

function disconnected(error) {
  since ??= new Date();
  const why = error.status === 403
    ? ["Sparring was started anew, so this address is no longer valid. Open the address that it printed."]
    : ["Sparring does not answer. If it has ended, start it again with ", h("code", {}, again), " and open the address that it prints."];
  lost.hidden = false;
  const words = h("span", {}, `Not connected since ${since.toLocaleTimeString("en", { hour: "2-digit", minute: "2-digit", hour12: false })}; the last state is shown. `, ...why);
  if (lost.textContent !== words.textContent) lost.replaceChildren(words);
}

// Fetches now, and whenever something has changed; a hidden tab asks nothing. `fetch` resolves to how to draw what takes
// long. That is not done so often that it takes more than 1% of the time, for then the browser paints, and the training
// waits. Returns how to stop.
export function follow(address, fetch = async () => null) {
  let stopped = false, busy = false, showing = false, shown = null, due = null, wait = 0, timer = null;

  async function ask() {
    if (stopped || busy || document.hidden) return;
    busy = true;
    try {
      const found = await get(address, { signal: AbortSignal.timeout(TIMEOUT) });
      again = found.again;
      if (!stopped) {
        connected();
        show(found.stamp);
      }
    } catch (error) {
      if (!stopped) {
        shown = null; // what comes after is looked at again
        disconnected(error);
      }
    }
    busy = false;
    clearTimeout(timer);
    timer = setTimeout(ask, ASK);
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
      if (!stopped && error.status !== undefined) say(error.message); // else the next question finds that nobody answers
    } finally {
      showing = false;
    }
  }

  document.addEventListener("visibilitychange", ask);
  ask();
  return () => {
    stopped = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", ask);
  };
}
