// What is drawn as SVG: an interval in a table, bars, ranks, curves over layers.

/** The ends of a board's axis: 0 to 100 or 1, or what its figures need. */
function axisOf(board) {
  const form = formOf(board.metric);
  const values = board.cells.flatMap((cell) => [cell[1], cell[2], cell[3]]).filter((value) => value !== null);
  const low = Math.min(0, ...values), high = Math.max(0, ...values);
  return [low, board.higher ? Math.max(form.top, high) : high || 1];
}

/** A figure's interval as a line with a dot, on a track from end to end. */
function whisker(value, low, high, [from, to], floor) {
  const x = (v) => `${(100 * (v - from) / (to - from)).toFixed(2)}%`;
  const svg = make("svg", { height: 9, "aria-hidden": "true", class: floor && "floor" },
    make("line", { class: "track", x1: "0%", x2: "100%", y1: 4.5, y2: 4.5 }));
  if (low !== null && high !== null) {
    svg.append(make("line", { class: "range", x1: x(low), x2: x(high), y1: 4.5, y2: 4.5 }));
  }
  if (value !== null) svg.append(make("circle", { class: "point", cx: x(value), cy: 4.5, r: 3 }));
  return svg;
}

const ROW = 22, END = 60;

/** A name of at most so many characters: its beginning and end tell it from others. */
function shortName(name, longest) {
  return name.length > longest ? `${name.slice(0, Math.ceil(longest / 2) - 1)}\u2026${name.slice(-Math.floor(longest / 2))}` : name;
}

/** The width of a drawing: what it wants, or what there is. */
const within = (wanted) => Math.min(wanted, Math.max(300, byId("main").clientWidth));

/** Whole steps of an axis, at most eight. */
function steps(from, to, whole = false) {
  const rough = (to - from) / 7, power = 10 ** Math.floor(Math.log10(rough || 1));
  let step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough) || 1;
  if (whole) step = Math.max(1, Math.round(step));
  const ticks = [];
  for (let at = Math.ceil(from / step) * step; at <= to + step / 1e6; at += step) ticks.push(Number(at.toPrecision(12)));
  return ticks;
}

/** Rows of names, each with a dot and a line: {name, value, low, high, floor, text}. */
function dots(rows, [from, to], title, whole = false) {
  const height = rows.length * ROW + 46, width = within(820), label = Math.min(230, Math.round(0.36 * width));
  const x = (v) => label + (width - label - END) * (v - from) / (to - from || 1);
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": title });
  for (const at of steps(from, to, whole)) {
    svg.append(make("line", { class: "grid", x1: x(at), x2: x(at), y1: 6, y2: height - 40 }),
      make("text", { class: "quiet", x: x(at), y: height - 24, "text-anchor": "middle" }, String(at)));
  }
  svg.append(make("text", { class: "quiet", x: x((from + to) / 2), y: height - 6, "text-anchor": "middle" }, title));
  rows.forEach((row, index) => {
    const y = 6 + ROW * (index + 0.5);
    const group = make("g", { class: row.floor && "floor" }, make("title", {}, `${row.name}: ${row.text}`),
      make("text", { x: label - 10, y: y + 4, "text-anchor": "end" }, shortName(row.name, Math.floor(label / 7.2))));
    if (row.low !== null && row.high !== null) {
      group.append(make("line", { class: "range", x1: x(row.low), x2: x(row.high), y1: y, y2: y }));
    }
    if (row.value !== null) group.append(make("circle", { class: "point", cx: x(row.value), cy: y, r: 4.5 }));
    group.append(make("text", { class: "quiet", x: x(Math.max(row.value ?? from, row.high ?? from)) + 9, y: y + 4 }, row.brief));
    svg.append(group);
  });
  return make("div", { class: "plot" }, svg);
}

/** Curves over layers: {name, values, intervals}; at most eight colours, then other dashes. `intervals`: [low, high] of
 *  every layer, where they are known. The axis begins at 0, or lower: a difference of few points must not look large. */
