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
  const dashes = ["6 4", "2 3", "9 3 2 3", "4 2", "1 4", "12 4"];
  const dashOf = (curve) => (curve.source ? dashes[DATA.curves[state.metric].published.indexOf(curve) % dashes.length] : null);
  const isOwn = (curve) => curve.name.startsWith("nicodec-");

  function toggle(label) {
    const set = hidden();
    if (!set.delete(label)) set.add(label);
    update({ hidden: [...set].join("~") });
  }

  function entry(curve) {
    const colour = look(curve.label);
    const sample = make("svg", { viewBox: "0 0 30 12", "aria-hidden": "true" },
      make("line", { x1: 0, x2: 30, y1: 6, y2: 6, stroke: colour, "stroke-width": isOwn(curve) ? 3.5 : 2, "stroke-dasharray": dashOf(curve) }),
      curve.source ? null : marker(DATA.markers[curve.name], 15, 6, 4.2, { fill: colour }));
    const name = curve.source ? curve.name : curve.label;
    return make("button", {
      class: "entry", type: "button", "data-key": `curve ${curve.label}`, "aria-pressed": String(!hidden().has(curve.label)), title: curve.source || null,
      onclick: () => toggle(curve.label),
      onmouseenter: () => emphasise(curve.label), onmouseleave: () => emphasise(null),
      onfocus: () => emphasise(curve.label), onblur: () => emphasise(null),
    }, sample, make("span", {}, name));
  }

  function emphasise(label) {
    for (const group of byId("curves").querySelectorAll("[data-label]"))
      group.classList.toggle("faded", label !== null && group.dataset.label !== label);
  }

  /** Where a curve runs in the middle of the plot: legends name the uppermost first. */
  function heightAt(curve, rate) {
    const { rates, qualities } = curve;
    const k = rates.findIndex((each) => each >= rate);
    if (k < 0) return qualities[qualities.length - 1];
    if (k === 0) return qualities[0];
    return qualities[k - 1] + ((rate - rates[k - 1]) / (rates[k] - rates[k - 1])) * (qualities[k] - qualities[k - 1]);
  }

  function draw() {
    const shown = all().filter((curve) => !hidden().has(curve.label));
    const greatest = Number(state.greatest);
    const rates = shown.flatMap((curve) => curve.rates);
    const own = shown.filter((curve) => !curve.source).flatMap((curve) => curve.rates); // others' may reach further
    const logX = state.log === "1";
    const right = Math.min(greatest, Math.max(...(own.length ? own : rates), logX ? 0.02 : 0.1) * 1.02);
    const left = logX ? Math.min(...(own.length ? own : rates), right / 2) * 0.9 : 0;
    // A curve that goes on beyond the right edge is seen up to there.
    const leaves = (curve) => curve.rates[0] < right && curve.rates[curve.rates.length - 1] > right;
    const seen = shown.flatMap((curve) => [
      ...curve.qualities.filter((_, k) => curve.rates[k] >= left && curve.rates[k] <= right),
      ...(leaves(curve) ? [heightAt(curve, right)] : []),
    ]);
    const low = Math.min(...seen), high = Math.max(...seen), margin = (high - low || 1) * 0.04;
    const metric = DATA.metrics[state.metric];
    const digits = digitsOf(state.metric);
    const width = widthOf(byId("curves"));
    const { x, y, inside } = frame(byId("curves"), {
      width, height: Math.round(Math.min(560, Math.max(330, width * 0.65))), xs: [left, right], ys: seen.length ? [low - margin, high + margin] : [0, 1], logX,
      xTitle: "bits per pixel (whole file)", yTitle: metric.label + (metric.higher_is_better ? "" : ", lower is better"),
    });
    // The thickest first and the dashed last, so that no line hides another.
    const layer = (curve) => (isOwn(curve) ? 0 : curve.source ? 2 : 1);
    for (const curve of [...shown].sort((a, b) => layer(a) - layer(b))) {
      const points = curve.rates.map((rate, k) => [x(rate), y(curve.qualities[k])]);
      const group = make("g", { "data-label": curve.label }, make("polyline", {
        points: points.map((point) => point.join(",")).join(" "), fill: "none", stroke: look(curve.label),
        "stroke-width": isOwn(curve) ? 4.5 : curve.source ? 1.4 : 1.8, "stroke-dasharray": dashOf(curve),
      }));
      points.forEach(([cx, cy], k) => {
        const lines = [curve.label, `${round(curve.rates[k], 4)} bpp, ${round(curve.qualities[k], digits)}`];
        if (curve.settings.length) lines.push(`${DATA.codecs[curve.name].parameter} ${curve.settings[k]}`);
        if (curve.source) lines.push(`Source: ${curve.source}`);
        const events = { onmousemove: (event) => showTip(event, lines.join("\n")), onmouseleave: (event) => showTip(event, "") };
        const colour = look(curve.label);
        const dot = curve.source ? make("circle", { cx, cy, r: 1.8, fill: colour }) : marker(DATA.markers[curve.name], cx, cy, isOwn(curve) ? 6 : 4, { class: "marker", fill: colour });
        group.append(dot, make("circle", { cx, cy, r: 9, fill: "transparent", ...events }));
      });
      inside.append(group);
    }
    const { measured, published, pictures, left_out: leftOut } = DATA.curves[state.metric];
    const middle = logX ? Math.sqrt(left * right) : Math.min(0.5, right / 2);
    const up = metric.higher_is_better ? 1 : -1;
    const ordered = (curves) => [...curves].sort((a, b) => up * (heightAt(b, middle) - heightAt(a, middle)));
    byId("legend-measured").replaceChildren(...ordered(measured).map(entry));
    byId("legend-published").replaceChildren(...ordered(published).map(entry));
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
