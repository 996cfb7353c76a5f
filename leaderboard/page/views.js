// The views on the boards: upstreams by tasks, every cell, plots, tasks.

const START = { upstream: "", task: "", language: "", family: "", head: "", marks: "", input: "", parts: "", contributor: "", floors: true };
// Frozen systems and systems that were trained are never in one list, so one of them is always chosen.
const FIRST = DATA.boards.some((board) => !board.trained && board.head !== "reference") || !TRAINED.length ? "" : TRAINED[0];
const filters = { ...START, trained: FIRST };

const contaminated = (mark) => DATA.marks[mark][0].startsWith("contaminated");

function boardShown(board, but = "") {
  const system = but === "trained" || board.head === "reference" || board.trained === filters.trained;
  return system && ["task", "language", "family", "head"].every((key) => key === but || !filters[key] || board[key] === filters[key]);
}

function cellShown(cell) {
  const [name, , , , , , marks, floor, contributor] = cell;
  if (floor) return filters.floors;
  if (filters.input && inputOf(name) !== filters.input) return false;
  if (filters.parts && (filters.parts === "alone") !== !PARTS.has(name)) return false;
  if (filters.contributor && (contributor ?? "") !== filters.contributor.slice(1)) return false;
  const words = filters.upstream.toLowerCase().split(/[\s,]+/).filter(Boolean);
  if (words.length && !words.some((word) => `${name} ${called(name)}`.toLowerCase().includes(word))) return false;
  if (filters.marks === "clean") return !marks.some(contaminated);
  if (filters.marks === "none") return !marks.length;
  return !filters.marks || marks.includes(Number(filters.marks.slice(1)));
}

/** The controls; `changed` is called after each change. */
function filterBar(form, changed) {
  const distinct = (key) => [...new Set(DATA.boards.filter((b) => b.head !== "reference").map((board) => board[key]))]
    .sort((a, b) => a.localeCompare(b));
  const set = (key) => (value) => { filters[key] = value; changed(); };
  const search = make("input", { type: "search", placeholder: "parts of names", oninput: () => set("upstream")(search.value) });
  const options = (key) => [["", "all"], ...distinct(key).map((value) => [value, value])];
  const marks = [["", "any"], ["clean", "without contaminated"], ["none", "without any"],
    ...DATA.marks.map(([mark], index) => [`m${index}`, `with ${mark}`])];
  const ofCells = [
    INPUTS.size && choice("Input", [["", "all"], ...[...new Set(INPUTS.values())].filter(Boolean).sort().map((text) => [text, text])], set("input")),
    PARTS.size && choice("Fusion", [["", "all"], ["alone", "single upstreams"], ["made", "of several, or a layer"]], set("parts")),
    CONTRIBUTORS.length && choice("Contributor", [["", "all"], ["=", "measured here"], ...CONTRIBUTORS.map((who) => [`=${who}`, who])], set("contributor")),
  ].filter(Boolean);
  const ofHead = (head) => { // a head of trained systems alone shows these
    const own = DATA.boards.filter((board) => board.head === head);
    if (own.length && !own.some((board) => board.trained === filters.trained)) chooseSystem(own[0].trained);
    set("head")(head);
  };
  const floors = make("input", { type: "checkbox", checked: true, onchange: () => set("floors")(floors.checked) });
  const ofBoards = make("div", { id: "of-boards" }, ["task", "language", "family", "head"].map((key) =>
    choice(key[0].toUpperCase() + key.slice(1), options(key), key === "head" ? ofHead : set(key))),
  TRAINED.length ? make("div", { id: "systems" }, choice("System", [["", "frozen"], ...TRAINED.map((what) => [what, `trained: ${what}`])], set("trained"))) : null);
  form.replaceChildren(make("label", { class: "of-cells" }, "Upstream", search), ofBoards, make("div", { class: "of-cells" }, choice("Marks", marks, set("marks")), ofCells),
    make("label", { class: "tick of-cells", title: "what knows nothing of the sound: the most frequent class, the duration" }, floors, "floors"),
    make("button", { type: "reset", class: "plain" }, "Reset"), make("output", { id: "count", "aria-live": "polite" }));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(() => {
    Object.assign(filters, START);
    chooseSystem(FIRST);
    changed();
  }));
  chooseSystem(FIRST);
}

