// Latents in a browser: sampling and interpolation. For exported pages and the live page.

// Returns a normally distributed number with that standard deviation.
export function normal(std) {
  return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random()) * std;
}

// Spherical interpolation from a (t = 0) to b (t = 1). The length is interpolated linearly.
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
