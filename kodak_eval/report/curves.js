// Rate-distortion curves with a legend that hides and shows, and the BD-rate matrix.
{
  const metricPairs = Object.entries(DATA.metrics).map(([name, metric]) => [name, metric.label]);
  bindSelect("metric", metricPairs, "metric");
  bindSelect("matrix-metric", metricPairs, "matrix");
  bindSelect("greatest", [["0.5", "0.5"], ["1", "1"], ["1.5", "1.5"], ["2", "2"], ["9", "all"]], "greatest");
  byId("log-rate").checked = state.log === "1";
  byId("log-rate").addEventListener("change", (event) => update({ log: event.target.checked ? "1" : "0" }));

  const hidden = () => new Set(state.hidden.split("~").filter(Boolean));
  const all = () => {
    const { measured, published } = DATA.curves[state.metric];
    return [...published, ...measured];
  };
  const look = (curve) => DATA.colours[curve.label];
  const isOwn = (curve) => curve.name.startsWith("nicodec-");

  function toggle(label) {
    const set = hidden();
    if (!set.delete(label)) set.add(label);
    update({ hidden: [...set].join("~") });
  }

  function entry(curve) {
    const dash = curve.source ? "5 3" : null;
    const sample = make("svg", { viewBox: "0 0 30 12" }, make("line", { x1: 0, x2: 30, y1: 6, y2: 6, stroke: look(curve), "stroke-width": isOwn(curve) ? 3.5 : 2, "stroke-dasharray": dash }));
    const name = curve.source ? curve.name : curve.label;
    return make("button", {
      class: "entry", type: "button", "aria-pressed": String(!hidden().has(curve.label)), title: curve.source || null,
      onclick: () => toggle(curve.label),
      onmouseenter: () => emphasise(curve.label), onmouseleave: () => emphasise(null),
    }, sample, make("span", {}, name));
  }

  function emphasise(label) {
    for (const group of byId("curves").querySelectorAll("[data-label]"))
      group.classList.toggle("faded", label !== null && group.dataset.label !== label);
  }

  function draw() {
    const shown = all().filter((curve) => !hidden().has(curve.label));
    const greatest = Number(state.greatest);
    const rates = shown.flatMap((curve) => curve.rates);
    const right = Math.min(greatest, Math.max(...rates, 0.1) * 1.02);
    const logX = state.log === "1";
    const left = logX ? Math.min(...rates, right / 2) * 0.9 : 0;
    const seen = shown.flatMap((curve) => curve.qualities.filter((_, k) => curve.rates[k] <= right));
    const low = Math.min(...seen), high = Math.max(...seen), margin = (high - low || 1) * 0.04;
    const metric = DATA.metrics[state.metric];
    const digits = digitsOf(state.metric);
    const { x, y, inside } = frame(byId("curves"), {
      width: 860, height: 560, xs: [left, right], ys: seen.length ? [low - margin, high + margin] : [0, 1], logX,
      xTitle: "bits per pixel (whole file)", yTitle: metric.label + (metric.higher_is_better ? "" : ", lower is better"),
    });
    for (const curve of shown) {
      const points = curve.rates.map((rate, k) => [x(rate), y(curve.qualities[k])]);
      const group = make("g", { "data-label": curve.label }, make("polyline", {
        points: points.map((point) => point.join(",")).join(" "), fill: "none", stroke: look(curve),
        "stroke-width": isOwn(curve) ? 3.2 : curve.source ? 1.4 : 2, "stroke-dasharray": curve.source ? "6 4" : null,
      }));
      points.forEach(([cx, cy], k) => {
        const lines = [curve.label, `${round(curve.rates[k], 4)} bpp, ${round(curve.qualities[k], digits)}`];
        if (curve.settings.length) lines.push(`${DATA.codecs[curve.name].parameter} ${curve.settings[k]}`);
        if (curve.source) lines.push(`Source: ${curve.source}`);
        const events = { onmousemove: (event) => showTip(event, lines.join("\n")), onmouseleave: (event) => showTip(event, "") };
        group.append(make("circle", { cx, cy, r: curve.source ? 1.8 : 3.6, fill: look(curve) }), make("circle", { cx, cy, r: 9, fill: "transparent", ...events }));
      });
      inside.append(group);
    }
    const { measured, published, pictures, left_out: leftOut } = DATA.curves[state.metric];
    byId("legend-measured").replaceChildren(...measured.map(entry));
    byId("legend-published").replaceChildren(...published.map(entry));
    byId("published-box").hidden = !published.length;
    const omitted = Object.keys(leftOut).length;
    byId("curve-note").textContent =
      `Means over ${pictures.length} of ${DATA.dataset.pictures.length} pictures, by ${metric.by}.` +
      (omitted ? " Left out: " + Object.entries(leftOut).map(([name, reason]) => `${name} (${reason})`).join("; ") + "." : "") +
      (published.length ? " Dashed curves are other people's figures, not measured here; their sources are in the legend's hints and at the end." : "");
  }
  onState(["metric", "log", "greatest", "hidden"], draw);

  function drawMatrix() {
    const { measured, published } = DATA.curves[state.matrix];
    const head = make("tr", {}, make("th", {}, "anchor"), ...measured.map((curve) => make("th", {}, curve.label)));
    const rows = [...measured, ...published].map((anchor) =>
      make("tr", { class: anchor.source ? "published" : "" }, make("th", { title: anchor.source || null }, anchor.source ? anchor.name : anchor.label),
        ...measured.map((curve) => {
          const value = bdRate(state.matrix, anchor.label, curve.label);
          return make("td", { style: shade(value), title: value.reason || `quality ${round(value.low, 3)} to ${round(value.high, 3)}, ${Math.round(value.overlap * 100)} % of the range` }, bdText(value));
        })));
    byId("matrix").replaceChildren(make("thead", {}, head), make("tbody", {}, ...rows));
  }
  const shade = (value) => {
    if (!("percent" in value) || value.percent === 0) return "";
    const strength = Math.min(Math.abs(value.percent) / 60, 1) * 0.35;
    return `background: rgba(${value.percent < 0 ? "30, 130, 76" : "200, 60, 50"}, ${strength.toFixed(2)})`;
  };
  onState(["matrix"], drawMatrix);
}
