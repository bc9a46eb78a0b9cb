// The head line, failures, versions, command lines and sources.
{
  const set = DATA.dataset;
  byId("facts").textContent =
    `${set.pictures.length} pictures of ${set.name}${set.verified ? ", verified by checksums" : ""}; made ${DATA.created} in ${DATA.seconds < 120 ? `${Math.round(DATA.seconds)} s` : `${Math.round(DATA.seconds / 60)} min`} ` +
    `on ${DATA.machine.cpu}, ${DATA.machine.cores} cores, ${DATA.machine.system}, Python ${DATA.machine.python}. Command: ${DATA.command.join(" ")}`;

  const table = (heads, rows) => make("table", {}, make("thead", {}, make("tr", {}, ...heads.map((text) => make("th", {}, text)))),
    make("tbody", {}, ...rows.map((cells) => make("tr", {}, ...cells.map((cell) => make("td", { class: "left" }, cell))))));

  const rows = DATA.failures.map((row) => [row.picture, row.codec || "every codec", row.what, row.reason]);
  for (const [name, reason] of Object.entries(DATA.missing)) rows.push(["–", name, "not run", reason]);
  byId("failures").append(rows.length ? table(["picture", "codec", "what", "reason"], rows) : make("p", {}, "Nothing."));

  const code = (text) => make("code", {}, text);
  byId("method").append(table(["codec", "version", "commands"], Object.values({ ...DATA.codecs, ...DATA.agreement.codecs }).map((codec) => {
    const settings = Object.keys(codec.commands);
    return [codec.label, codec.version, make("span", {}, code(codec.commands[settings[0]]), ` with ${codec.parameter} ${settings.join(", ")}`)];
  })));
  const sources = new Map();
  for (const { published } of Object.values(DATA.curves)) for (const curve of published) sources.set(curve.name, curve.source);
  if (sources.size) byId("method").append(table(["published curve", "source"], [...sources]));
  document.documentElement.dataset.ready = "1";
}