function curves(lines, label, axis = "layer (0: input of the first block)") {
  const all = lines.flatMap((line) => [...line.values, ...(line.intervals ?? []).flat()]).filter((value) => value !== null);
  if (!all.length) return null;
  const least = Math.min(0, ...all), most = Math.max(...all), room = (most - least || 1) * 0.06;
  const [from, to] = [least < 0 ? least - room : 0, most + room];
  const depth = Math.max(...lines.map((line) => line.values.length));
  const width = within(620), height = 280, left = 58, bottom = 44;
  const x = (layer) => left + (width - left - 16) * (depth > 1 ? layer / (depth - 1) : 0.5);
  const y = (value) => 10 + (height - bottom - 10) * (1 - (value - from) / (to - from));
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label });
  for (const at of steps(from, to)) {
    svg.append(make("line", { class: "grid", x1: left, x2: width - 16, y1: y(at), y2: y(at) }),
      make("text", { class: "quiet", x: left - 8, y: y(at) + 4, "text-anchor": "end" }, String(at)));
  }
  for (const at of steps(0, depth - 1 || 1, true)) {
    svg.append(make("text", { class: "quiet", x: x(at), y: height - 26, "text-anchor": "middle" }, String(at)));
  }
  svg.append(make("text", { class: "quiet", x: (left + width) / 2, y: height - 8, "text-anchor": "middle" }, axis),
    make("text", { class: "quiet", x: 14, y: (height - bottom) / 2, "text-anchor": "middle",
      transform: `rotate(-90 14 ${(height - bottom) / 2})` }, label));
  lines.forEach((line, index) => {
    const beside = (index - (lines.length - 1) / 2) * Math.min(3, 18 / lines.length); // intervals stand side by side
    const points = line.values.map((value, layer) => (value === null ? null : [x(layer) + beside, y(value), value, layer]));
    (line.intervals ?? []).forEach(([low, high], layer) => {
      if (low === null || high === null) return;
      const at = x(layer) + beside;
      svg.append(make("line", { x1: at, x2: at, y1: y(low), y2: y(high), class: `spread ${tone(index)}` }));
    });
    const path = points.map((p, i) => (p ? `${i && points[i - 1] ? "L" : "M"}${p[0].toFixed(1)} ${p[1].toFixed(1)}` : "")).join("");
    svg.append(make("path", { d: path, ...stroke(index), class: `curve ${tone(index)}` }));
    for (const p of points.filter(Boolean)) {
      svg.append(make("circle", { cx: p[0], cy: p[1], r: 3, class: tone(index) },
        make("title", {}, `${line.name}, layer ${p[3]}: ${Number(p[2].toPrecision(4))}${spread(line.intervals?.[p[3]])}`)));
    }
  });
  const legend = make("ul", { class: "legend" }, lines.map((line, index) => make("li", {},
    make("svg", { viewBox: "0 0 24 10", "aria-hidden": "true" },
      make("line", { x1: 0, x2: 24, y1: 5, y2: 5, "stroke-width": 2.5, ...stroke(index) })), line.name)));
  return make("div", { class: "plot" }, svg, legend);
}

/** An interval beside a figure; nothing where it is not known. */
const spread = (ends) => (!ends || ends[0] === null ? "" : ` [${ends.map((end) => Number(end.toPrecision(4))).join(", ")}]`);

/** The class of a line's colour, which the style sheet makes lighter on dark paper. */
const tone = (index) => `tone tone-${index % COLOURS.length}`;

function stroke(index) {
  const dashes = [null, "6 3", "2 3", "8 3 2 3"];
  return { class: tone(index), "stroke-dasharray": dashes[Math.floor(index / COLOURS.length) % 4] };
}

/** Counts of true (rows) and predicted classes, as shares of the row. */
function confusion(classes, counts) {
  const lines = counts.map((row, index) => {
    const total = row.reduce((a, b) => a + b, 0);
    return make("tr", {}, make("th", { scope: "row" }, classes[index]), row.map((count, guess) => {
      const share = total ? count / total : 0;
      const cell = make("td", { title: `${count} of ${total} of ${classes[index]} were called ${classes[guess]}` },
        total ? `${(100 * share).toFixed(0)}` : NONE);
      cell.style.background = `rgba(var(--heat), calc(${share.toFixed(3)} * var(--most)))`;
      return cell;
    }), make("td", { class: "quiet" }, String(total)));
  });
  return make("div", { class: "scroll low" }, make("table", { class: "small confusion" },
    make("thead", {}, make("tr", {}, ["true \\ called", ...classes, "n"].map((text) =>
      make("th", { scope: "col" }, make("span", {}, text))))), make("tbody", {}, lines)));
}
