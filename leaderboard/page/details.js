// What opens on a click: one cell with its folds, confusions, provenance and audit.

async function openDetails(boardIndex, cellIndex) {
  const dialog = byId("details"), board = DATA.boards[boardIndex], cell = board.cells[cellIndex];
  const body = make("div", { class: "body" }, make("p", { class: "quiet" }, "Unpacking\u2026"));
  dialog.replaceChildren(
    make("div", { class: "bar" },
      make("div", {}, make("h2", { id: "details-title" }, `${called(cell[0])} \u00b7 ${board.name} \u00b7 ${board.head}`),
        make("p", {}, `${board.metric} ${figure(cell[1], formOf(board.metric))}` +
          `${interval(cell[2], cell[3], formOf(board.metric))}, ${board.unit}` +
          (cell[4] === null ? "" : `; rank ${ranks(cell[4], cell[5])} of ${board.ranked}`)),
        (DATA.cards || []).filter(([name]) => name === cell[0]).map(([, address]) =>
          make("p", {}, make("a", { href: address }, "Card of this upstream")))),
      make("button", { type: "button", class: "plain", onclick: () => dialog.close() }, "Close")),
    body);
  if (!dialog.open) dialog.showModal();
  try {
    const { task, cells } = await unpack("details", boardIndex);
    body.replaceChildren(...sections(board, task, cells[cellIndex]));
  } catch (error) {
    body.replaceChildren(make("p", { class: "notice" }, error.message));
  }
}

function sections(board, task, record) {
  const scores = record.scores, up = record.upstream, run = record.run;
  const parts = [];
  const add = (title, ...content) => {
    const kept = content.filter(Boolean);
    if (kept.length) parts.push(make("section", {}, make("h3", {}, title), kept));
  };
  const said = record.marks.filter((mark) => mark !== "reference");
  if (said.length) {
    const meaning = new Map(DATA.marks);
    add("Marks", make("ul", { class: "notes" }, said.map((mark) => make("li", {}, make("strong", {}, mark), `: ${meaning.get(mark)}`))));
  }
  add("Figures", make("div", { class: "pair" }, metricTable(scores), published(task, record.cell.upstream)));
  if (scores.confusion) {
    add("Recall of each class and confusions",
      make("div", { class: "pair" }, recallTable(scores.recall), confusion(task.classes, scores.confusion)),
      make("p", { class: "quiet" }, "Confusions: percent of the row's true class, all folds, first seed."));
  }
  add("Folds", foldTable(scores.folds, record.chosen.folds, task));
  add("Layers", layerPlots(record, task));
  add("How it was made", definitions({
    upstream: [up.title, up.name].filter(Boolean).join(" \u00b7 "),
    "what it was trained on": up.seen === null ? null : typeof up.seen === "string" ? up.seen :
      Object.entries(up.seen).map(([corpus, level]) => `${corpus} (${level})`).join(", ") || "nothing",
    weights: up.weights,
    licence: up.licence,
    fingerprint: up.fingerprint,
    size: [up.depth && plural(up.depth, "layer"), up.width && `${up.width} values a layer`,
      up.parameters && `${(up.parameters / 1e6).toFixed(2)} M parameters`].filter(Boolean).join(", "),
    "made of": partsOf(up.name),
    input: inputOf(up.name),
    trained: record.downstream.trained && [record.downstream.trained,
      record.downstream.trainable && `${(record.downstream.trainable / 1e6).toFixed(2)} M values`,
      record.downstream.hours && `${record.downstream.hours.toPrecision(3)} h`].filter(Boolean).join(", "),
    head: `${record.downstream.name}${record.downstream.deterministic ? ", deterministic" : ""}`,
    "head's settings": listed(record.downstream.settings),
    "seeds; precision": `${record.cell.seeds.join(", ")}; ${record.cell.precision}`,
    utterances: listed(up.counts),
    "real-time factor": record.real_time_factor?.toPrecision(3),
    seconds: listed(run.seconds),
    "peak memory": run.peak_memory_mb && `${Math.round(run.peak_memory_mb)} MB`,
    device: [run.device, run.processor].filter(Boolean).join("; "),
    "brought by": record.contributor,
    versions: `emorep ${run.emorep}${run.git_commit ? ` (${run.git_commit})` : ""}, ${listed(run.versions)}`,
    "earlier runs": record.earlier_runs.map((r) => `emorep ${r.emorep}, ${r.device}, ${listed(r.versions)}`).join("; "),
    created: record.created,
    key: record.cell.key,
    predictions: `${record.files.predictions.name}, sha256 ${record.files.predictions.sha256}`,
  }));
  add("What was asked, and its audit", definitions({
    task: `${task.title} (${task.language}), version ${task.version}`,
    classes: task.classes.length ? `${task.classes.join(", ")}; chance UA ${task.chance}` : "",
    corpus: `${task.corpus}; licence: ${task.licence}`,
    family: task.family,
    counted: listed(task.counts),
    tested: `${plural(scores.counts.n, "utterance")}, ${scores.counts.speakers === null ? "speakers unknown" :
      plural(scores.counts.speakers, "speaker")}, ${plural(scores.counts.folds, "fold")}`,
    intervals: `over ${plural(scores.counts.groups, board.group_by)}`,
    audit: `${task.audit} (of ids, targets, folds, audio)`,
    "certificate": `python -m tasks audit ${task.name}`,
    "test opened": `${plural(opened(board), "time")}, all heads and versions`,
  }), task.notes.length ? make("ul", { class: "notes" }, task.notes.map((note) => make("li", {}, note))) : null);
  return parts;
}

