// BD-rates of the same pairs by live anchors and by published curves.
{
  const { rows, tolerance } = DATA.agreement;
  byId("agreement-section").hidden = !rows.length;
  const signed = (value, unit) => (value === null ? "–" : `${value > 0 ? "+" : ""}${value.toFixed(1)}${unit}`);
  const head = ["pair", "published", "best settings", "gap", "as published", "gap", `cause of a gap above ${tolerance} points`];
  const body = rows.map((row) => {
    const gap = (value) => make("td", value !== null && Math.abs(value) > tolerance ? { class: "wide" } : {}, signed(value, ""));
    return make("tr", {}, make("th", {}, `${row.codec} against ${row.anchor}`),
      make("td", {}, signed(row.published, " %")),
      make("td", {}, signed(row.best, " %")), gap(row.best_gap),
      make("td", {}, signed(row.alike, " %")), gap(row.alike_gap),
      make("td", { class: "left" }, row.cause));
  });
  byId("agreement").replaceChildren(make("thead", {}, make("tr", {}, ...head.map((text) => make("th", {}, text)))), make("tbody", {}, ...body));
}