/** Show frozen systems (""), or those of which this was trained. */
function chooseSystem(trained) {
  filters.trained = trained;
  if (TRAINED.length) document.querySelector("#systems select").value = trained;
}

/** A figure that opens its details: number, marks, rank, interval. */
function figureButton(boardIndex, cellIndex, axis) {
  const board = DATA.boards[boardIndex], [name, value, low, high, rank, last, marks, floor] = board.cells[cellIndex];
  const form = formOf(board.metric), said = marks.map((mark) => DATA.marks[mark][0]);
  const label = `${called(name)}, ${board.name}, ${board.head}: ${board.metric} ${figure(value, form)}${interval(low, high, form)}` +
    (rank === null ? "" : `, rank ${ranks(rank, last)} of ${board.ranked}`) + (said.length ? `; ${said.join(", ")}` : "");
  return make("button", { type: "button", class: "figure", "aria-label": label, title: label,
    onclick: () => openDetails(boardIndex, cellIndex) },
    make("span", { class: "rank" }, ranks(rank, last)),
    make(rank === 1 && last < board.ranked ? "b" : "span", {}, figure(value, form)),
    marks.length ? make("sup", {}, marks.map(letter).join(" ")) : null,
    whisker(value, low, high, axis, floor));
}

const frozen = () => ["At the right of a figure stands its rank. Ranks are frozen: a rank (1 + the number of upstreams significantly better; a range holds the ranks that all " +
  "tests together allow) rests on all upstreams of its task and head, adjusted for all their pairs, whatever is filtered here. " +
  "Bold: no upstream is significantly better, and some are significantly worse. No rank: no two upstreams of the task differ significantly. To rank a selection alone: ", make("code", {}, "python -m leaderboard page -u UPSTREAM... -t TASK...")];

/** A sentence for a board of which no two upstreams differ significantly, so that none has a rank; and the reason. */
function untold(board) {
  if (!board.pairs || board.significant) return "";
  const groups = `${plural(board.groups, board.group_by)}`;
  const why = board.smallest_p > 0.05 ? `with ${groups} no difference can be significant` : board.needed === null ? "" :
    `over ${groups} a measured difference of about ${figure(board.needed, formOf(board.metric))} would be significant, all pairs considered`;
  return `${board.name}: no two of ${plural(board.ranked, "upstream")} differ significantly, which does not mean that they are equal` + (why ? `; ${why}.` : ".");
}

function markNotes(cells) {
  const used = [...new Set(cells.flatMap((cell) => cell[6]))].sort((a, b) => a - b);
  return used.map((mark) => make("li", {}, `${letter(mark)} = ${DATA.marks[mark][0]}: ${DATA.marks[mark][1]}`));
}

