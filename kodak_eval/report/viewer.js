// Two codecs on one picture at matched size: a divider to drag, flicker, their difference, and a table by picture.
{
  const viewer = DATA.viewer;
  const item = (picture, codec) => (viewer.images[picture] || {})[codec];
  const views = [["divider", "divider"], ["left", "left alone"], ["right", "right alone"], ["difference", "difference × 4"]];
  byId("viewer-section").hidden = !viewer.pictures.length;
  if (viewer.pictures.length) start();

  function start() {
    const codecs = viewer.codecs.map((name) => [name, name === "original" ? "Original" : DATA.codecs[name].label]);
    bindSelect("picture", viewer.pictures.map((name) => [name, name]), "picture");
    bindSelect("left", codecs, "left");
    bindSelect("right", codecs, "right");
    bindSelect("view", views, "view");
    bindSelect("by-metric", [...Object.entries(DATA.metrics).map(([name, metric]) => [name, metric.label]), ["size", "bytes"]], "by");
    byId("zoom").value = state.zoom;
    byId("zoom").addEventListener("change", (event) => update({ zoom: event.target.value }));
    byId("swap").addEventListener("click", () => {
      update({ left: state.right, right: state.left });
      byId("left").value = state.left;
      byId("right").value = state.right;
    });
    const stage = byId("stage"), scroll = byId("stage-scroll");
    const move = (event) => {
      const box = seen();
      update({ slider: String(Math.round(Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1) * 1000) / 10) });
      if (state.view !== "divider") choose("divider");
    };
    stage.addEventListener("pointerdown", (event) => { stage.setPointerCapture(event.pointerId); move(event); });
    stage.addEventListener("pointermove", (event) => { if (event.buttons) move(event); });
    stage.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey) return;
      const key = event.key.toLowerCase();
      const step = { arrowleft: -2, arrowright: 2, home: -100, end: 100 }[key];
      if (step) {
        update({ slider: String(Math.min(Math.max(Number(state.slider) + step, 0), 100)) });
        if (state.view !== "divider") choose("divider");
      } else if (key === "f") choose(state.view === "left" ? "right" : "left");
      else if (key === "d") choose(state.view === "difference" ? "divider" : "difference");
      else if (key === "escape") choose("divider");
      else return;
      event.preventDefault();
    });
    scroll.addEventListener("scroll", divide);
    addEventListener("resize", size);
    onState(["picture", "left", "right"], show);
    onState(["zoom", "picture"], size);
    onState(["slider", "zoom", "picture"], divide);
    onState(["view"], view);
    onState(["by", "picture"], table);
    byId("viewer-note").textContent =
      `Files of about ${viewer.bpp} bits per pixel; each codec at the setting that comes nearest. Decoded pictures are shown as AVIF 4:4:4 at quality 90, the original losslessly. ` +
      "Keys, once the picture has the focus: arrows move the divider, F flickers between left and right, D shows their difference, Esc the divider again.";
  }

  function choose(name) {
    update({ view: name });
    byId("view").value = name;
  }

  /** The part of the stage that is on screen: its left edge there, its width, and where it begins on the stage. */
  function seen() {
    const scroll = byId("stage-scroll").getBoundingClientRect(), stage = byId("stage").getBoundingClientRect();
    const left = Math.max(scroll.left, stage.left), width = Math.min(scroll.right, stage.right) - left;
    const top = Math.max(scroll.top, stage.top), height = Math.min(scroll.bottom, stage.bottom) - top;
    return { left, width, x: left - stage.left, y: top - stage.top, height, whole: stage.width };
  }

  function show() {
    for (const side of ["left", "right"]) {
      const found = item(state.picture, state[side]);
      const image = byId(`image-${side}`);
      if (found) image.src = `data:${found.type};base64,${byId(found.id).textContent.trim()}`;
      else image.removeAttribute("src");
      image.alt = `${state.picture}, ${state[side]}`;
      byId(`caption-${side}`).textContent = caption(state[side], found);
    }
  }

  function caption(codec, found) {
    if (codec === "original") return "Original";
    const label = DATA.codecs[codec].label;
    if (!found) return `${label}: no picture`;
    const values = Object.entries(found.values).map(([metric, value]) => `${DATA.metrics[metric].short} ${value === null ? "∞" : round(value, digitsOf(metric))}`);
    const away = Math.abs(found.bpp / viewer.bpp - 1) > 0.1 ? " (not matched)" : "";
    return `${label}, ${DATA.codecs[codec].parameter} ${found.setting}: ${found.size.toLocaleString("en")} bytes, ${round(found.bpp, 3)} bpp${away}; ${values.join(", ")}`;
  }

  function size() {
    const picture = DATA.dataset.pictures.find((entry) => entry.name === state.picture);
    const width = Math.min(picture.width, viewer.largest_side), height = Math.min(picture.height, viewer.largest_side);
    const stage = byId("stage");
    const room = byId("stage-scroll").clientWidth;
    const factor = state.zoom === "fit" ? Math.min(room / width, (innerHeight * 0.86) / height, 2) : Number(state.zoom);
    stage.style.width = `${Math.round(width * factor)}px`;
    stage.style.height = `${Math.round(height * factor)}px`;
    stage.classList.toggle("pixels", factor >= 2);
    divide();
  }

  function divide() {
    const part = seen();
    const share = part.whole ? Math.round((1000 * (part.x + (part.width * Number(state.slider)) / 100)) / part.whole) / 10 : Number(state.slider);
    byId("divider").style.left = `${share}%`;
    byId("divider").style.setProperty("--handle", `${Math.round(part.y + part.height / 2)}px`);
    byId("image-right").style.clipPath = `inset(0 0 0 ${share}%)`;
    byId("stage").setAttribute("aria-valuenow", state.slider);
  }

  function view() {
    for (const [name] of views) byId("stage").classList.toggle(name, state.view === name);
    const alone = { left: state.left, right: state.right }[state.view];
    byId("stage").setAttribute("aria-valuetext", alone ? `${state.view} alone` : state.view === "difference" ? "difference" : `${state.slider} %`);
  }

  /** One row a picture, one column a codec, at the matched size; the best of each row stands out. */
  function table() {
    const codecs = viewer.codecs.filter((name) => name !== "original");
    const better = state.by === "size" ? -1 : DATA.metrics[state.by].higher_is_better ? 1 : -1;
    const valueOf = (picture, codec) => {
      const found = item(picture, codec);
      return found && (state.by === "size" ? found.size : found.values[state.by]);
    };
    const rows = viewer.pictures.map((picture) => {
      const values = codecs.map((codec) => valueOf(picture, codec));
      const best = Math.max(...values.filter((value) => Number.isFinite(value)).map((value) => better * value));
      const button = make("button", { class: "entry", type: "button", "data-key": `picture ${picture}`, onclick: () => { update({ picture }); byId("picture").value = picture; } }, picture);
      return make("tr", { class: picture === state.picture ? "chosen" : "" }, make("th", {}, button), ...values.map((value) =>
        make("td", { class: better * value === best ? "wide" : "" }, value === null ? "∞" : value === undefined ? "–" : state.by === "size" ? value.toLocaleString("en") : round(value, digitsOf(state.by)))));
    });
    byId("by-picture").replaceChildren(
      make("thead", {}, make("tr", {}, make("th", {}, "picture"), ...codecs.map((name) => make("th", {}, DATA.codecs[name].label)))), make("tbody", {}, ...rows));
  }
}
