// Times against BD-rate, and the table of times.
{
  const speeds = DATA.speeds.filter((speed) => !speed.error);
  byId("speed-section").hidden = !speeds.length;
  const anchors = Object.keys(DATA.bd_rates[Object.keys(DATA.metrics)[0]] || {});
  if (speeds.length) {
    bindSelect("anchor", anchors.map((label) => [label, label]), "anchor");
    byId("time").value = state.time;
    byId("time").addEventListener("change", (event) => update({ time: event.target.value }));
    onState(["anchor", "time", "metric"], draw);
    table();
  }

  function draw() {
    const points = speeds
      .map((speed) => ({ speed, value: bdRate(state.metric, state.anchor, speed.label), time: speed[state.time] / speed.megapixels }))
      .filter((point) => "percent" in point.value);
    const svg = byId("scatter");
    if (!points.length) {
      svg.setAttribute("viewBox", "0 0 860 40");
      svg.style.height = "40px";
      svg.replaceChildren(make("text", { class: "tick", x: 10, y: 24 }, "No codec has both a time and a BD-rate against this anchor."));
      return;
    }
    const times = points.map((point) => point.time), rates = points.map((point) => point.value.percent);
    const span = Math.max(...rates) - Math.min(...rates) || 10;
    const width = widthOf(svg);
    const { x, y, inside, box } = frame(svg, {
      width, height: Math.round(Math.min(420, Math.max(320, width * 0.6))), logX: true,
      xs: [Math.min(...times) / 1.8, Math.max(...times) * 1.8],
      ys: [Math.min(...rates) - span * 0.12, Math.max(...rates) + span * 0.12],
      xTitle: `${state.time === "decode_seconds" ? "decode" : "encode"}, seconds a megapixel (left is faster)`,
      yTitle: `BD-rate % (${DATA.metrics[state.metric].short}), lower is better`,
    });
    const placed = points.map((point) => [x(point.time) - 6, x(point.time) + 6, y(point.value.percent) + 4]);
    for (const { speed, value, time } of points.sort((a, b) => a.value.percent - b.value.percent)) {
      const cx = x(time), cy = y(value.percent), colour = look(speed.label);
      const text = `${speed.label}\nBD-rate ${bdText(value)}\nencode ${seconds(speed.encode_seconds)}, decode ${seconds(speed.decode_seconds)}`;
      const name = speed.label.split(" (")[0];
      const [left, right, ty] = place(placed, cx, cy, 7 * name.length, box);
      placed.push([left, right, ty]);
      inside.append(
        marker(DATA.markers[speed.codec], cx, cy, speed.codec.startsWith("nicodec-") ? 9 : 6, { class: "marker", fill: colour, onmousemove: (event) => showTip(event, text), onmouseleave: (event) => showTip(event, "") }),
        make("text", { x: (left + right) / 2, y: ty, fill: colour, "text-anchor": "middle" }, name),
      );
    }
  }

  /** Left, right and base line of the first free place for a label beside a dot: right, left, above, below, further. */
  function place(placed, cx, cy, wide, box) {
    const free = ([left, right, y0]) =>
      left >= box.left && right <= box.right && y0 > box.top + 10 && y0 < box.bottom &&
      !placed.some(([l, r, y1]) => l < right && r > left && Math.abs(y1 - y0) < 13);
    const places = [[cx + 11, cx + 11 + wide, cy + 4], [cx - 11 - wide, cx - 11, cy + 4]];
    for (const away of [15, 28, 41, 54])
      for (const shift of [0, wide / 2 - 6, 6 - wide / 2])
        for (const sign of [-1, 1]) places.push([cx - wide / 2 + shift, cx + wide / 2 + shift, cy + 4 + sign * away]);
    return places.find(free) || places[0];
  }

  function table() {
    const base = speeds.find((speed) => speed.codec.startsWith("nicodec-")) || speeds[0];
    const ratio = (value, other) => `${value / other < 100 ? (value / other).toPrecision(3) : Math.round(value / other)}×`;
    const head = ["codec", "setting", "load", "encode", "ratio", "decode", "ratio", "peak memory", "of it the codec"];
    const rows = speeds.map((speed) => make("tr", {}, make("th", {}, speed.label), ...[
      speed.setting, seconds(speed.load_seconds), seconds(speed.encode_seconds), ratio(speed.encode_seconds, base.encode_seconds),
      seconds(speed.decode_seconds), ratio(speed.decode_seconds, base.decode_seconds), `${Math.round(speed.peak_mib)} MiB`, `${Math.round(speed.extra_mib)} MiB`,
    ].map((cell) => make("td", {}, String(cell)))));
    byId("speeds").replaceChildren(make("thead", {}, make("tr", {}, ...head.map((text) => make("th", {}, text)))), make("tbody", {}, ...rows));
    const failed = DATA.speeds.filter((speed) => speed.error).map((speed) => `${speed.label}: ${speed.error}`);
    byId("speed-note").textContent =
      `Wall time a picture from pixels to bytes and back, median of ${base.pictures} pictures of ${round(base.megapixels, 2)} megapixels, warm, each codec alone in its process, ` +
      `${base.threads} threads on ${DATA.machine.cpu} (${DATA.machine.cores} cores); loading is apart. Ratios are to ${base.label}.` +
      (failed.length ? ` Not timed: ${failed.join("; ")}.` : "");
  }
}
