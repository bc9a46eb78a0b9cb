"use strict";
// The page's state lives in the address (#key=value), so that a view can be sent as a link and tested without a mouse.
window.addEventListener("error", (event) => {
  document.documentElement.dataset.error = `${event.message} (line ${event.lineno})`;
});
const DATA = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const V = DATA.viewer;
const state = { anchor: DATA.anchor, clip: V.clips[0] || "", left: V.left, right: V.right, slider: "50", zoom: "1", frame: "0" };
const initial = { ...state };
for (const [key, value] of new URLSearchParams(location.hash.slice(1))) if (key in state) state[key] = value;
function remember() {
  const hash = new URLSearchParams(Object.entries(state).filter(([key, value]) => value !== initial[key]));
  try {
    history.replaceState(null, "", `#${hash}`);
  } catch {
    // a browser that forbids it for files: the page works, links do not carry the view
  }
}
/** Make an element: tag, attributes, children (strings become text). */
function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) if (value !== null && value !== undefined) node.setAttribute(key, value);
  node.append(...children);
  return node;
}
function bind(id, pairs, key, draw) {
  const select = byId(id);
  if (pairs) select.replaceChildren(...pairs.map(([value, text]) => make("option", { value }, text)));
  if (![...select.options].some((option) => option.value === state[key])) state[key] = select.options.length ? select.options[0].value : "";
  select.value = state[key];
  select.addEventListener("change", () => {
    state[key] = select.value;
    remember();
    draw();
  });
}
const label = (name) => (DATA.codecs[name] ? DATA.codecs[name].label : "original");
const row = (kind, cells) => make("tr", {}, ...cells.map((cell) => (cell instanceof Node ? cell : make(kind, {}, String(cell)))));

function drawTable() {
  const clips = [...DATA.clips.map((clip) => clip.name), "mean"];
  const body = Object.keys(DATA.codecs)
    .filter((codec) => codec !== state.anchor)
    .map((codec) => {
      const values = ((DATA.bd_rates[state.anchor] || {})[codec]) || {};
      const cells = clips.map((clip) => {
        const value = values[clip] || { reason: "not measured" };
        if (!("percent" in value)) return make("td", { title: value.reason }, "–");
        const text = `${value.percent > 0 ? "+" : ""}${value.percent.toFixed(1)}${value.overlap < 0.5 ? "*" : ""}`;
        return make("td", { class: clip === "mean" ? "wide" : null, title: `${value.low.toFixed(1)} to ${value.high.toFixed(1)} dB` }, text);
      });
      return row("td", [make("th", {}, label(codec)), ...cells]);
    });
  byId("bd").replaceChildren(make("thead", {}, row("th", ["codec, %", ...clips])), make("tbody", {}, ...body));
}
bind("anchor", Object.keys(DATA.codecs).map((name) => [name, label(name)]), "anchor", drawTable);
drawTable();