/** Upstreams down, tasks across: one table for every head and metric. */
function overview(host) {
  const place = make("div");
  let last = null; // the table that stands
  const named = (table) => [table.about, table.head, table.metric, TRAINED.length ? systemOf(table) : ""].filter(Boolean).join(" \u00b7 ");
  const fits = (table) => (!filters.head || table.head === filters.head) && table.trained === filters.trained;
  let chosen = Math.max(DATA.tables.findIndex((table) => table.trained === filters.trained), 0), system = filters.trained;
  const pick = make("div", { class: "choice" }, DATA.tables.length > 1 ? choice("Table",
    DATA.tables.map((table, index) => [index, `${named(table)} (${plural(table.boards.length, "task")})`]),
    (value) => { chosen = Number(value); chooseSystem(system = DATA.tables[chosen].trained); draw(); }) : null);
  host.replaceChildren(pick, place);
  if (pick.querySelector("select")) pick.querySelector("select").value = String(chosen);

  function draw() {
    const fitting = DATA.tables.findIndex(fits), table = DATA.tables[chosen];
    const moved = system !== filters.trained || (filters.head && table.head !== filters.head);
    system = filters.trained;
    if (moved && fitting >= 0) {
      chosen = fitting;
      if (pick.querySelector("select")) pick.querySelector("select").value = String(chosen);
    }
    drawTable(DATA.tables[chosen]);
  }

  function drawTable(table) {
    const boards = table.boards.filter((index) => boardShown(DATA.boards[index], "trained"));
    const axes = new Map(boards.map((index) => [index, axisOf(DATA.boards[index])]));
    const lines = new Map(), cells = [];
    for (const index of boards) {
      DATA.boards[index].cells.forEach((cell, number) => {
        if (!cellShown(cell)) return;
        cells.push(cell);
        const id = `${cell[7]}${cell[0]}`;
        if (!lines.has(id)) lines.set(id, { name: cell[0], floor: Boolean(cell[7]), at: new Map() });
        lines.get(id).at.set(index, number);
      });
    }
    const whole = boards.length === table.boards.length && !filters.marks;
    const means = new Map((whole && table.mean ? table.mean.rows : []).map((row) => [row[0], row]));
    const form = formOf(table.metric), higher = table.boards.every((index) => DATA.boards[index].higher);
    const mean = (row) => (row.floor ? undefined : means.get(row.name));
    const columns = [{ title: "upstream", value: (row) => called(row.name), cell: (row) => called(row.name) }];
    if (INPUTS.size) {
      columns.push({ title: "input", hint: "what it reads: speech, or texts written by people (gold) or by a recogniser (ASR)",
        value: (row) => inputOf(row.name), cell: (row) => inputOf(row.name) });
    }
    if ([...lines.values()].some((row) => PARTS.has(row.name))) {
      columns.push({ title: "parts", hint: "the upstreams of which it is made", value: (row) => partsOf(row.name), cell: (row) => partsOf(row.name) });
    }
    if (means.size) {
      columns.push({ title: "over corpora", hint: "mean, one vote a corpus family; its rank, on further speakers of these corpora", descending: higher,
        value: (row) => mean(row)?.[1] ?? null,
        cell: (row) => meanCell(mean(row), means.size, form, [Math.min(0, ...[...means.values()].map((m) => m[2] ?? m[1])),
          higher ? form.top : Math.max(...[...means.values()].map((m) => m[3] ?? m[1]))]) });
    }
    if (means.size && table.mean.clean?.length) {
      columns.push({ title: "clean tasks", hint: "the same mean over tasks on which none of these upstreams is known to be contaminated",
        descending: higher, value: (row) => mean(row)?.[6] ?? null, cell: (row) => figure(mean(row)?.[6], form) });
    }
    for (const index of boards) {
      const board = DATA.boards[index];
      columns.push({ title: board.name, hint: `${board.title}; ${board.unit}`, descending: higher,
        value: (row) => (row.at.has(index) ? board.cells[row.at.get(index)][1] : null),
        cell: (row) => (row.at.has(index) ? figureButton(index, row.at.get(index), axes.get(index)) : NONE) });
    }
    const silent = boards.map((index) => untold(DATA.boards[index])).filter(Boolean);
    const order = last?.order(), index = columns.findIndex((column) => column.title === order?.title);
    const shown = sortableTable(`${named(table)}, upstreams by tasks`, columns, index < 0 ? null : { index, down: order.down });
    last = shown;
    const notes = [make("p", {}, `${table.metric}, pooled over folds, head ${table.head}; lines are 95 % intervals. `, frozen())];
    if (silent.length) notes.push(make("ul", {}, silent.map((text) => make("li", {}, text))));
    if (means.size) {
      notes.push(make("p", {}, `Over corpora: one vote for each of ${Object.values(table.mean.families).map((t) => t.join(" + ")).join(", ")}; ` +
        `upstreams that lack one of these tasks have none. Ranks are on further speakers of these corpora.`));
      if (table.mean.clean) {
        notes.push(make("p", {}, table.mean.clean.length ? `Clean tasks: the same mean over ${table.mean.clean.join(", ")}, on which none of these upstreams is known to be contaminated.` :
          "On every task some upstream is contaminated: there is no mean over clean tasks."));
      }
    } else if (table.mean) {
      notes.push(make("p", {}, "The mean over corpora rests on all tasks and marks, so it is hidden while these are filtered."));
    }
    place.replaceChildren(shown.element, make("div", { class: "notes" }, notes, make("ul", {}, markNotes(cells))));
    const ranked = (row) => (means.has(row.name) && !row.floor ? table.mean.rows.findIndex((m) => m[0] === row.name) : Infinity);
    const best = (row) => [...row.at].reduce((sum, [index, number]) => sum + (DATA.boards[index].cells[number][1] ?? 0), 0) / row.at.size;
    shown.show([...lines.values()].sort((a, b) => a.floor - b.floor || (ranked(a) === ranked(b) ? 0 : ranked(a) - ranked(b)) ||
      b.at.size - a.at.size || (higher ? best(b) - best(a) : best(a) - best(b))));
    count(cells.length);
  }
  return draw;
}

