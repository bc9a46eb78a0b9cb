"use strict";
// Shared by all parts: the data, small helpers, and the page's state, which lives in the address (#key=value)
// so that a view can be sent as a link and tested without a mouse.
window.addEventListener("error", (event) => {
  document.documentElement.dataset.error = `${event.message} (line ${event.lineno})`;
});

const DATA = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const codecNames = Object.keys(DATA.codecs);

/** The greatest rate that was measured; plots of low rates alone are logarithmic, and need not reach far. */
const mostMeasured = Math.max(0, ...Object.values(DATA.curves).flatMap(({ measured }) => measured.flatMap((curve) => curve.rates)));
const lowRates = mostMeasured > 0 && mostMeasured <= 0.5;

const state = {
  metric: Object.keys(DATA.metrics)[0],
  matrix: Object.keys(DATA.metrics)[0],
  log: lowRates ? "1" : "0",
  greatest: lowRates ? "0.5" : "1.5",
  hidden: DATA.hidden.join("~"),
  anchor: DATA.anchor,
  time: "decode_seconds",
  picture: DATA.viewer.pictures[0] || "",
  left: DATA.viewer.left,
  right: DATA.viewer.right,
  zoom: "fit",
  view: "divider",
  by: Object.keys(DATA.metrics)[0],
  slider: "50",
};
const initial = { ...state };
for (const [key, value] of new URLSearchParams(location.hash.slice(1))) if (key in state) state[key] = value;

const listeners = [];
/** Set state, show it in the address, and redraw what depends on the keys. */
function update(change) {
  Object.assign(state, change);
  const hash = new URLSearchParams(Object.entries(state).filter(([key, value]) => value !== initial[key]));
  try {
    history.replaceState(null, "", `#${hash}`);
  } catch {
    // a browser that forbids it for files: the page works, links do not carry the view
  }
  const keys = Object.keys(change);
  redraw((dependsOn) => keys.some((key) => dependsOn.includes(key)));
}
/** Draw what a test of the keys that it depends on chooses; what had the focus has it afterwards. */
function redraw(chosen) {
  const focused = document.activeElement && document.activeElement.dataset.key;
  for (const [dependsOn, draw] of listeners) if (chosen(dependsOn)) draw();
  if (focused && document.activeElement.dataset.key !== focused)
    for (const node of document.querySelectorAll("[data-key]")) if (node.dataset.key === focused) node.focus();
}
/** Draw now, and again when one of the state's keys changes. */
function onState(keys, draw) {
  listeners.push([keys, draw]);
  draw();
}

// Plots are as wide as their place: drawn again when that changes, and in other colours when the scheme does.
const dark = matchMedia("(prefers-color-scheme: dark)");
const drawn = (dependsOn) => dependsOn.includes("metric");
dark.addEventListener("change", () => redraw(drawn));
let drawnWidth = innerWidth;
addEventListener("resize", () => {
  if (innerWidth !== drawnWidth) redraw(drawn);
  drawnWidth = innerWidth;
});
/** Width of a plot, which fills its place. */
const widthOf = (svg) => Math.max(Math.floor(svg.parentElement.clientWidth ? svg.getBoundingClientRect().width : 860), 260);

/** A curve's colour: dark ones are lightened where the page is dark. */
function look(label) {
  const colour = DATA.colours[label];
  if (!dark.matches) return colour;
  const parts = [1, 3, 5].map((k) => parseInt(colour.slice(k, k + 2), 16));
  const light = (0.3 * parts[0] + 0.59 * parts[1] + 0.11 * parts[2]) / 255;
  const mix = Math.max(0, 0.62 - light);
  return `rgb(${parts.map((part) => Math.round(part + (255 - part) * Math.min(1, 1.35 * mix))).join(",")})`;
}

/** A marker of a shape that Matplotlib's letters name, about `r` pixels in radius. */
function marker(letter, cx, cy, r, attributes) {
  const corners = (count, turn, inner) => Array.from({ length: inner ? 2 * count : count }, (_, k) => {
    const angle = turn + (2 * Math.PI * k) / (inner ? 2 * count : count), length = inner ? 1.5 * r * (k % 2 ? inner : 1) : r * 1.2;
    return `${(cx + length * Math.sin(angle)).toFixed(1)} ${(cy - length * Math.cos(angle)).toFixed(1)}`;
  });
  const shapes = {
    s: () => corners(4, Math.PI / 4), D: () => corners(4, 0), v: () => corners(3, Math.PI), "^": () => corners(3, 0),
    P: () => corners(4, 0, 0.5), X: () => corners(4, Math.PI / 4, 0.5), p: () => corners(5, 0), "*": () => corners(5, 0, 0.42),
  };
  if (!shapes[letter]) return make("circle", { cx, cy, r, ...attributes });
  return make("path", { d: `M${shapes[letter]().join("L")}Z`, ...attributes });
}

