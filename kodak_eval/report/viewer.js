// Two codecs on one picture at matched size, with a divider to drag.
{
  const viewer = DATA.viewer;
  const item = (picture, codec) => (viewer.images[picture] || {})[codec];
  byId("viewer-section").hidden = !viewer.pictures.length;
  if (viewer.pictures.length) start();

  function start() {
    const codecs = viewer.codecs.map((name) => [name, name === "original" ? "Original" : DATA.codecs[name].label]);
    bindSelect("picture", viewer.pictures.map((name) => [name, name]), "picture");
    bindSelect("left", codecs, "left");
    bindSelect("right", codecs, "right");
    byId("zoom").value = state.zoom;
    byId("zoom").addEventListener("change", (event) => update({ zoom: event.target.value }));
    byId("swap").addEventListener("click", () => {
      update({ left: state.right, right: state.left });
      byId("left").value = state.left;
      byId("right").value = state.right;
    });
    const stage = byId("stage");
    const move = (event) => {
      const box = stage.getBoundingClientRect();
      update({ slider: String(Math.round(Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1) * 1000) / 10) });
    };
    stage.addEventListener("pointerdown", (event) => { stage.setPointerCapture(event.pointerId); move(event); });
    stage.addEventListener("pointermove", (event) => { if (event.buttons) move(event); });
    stage.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -2, ArrowRight: 2, Home: -100, End: 100 }[event.key];
      if (!step) return;
      event.preventDefault();
      update({ slider: String(Math.min(Math.max(Number(state.slider) + step, 0), 100)) });
    });
    addEventListener("resize", size);
    onState(["picture", "left", "right"], show);
    onState(["zoom", "picture"], size);
    onState(["slider"], divide);
    byId("viewer-note").textContent =
      `Files of about ${viewer.bpp} bits per pixel; each codec at the setting that comes nearest. Decoded pictures are shown as AVIF 4:4:4 at quality 90, the original losslessly. Arrow keys move the divider.`;
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
  }

  function divide() {
    byId("divider").style.left = `${state.slider}%`;
    byId("image-right").style.clipPath = `inset(0 0 0 ${state.slider}%)`;
    byId("stage").setAttribute("aria-valuenow", state.slider);
  }
}