function meanCell(row, ranked, form, axis) {
  if (!row) return NONE;
  const [, value, low, high, rank, last] = row;
  return make("div", { class: "figure", title: `${figure(value, form)}${interval(low, high, form)}` + (rank === null ? "" : `, rank ${ranks(rank, last)} of ${ranked}`) },
    make("span", { class: "rank" }, ranks(rank, last)), make(rank === 1 && last < ranked ? "b" : "span", {}, figure(value, form)),
    whisker(value, low, high, axis));
}

function count(shown, noun = "figure") {
  byId("count").textContent = plural(shown, noun);
}

/** One row a cell. */
function everyCell(host) {
  const text = (title, of) => ({ title, value: of, cell: of });
  const axes = DATA.boards.map(axisOf);
  const number = (title, of, hint) => ({ title, hint, value: of, cell: (row) => { const v = of(row); return v === null ? NONE : String(v); } });
  const before = [
    ...(INPUTS.size ? [text("input", (row) => inputOf(row.cell[0]))] : []),
    ...(PARTS.size ? [text("parts", (row) => partsOf(row.cell[0]))] : []),
    ...(TRAINED.length ? [text("system", (row) => (row.floor ? "" : systemOf(row.board)))] : []),
  ];
  const table = sortableTable("every cell", [
    text("upstream", (row) => called(row.cell[0])),
    ...before,
    text("task", (row) => row.board.name),
    { title: "figure", hint: "in the unit of its metric", descending: true, value: (row) => row.cell[1],
      cell: (row) => figureButton(row.index, row.number, axes[row.index]) },
    text("metric", (row) => row.board.metric),
    number("rank", (row) => row.cell[4], "within the task and head"),
    number("of", (row) => row.board.ranked || null, "upstreams ranked"),
    text("head", (row) => (row.floor ? "reference" : row.board.head)),
    text("language", (row) => row.board.language),
    text("family", (row) => row.board.family),
    ...(CONTRIBUTORS.length ? [text("contributor", (row) => row.cell[8] ?? "")] : []),
    { title: "marks", value: (row) => row.cell[6].map((mark) => DATA.marks[mark][0]).join(" "),
      cell: (row) => row.cell[6].map((mark) => make("span", { class: "tag", title: DATA.marks[mark][1] }, DATA.marks[mark][0])) },
  ], { index: 2 + before.length, down: true });
  const notes = make("ul", { class: "notes" });
  host.replaceChildren(table.element, make("p", { class: "notes" }, frozen()), notes);
  return () => {
    const floors = new Set(); // a task's floors stand beside every head of it, and here once
    const rows = DATA.boards.flatMap((board, index) => (boardShown(board) ? board.cells.map((cell, number) =>
      ({ board, index, cell, number, floor: Boolean(cell[7]) })).filter((row) => cellShown(row.cell)) : [])).filter((row) => {
      const floor = row.floor && `${row.board.name}\n${row.cell[0]}`;
      return !floor || (!floors.has(floor) && floors.add(floor));
    });
    table.show(rows);
    notes.replaceChildren(...markNotes(rows.map((row) => row.cell)));
    count(rows.length);
  };
}

