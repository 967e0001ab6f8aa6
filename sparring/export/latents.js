// LATENTS in a browser: drawing them, and the way from one to another. For the exported page and for the live one.

// A normal number of that standard deviation.
export function normal(std) {
  return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random()) * std;
}

// The place at share t of the great circle from a to b, where normal latents lie; lengths go from one to the other.
export function between(a, b, t) {
  if (t <= 0) return a;
  if (t >= 1) return b;
  const length = (x) => Math.hypot(...x), dot = a.reduce((sum, value, i) => sum + value * b[i], 0);
  const angle = Math.acos(Math.max(-1, Math.min(1, dot / (length(a) * length(b)))));
  if (Math.sin(angle) < 1e-6) return a.map((value, i) => (1 - t) * value + t * b[i]);
  const near = Math.sin((1 - t) * angle) / Math.sin(angle) / length(a), far = Math.sin(t * angle) / Math.sin(angle) / length(b);
  const size = length(a) * (1 - t) + length(b) * t;
  return a.map((value, i) => size * (near * value + far * b[i]));
}