/** Make an element: tag, attributes, children (strings become text). */
function make(tag, attributes = {}, ...children) {
  const svgTags = ["svg", "g", "line", "path", "text", "circle", "rect", "title", "polyline", "clipPath"];
  const node = svgTags.includes(tag)
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** Fill a select with [value, text] pairs and tie it to a key of the state. */
function bindSelect(id, pairs, key) {
  const select = byId(id);
  select.replaceChildren(...pairs.map(([value, text]) => make("option", { value }, text)));
  if (!pairs.some(([value]) => value === state[key])) state[key] = pairs.length ? pairs[0][0] : "";
  select.value = state[key];
  select.addEventListener("change", () => update({ [key]: select.value }));
}

const tip = make("div", { id: "tip", hidden: "" });
document.body.append(tip);
/** Show a text beside the pointer, or hide it for an empty one. */
function showTip(event, text) {
  tip.hidden = !text;
  tip.textContent = text;
  if (!text) return;
  const x = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
  const y = event.clientY + 18 + tip.offsetHeight > innerHeight ? event.clientY - tip.offsetHeight - 10 : event.clientY + 18;
  tip.style.left = `${x}px`;
  tip.style.top = `${y}px`;
}

const round = (value, digits) => (value === null || value === undefined ? "–" : Number(value).toFixed(digits));
const digitsOf = (metric) => (metric.startsWith("psnr") || ["ssimulacra2", "fid", "ms_ssim"].includes(metric) ? 2 : 4);
const seconds = (value) => (value < 1 ? `${(value * 1000).toPrecision(3)} ms` : `${value.toPrecision(3)} s`);
/** BD-rate of a curve against an anchor, by label: {percent, overlap} or {reason}. */
const bdRate = (metric, anchor, label) => ((DATA.bd_rates[metric] || {})[anchor] || {})[label] || { reason: "not measured" };
const bdText = (value) => ("percent" in value ? `${value.percent > 0 ? "+" : ""}${value.percent.toFixed(1)} %${value.overlap < 0.5 ? "*" : ""}` : "–");

/** Round tick positions covering [low, high]: about `count` of them, or decades with 2 and 5 on a log axis. */
function ticks(low, high, count, logarithmic) {
  if (logarithmic) {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++)
      for (const factor of [1, 2, 5]) {
        const value = factor * 10 ** power;
        if (value >= low * 0.999 && value <= high * 1.001) found.push(value);
      }
    return found;
  }
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= raw) * power;
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) found.push(Number((k * step).toPrecision(12)));
  return found;
}

/** A plot's frame with axes, grid and titles; returns scales x and y and the group to draw in. */
function frame(svg, { width, height, xs, ys, logX, xTitle, yTitle, xText = String, yText = String }) {
  const box = { left: width < 500 ? 48 : 62, right: width - 14, top: 14, bottom: height - 46 };
  const scale = (range, low, high, logarithmic) => (value) => {
    const f = logarithmic ? Math.log10 : (v) => v;
    return low + ((f(value) - f(range[0])) / (f(range[1]) - f(range[0]))) * (high - low);
  };
  const x = scale(xs, box.left, box.right, logX);
  const y = scale(ys, box.bottom, box.top, false);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.style.height = `${height}px`;
  const clip = `clip-${svg.id}`;
  const inside = make("g", { "clip-path": `url(#${clip})` });
  const rectangle = { x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top };
  svg.replaceChildren(make("clipPath", { id: clip }, make("rect", rectangle)));
  for (const value of ticks(...xs, Math.max(3, Math.round(width / 107)), logX)) {
    svg.append(make("line", { class: "grid", x1: x(value), x2: x(value), y1: box.top, y2: box.bottom }));
    svg.append(make("text", { class: "tick", x: x(value), y: box.bottom + 16, "text-anchor": "middle" }, xText(value)));
  }
  for (const value of ticks(...ys, 7, false)) {
    svg.append(make("line", { class: "grid", x1: box.left, x2: box.right, y1: y(value), y2: y(value) }));
    svg.append(make("text", { class: "tick", x: box.left - 7, y: y(value) + 4, "text-anchor": "end" }, yText(value)));
  }
  svg.append(
    make("path", { class: "axis", d: `M${box.left} ${box.top}V${box.bottom}H${box.right}` }),
    make("text", { class: "title", x: (box.left + box.right) / 2, y: height - 8, "text-anchor": "middle" }, xTitle),
    make("text", { class: "title", transform: `translate(12 ${(box.top + box.bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, yTitle),
    inside,
  );
  return { x, y, inside, box };
}