/** Intervals, ranks and curves over layers of one board. */
function plots(host) {
  const place = make("div");
  const means = DATA.tables.filter((table) => table.mean);
  const boards = DATA.tables.flatMap((table) => table.boards);
  const named = (board) => [board.name, board.head, ...(board.trained ? [systemOf(board)] : [])].join(" \u00b7 ");
  const options = [...boards.map((index) => [index, named(DATA.boards[index])]),
    ...means.map((table, index) => [`m${index}`, ["over corpora", table.about, table.head, table.metric, table.trained && systemOf(table)].filter(Boolean).join(" \u00b7 ")])];
  let chosen = String(options[0][0]);
  host.replaceChildren(make("div", { class: "choice" }, choice("Draw", options, (value) => { chosen = value; draw(); })), place);

  function draw() {
    if (chosen.startsWith("m")) return drawMean(means[Number(chosen.slice(1))]);
    const board = DATA.boards[Number(chosen)], form = formOf(board.metric);
    const cells = board.cells.map((cell, number) => ({ cell, number })).filter(({ cell }) => cellShown(cell));
    const rows = cells.filter(({ cell }) => cell[1] !== null).map(({ cell: [name, value, low, high, , , , floor] }) =>
      ({ name: called(name), value, low, high, floor, brief: figure(value, form), text: figure(value, form) + interval(low, high, form) }));
    place.replaceChildren(make("h2", {}, `${board.title} \u00b7 ${board.head}`),
      make("p", { class: "quiet" }, `95 % intervals over ${plural(board.groups, board.group_by)}; ${board.unit}.`),
      dots(rows, axisOf(board), board.metric), ...(untold(board) ? [make("h2", {}, "Ranks"), make("p", { class: "quiet" }, untold(board))] : []),
      ...rankPlot(cells.map(({ cell }) => cell).filter((cell) => cell[4] !== null), board.ranked));
    count(rows.length);
    layers(board, Number(chosen), cells, place);
  }

  function drawMean(table) {
    const form = formOf(table.metric), shown = table.mean.rows.filter((row) => cellShown([row[0], , , , , , [], 0]));
    const values = shown.flatMap((row) => [row[1], row[2], row[3]]).filter((value) => value !== null);
    place.replaceChildren(make("h2", {}, "Means over corpora"),
      make("p", { class: "quiet" }, `One vote a corpus family: ${Object.values(table.mean.families).map((t) => t.join(" + ")).join(", ")}.`),
      dots(shown.map(([name, value, low, high]) => ({ name: called(name), value, low, high, brief: figure(value, form),
        text: figure(value, form) + interval(low, high, form) })), [Math.min(0, ...values), Math.max(...values, form.top)], `mean ${table.metric}`),
      ...rankPlot(shown.filter((row) => row[4] !== null), table.mean.rows.length));
    count(shown.length);
  }

  function rankPlot(cells, ranked) {
    if (ranked < 2 || !cells.length) return [];
    const rows = cells.map(([name, , , , rank, last]) => ({ name: called(name), value: rank, low: rank, high: last, brief: "", text: `rank ${ranks(rank, last)} of ${ranked}` }));
    return [make("h2", {}, "Ranks"), make("p", { class: "quiet" }, `Dots are ranks, lines the ranks that all tests together allow. Frozen: over ${plural(ranked, "upstream")}, whatever is filtered.`),
      dots(rows, [1, ranked], "rank", true)];
  }

  async function layers(board, index, cells, host) {
    try {
      const { cells: records } = await unpack("details", index);
      const deep = cells.filter(({ number }) => (records[number].scores.by_layer?.length ?? 0) > 1);
      const drawn = deep.length && String(index) === chosen ? curves(deep.map(({ cell, number }) => ({ name: called(cell[0]), values: records[number].scores.by_layer,
        intervals: records[number].layer_intervals })), board.metric) : null;
      if (drawn) host.append(make("h2", {}, "Layers"), make("p", { class: "quiet" }, `Test figures of the first seed, had every fold taken that layer, with 95 % intervals over ${plural(board.groups, board.group_by)}. They describe; no choice is made by them.`), drawn);
    } catch (error) {
      host.append(make("p", { class: "notice" }, error.message));
    }
  }
  return draw;
}