// --- the player: two videos, one scrubber --------------------------------------------------------------------
const videos = { left: byId("video-left"), right: byId("video-right") };
const urls = new Map();
/** The address of an embedded clip, made when it is first shown. */
function url(id) {
  if (!urls.has(id)) {
    const bytes = Uint8Array.from(atob(byId(id).textContent), (char) => char.charCodeAt(0));
    urls.set(id, URL.createObjectURL(new Blob([bytes], { type: "video/mp4" })));
  }
  return urls.get(id);
}
let playing = false;
let begun = 0;
const clipFacts = () => V.facts[state.clip];
const current = () => Math.min(Number(state.frame), clipFacts().frames - 1);
function caption(side) {
  const held = V.videos[state.clip][state[side]];
  const parts = [label(state[side])];
  if (held.bpp) parts.push(`${held.size.toLocaleString("en")} bytes, ${held.bpp.toFixed(4)} bpp, ${(held.bit_rate / 1000).toFixed(0)} kbit/s`);
  if (held.psnr.length) parts.push(`this frame ${held.psnr[current()].toFixed(2)} dB, ${Math.round(held.bits[current()]).toLocaleString("en")} bits`);
  byId(`caption-${side}`).textContent = parts.join(" · ");
}
/** Show a frame on both sides: the middle of its time, so that rounding never shows the one before. */
function show(number) {
  const { frames, rate } = clipFacts();
  state.frame = String(((number % frames) + frames) % frames);
  for (const side of ["left", "right"]) {
    const time = (current() + 0.5) / rate;
    if (Math.abs(videos[side].currentTime - time) > 0.2 / rate) videos[side].currentTime = time;
    caption(side);
  }
  byId("scrubber").value = state.frame;
  byId("frame-number").textContent = `${current() + 1} / ${frames}`;
}
function step(now) {
  if (!playing) return;
  const { rate, frames } = clipFacts();
  const due = Math.floor(((now - begun) / 1000) * rate * Number(byId("speed").value));
  const ready = videos.left.readyState >= 2 && videos.right.readyState >= 2 && !videos.left.seeking && !videos.right.seeking;
  if (ready && due % frames !== current()) show(due);
  requestAnimationFrame(step);
}
function play(on) {
  playing = on;
  byId("play").textContent = on ? "pause" : "play";
  if (on) {
    const { rate } = clipFacts();
    begun = performance.now() - (current() / (rate * Number(byId("speed").value))) * 1000;
    requestAnimationFrame(step);
  } else remember();
}
function drawStage() {
  const { width, height, frames } = clipFacts();
  const stage = byId("stage");
  stage.style.width = `${width * Number(state.zoom)}px`;
  stage.style.height = `${height * Number(state.zoom)}px`;
  stage.classList.toggle("pixels", Number(state.zoom) > 1);
  byId("divider").style.left = `${state.slider}%`;
  stage.setAttribute("aria-valuenow", state.slider);
  videos.right.style.clipPath = `inset(0 0 0 ${state.slider}%)`;
  byId("scrubber").max = frames - 1;
}
function load() {
  const held = V.videos[state.clip];
  for (const side of ["left", "right"]) {
    if (!(state[side] in held)) state[side] = "original";
    byId(side).value = state[side];
    const source = url(held[state[side]].id);
    if (videos[side].src !== source) videos[side].src = source;
    videos[side].dataset.shows = state[side];
  }
  drawStage();
  show(Number(state.frame));
}
function slide(event) {
  const box = byId("stage").getBoundingClientRect();
  state.slider = String(Math.round(Math.min(100, Math.max(0, ((event.clientX - box.left) / box.width) * 100))));
  drawStage();
}
if (V.clips.length) {
  const names = ["original", ...Object.keys(DATA.codecs)].map((name) => [name, label(name)]);
  bind("clip", V.clips.map((name) => [name, name]), "clip", load);
  bind("left", names, "left", load);
  bind("right", names, "right", load);
  bind("zoom", null, "zoom", drawStage);
  byId("play").addEventListener("click", () => play(!playing));
  byId("speed").addEventListener("change", () => play(playing));
  byId("scrubber").addEventListener("input", () => {
    play(false);
    show(Number(byId("scrubber").value));
  });
  byId("stage").addEventListener("pointerdown", (event) => {
    slide(event);
    byId("stage").setPointerCapture(event.pointerId);
  });
  byId("stage").addEventListener("pointermove", (event) => event.buttons && slide(event));
  byId("stage").addEventListener("pointerup", remember);
  byId("stage").addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: -2, ArrowRight: 2 };
    if (event.key in moves) {
      state.slider = String(Math.min(100, Math.max(0, Number(state.slider) + moves[event.key])));
      drawStage();
    } else if (event.key === " ") play(!playing);
    else if (event.key === "." || event.key === ",") {
      play(false);
      show(current() + (event.key === "." ? 1 : -1));
    } else return;
    event.preventDefault();
    remember();
  });
  for (const side of ["left", "right"]) videos[side].addEventListener("loadeddata", () => show(Number(state.frame)));
  load();
} else byId("viewer-section").hidden = true;

// --- tables ---------------------------------------------------------------------------------------------------
const fps = (value) => (value === null ? "–" : value >= 100 ? value.toFixed(0) : value.toPrecision(2));
byId("speed-table").replaceChildren(
  make("thead", {}, row("th", ["codec", "encode", "decode"])),
  make("tbody", {}, ...Object.values(DATA.codecs).map((codec) => row("td", [make("th", {}, codec.label), ...codec.fps.map(fps)]))),
);
const heads = Object.keys(DATA.published[0] || {});
byId("published").replaceChildren(
  make("thead", {}, row("th", heads)),
  make("tbody", {}, ...DATA.published.map((line) => row("td", heads.map((head) => line[head] || "–")))),
);
const failures = [...Object.entries(DATA.missing).map(([name, reason]) => ["", name, "not run", reason]), ...DATA.failures.map((f) => [f.clip, f.codec, f.what, f.reason])];
byId("failures").replaceChildren(
  failures.length
    ? make("table", {}, make("thead", {}, row("th", ["clip", "codec", "what", "reason"])), make("tbody", {}, ...failures.map((f) => row("td", f))))
    : "Nothing.",
);
byId("method").replaceChildren(
  make("table", {}, make("thead", {}, row("th", ["codec", "version", "command of each setting"])),
    make("tbody", {}, ...Object.values(DATA.codecs).map((codec) =>
      row("td", [make("th", {}, codec.label), make("td", { class: "left" }, codec.version),
        make("td", { class: "left" }, ...Object.values(codec.commands).flatMap((command) => [make("code", {}, command), make("br")]))])))),
);
document.documentElement.dataset.ready = "1";