function listed(values) {
  const text = (value) => (Array.isArray(value) ? value.join(" ") : value && typeof value === "object" ? `(${listed(value)})` :
    typeof value === "number" ? String(Number(value.toPrecision(4))) : String(value));
  return Object.entries(values).map(([key, value]) => `${key} ${text(value)}`).join(", ");
}

function definitions(facts) {
  return make("dl", {}, Object.entries(facts).filter(([, value]) => value).map(([name, value]) =>
    [make("dt", {}, name), make("dd", {}, value)]));
}

function metricTable(scores) {
  const last = scores.last_layer;
  const several = scores.counts.seeds > 1;
  const header = ["metric", "pooled", "95 % interval", ...(several ? ["each seed"] : []), ...(last ? ["last layer"] : [])];
  const lines = Object.entries(scores.metrics).map(([name, score]) => {
    const form = formOf(name);
    return [name, figure(score.value, form),
      score.low === null ? (score.undefined ? `undefined without ${plural(score.undefined, "group")}` : NONE) :
        interval(score.low, score.high, form).trim(),
      ...(several ? [scores.by_seed[name].map((value) => figure(value, form)).join("  ")] : []),
      ...(last ? [figure(last[name] ?? null, form)] : [])];
  });
  if (scores.WA_folds !== null) {
    lines.push(["WA, mean of folds", figure(scores.WA_folds, formOf("WA")), "", ...(several ? [""] : []), ...(last ? [""] : [])]);
  }
  return plainTable(header, lines, (index) => index > 0);
}

/** Published figures of the task, this upstream's first; open where there are such. */
function published(task, upstream) {
  const own = task.published.filter((p) => p.upstreams.includes(upstream));
  const others = task.published.filter((p) => !p.upstreams.includes(upstream));
  if (!task.published.length) return null;
  const table = plainTable(["upstream", "metric", "value", "head", "protocol", "source"], [...own, ...others].map((p) =>
    [p.called, p.metric, figure(p.value, formOf(p.metric)) + (p.contaminated ? ` (${p.contaminated})` : ""), p.head || NONE,
      p.matches ? "the same" + (p.difference ? ` but ${p.difference}` : "") : `another: ${p.difference || "see the source"}`, p.source]));
  return make("details", { open: own.length > 0 },
    make("summary", {}, `${plural(task.published.length, "published figure")}, of this upstream ${own.length || "none"}`), table);
}

function recallTable(recall) {
  const form = formOf("UA");  // the mean of these recalls
  return plainTable(["class", "recall", ""], Object.entries(recall).map(([name, score]) => {
    const drawn = whisker(score.value, score.low, score.high, [0, 100]);
    drawn.setAttribute("width", 110);
    return [name, figure(score.value, form) + interval(score.low, score.high, form), drawn];
  }));
}

function foldTable(folds, choices, task) {
  const metrics = folds[0]?.metrics ? Object.keys(folds[0].metrics) : [];
  const chosen = [...new Set(choices.flatMap(Object.keys))].filter((key) => key !== "fold" && key !== "seed");
  const value = (content) => (typeof content === "number" ? String(Number(content.toPrecision(4))) : content === null ? NONE : String(content));
  const ofFold = (fold, key) => [...new Set(choices.filter((c) => c.fold === fold).map((c) => value(c[key] ?? null)))].join(", ");
  const lines = folds.map((fold) => [fold.fold, String(fold.n),
    ...(task.classes.length ? [fold.classes_in_test === null ? NONE : `${fold.classes_in_test} of ${task.classes.length}`] : []),
    ...metrics.map((name) => figure(fold.metrics?.[name] ?? null, formOf(name))),
    ...chosen.map((key) => ofFold(fold.fold, key))]);
  return plainTable(["fold", "n", ...(task.classes.length ? ["classes"] : []), ...metrics, ...chosen.map((key) => `chosen: ${key}`)],
    lines, (index) => index > 0);
}

function layerPlots(record, task) {
  const lines = [];
  if ((record.scores.by_layer?.length ?? 0) > 1) {
    lines.push({ name: "test, had every fold taken it", values: record.scores.by_layer, intervals: record.layer_intervals });
  }
  if ((record.chosen.dev_by_layer?.length ?? 0) > 1) lines.push({ name: "dev, which chose", values: record.chosen.dev_by_layer });
  const drawn = lines.length ? curves(lines, task.headline) : null;
  const weights = record.weights?.values.length > 1 ? curves([{ name: "learned weight", values: record.weights.values }],
    record.weights.normed ? "weight x norm" : "weight") : null;
  return drawn || weights ? make("div", { class: "pair" }, drawn, weights) : null;
}