/** What was asked, of whom, and how often each test was opened. */
function taskList(host) {
  const once = [...new Map(DATA.boards.filter((b) => b.head !== "reference" || !DATA.boards.some((o) => o.task === b.task && o.head !== "reference"))
    .map((board) => [`${board.name}\n${board.head}\n${board.trained}`, board])).values()];
  const cell = (title, of, hint) => ({ title, hint, value: of, cell: (row) => { const v = of(row); return v === null ? NONE : String(v); } });
  const table = sortableTable("tasks", [
    cell("task", (b) => b.name), cell("what it asks", (b) => b.title), cell("head", (b) => b.head),
    ...(TRAINED.length ? [cell("system", (b) => (b.head === "reference" ? "" : systemOf(b)))] : []),
    cell("upstreams", (b) => b.cells.filter((c) => !c[7]).length), cell("test opened", (b) => opened(b), "how often, by results/scored; all heads"),
    cell("utterances", (b) => b.n), cell("speakers", (b) => b.speakers), cell("folds", (b) => b.folds),
    cell("groups", (b) => b.groups, "that intervals and tests rest on"), cell("classes", (b) => b.classes || null),
    { title: "smallest p", hint: "that a test of two upstreams can give with so many groups", value: (b) => b.smallest_p, cell: (b) => probability(b.smallest_p) },
    cell("significant pairs", (b) => (b.pairs ? `${b.significant} of ${b.pairs}` : null), "pairs that differ significantly, with p adjusted for all pairs"),
    { title: "detectable", hint: "to plan a study: the true difference that the test of one pair alone finds in 4 of 5 draws of groups", value: (b) => b.detectable,
      cell: (b) => figure(b.detectable, formOf(b.metric)) },
    cell("language", (b) => b.language), cell("family", (b) => b.family), cell("corpus", (b) => b.corpus),
    cell("licence", (b) => b.licence), cell("version", (b) => String(b.version)), cell("audit", (b) => b.audit.slice(0, 12)),
  ], { index: 0, down: false });
  host.replaceChildren(table.element, make("div", { class: "notes" },
    make("p", {}, "Test opened: lines of results/scored for the task, of all heads and versions; at least the cells that stand here. The more often a test was opened, the more its best figure owes to luck."),
    make("p", {}, "A task whose folds or utterances changed stands once for every version, and figures of different versions are never compared.")));
  return () => {
    const rows = once.filter((board) => boardShown(board));
    table.show(rows);
    count(rows.length, "row");
  };
}

/** How often a task's test was opened: what is logged, and at least once for every cell. */
function opened(board) {
  const cells = DATA.boards.filter((b) => b.task === board.task).flatMap((b) => b.cells.filter((c) => !c[7] && b.head !== "reference"));
  return Math.max(board.opened, cells.length);
}
