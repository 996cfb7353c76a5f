// A sortable table that draws the rows in sight only, and that arrow keys walk through.

const ALL_DRAWN = 80; // rows up to which none is left out
const SPARE = 5; // rows drawn before and after those in sight; they come and go by so many
const TALL = 0.78; // of the window, at most, as page.css has it

/**
 * columns: {title, hint, value(row), cell(row), descending}; the first is the row's header. `value` sorts (null last),
 * `cell` gives content: a node, a list of nodes, or text. `descending`: what a first click on the header does.
 * `sorted`: {index, down} or null. Returns {element, show(rows), order()}: what it is sorted by, {title, down} or null.
 */
function sortableTable(caption, columns, sorted) {
  const body = make("tbody");
  const headers = columns.map((column, index) => make("th", { scope: "col" },
    make("button", { type: "button", title: column.hint, onclick: () => sortBy(index) }, column.title)));
  const table = make("table", { class: "wide windowed", "aria-label": caption },
    make("thead", {}, make("tr", {}, headers)), body);
  const element = make("div", { class: "scroll", onscroll: () => draw() }, table);
  const lines = new Map(); // what was drawn of a row once
  let rows = [], height = 0, drawn = [0, -1], order = sorted, here = [0, 0], printing = false;

  function sortBy(index) {
    const down = order && order.index === index ? !order.down : Boolean(columns[index].descending);
    order = { index, down };
    arrange();
    draw(true);
  }

  function arrange() {
    headers.forEach((header, index) => {
      if (order && order.index === index) header.setAttribute("aria-sort", order.down ? "descending" : "ascending");
      else header.removeAttribute("aria-sort");
    });
    if (!order) return;
    const value = columns[order.index].value, sign = order.down ? -1 : 1;
    const keyed = rows.map((row) => [value(row), row]);
    keyed.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      return sign * (typeof a === "number" ? a - b : a.localeCompare(b));
    });
    rows = keyed.map(([, row]) => row);
  }

  function draw(afresh = false) {
    let first = 0, end = rows.length;
    if (end > ALL_DRAWN && !printing) {
      const tall = height || 40;
      const top = Math.floor(element.scrollTop / tall / SPARE) * SPARE;
      first = Math.max(0, top - SPARE);
      end = Math.min(end, top + SPARE + Math.ceil(TALL * innerHeight / tall) + 1);
    }
    if (!afresh && first === drawn[0] && end === drawn[1]) return;
    const focused = body.contains(document.activeElement);
    drawn = [first, end];
    table.setAttribute("aria-rowcount", rows.length + 1);
    body.replaceChildren(gap(first), ...rows.slice(first, end).map((row, i) => numbered(line(row), first + i)), gap(rows.length - end));
    mark(focused);
    if (height || !rows.length) return;
    height = body.children[1].offsetHeight; // of a row, now that there is one: the gap below was a guess
    body.lastChild.firstChild.style.height = `${(rows.length - end) * height}px`;
  }

  function gap(count) {
    const cell = make("td", { colspan: columns.length });
    cell.style.height = `${count * (height || 40)}px`;
    return make("tr", { class: "gap", "aria-hidden": "true", hidden: !count }, cell);
  }

  function line(row) {
    if (!lines.has(row)) {
      lines.set(row, make("tr", { class: row.floor && "floor" }, columns.map((column, index) =>
        make(index ? "td" : "th", index ? {} : { scope: "row", title: column.value(row) }, column.cell(row)))));
    }
    return lines.get(row);
  }

  function numbered(element, number) {
    element.dataset.row = number;
    element.setAttribute("aria-rowindex", number + 2);
    return element;
  }

  /** One figure of the table is where Tab lands; arrow keys go on from there. */
  function mark(focus) {
    const buttons = [...body.querySelectorAll("button")];
    buttons.forEach((button) => { button.tabIndex = -1; });
    const chosen = at(here) || buttons[0];
    if (!chosen) return;
    chosen.tabIndex = 0;
    if (focus) chosen.focus({ preventScroll: true });
  }

  const at = ([row, column]) => body.querySelector(`tr[data-row="${row}"]`)?.children[column]?.querySelector("button");

  function place(button) {
    const cell = button.closest("td, th");
    return [Number(cell.parentElement.dataset.row), [...cell.parentElement.children].indexOf(cell)];
  }

  const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  body.addEventListener("keydown", (event) => {
    const step = STEPS[event.key], button = event.target.closest("button");
    if (!step || !button) return;
    event.preventDefault();
    let [row, column] = place(button);
    for (;;) {
      row += step[0];
      column += step[1];
      if (row < 0 || row >= rows.length || column < 0 || column >= columns.length) return;
      if (row < drawn[0] || row >= drawn[1]) {
        element.scrollTop = row * height - element.clientHeight / 2;
        draw(true);
      }
      const next = at([row, column]);
      if (next) {
        here = [row, column];
        mark(true);
        next.scrollIntoView({ block: "nearest", inline: "nearest" });
        return;
      }
    }
  });
  body.addEventListener("focusin", (event) => {
    const button = event.target.closest("button");
    if (button) here = place(button);
  });
  element.redraw = (print) => {
    printing = print;
    draw(true);
  };

  return {
    element,
    order: () => order && { title: columns[order.index].title, down: order.down },
    show(given) {
      rows = given;
      lines.clear();
      here = [0, 0];
      element.scrollTop = 0;
      arrange();
      draw(true);
    },
  };
}

for (const [event, print] of [["beforeprint", true], ["afterprint", false], ["resize", false]]) {
  addEventListener(event, () => document.querySelectorAll(".scroll").forEach((table) => table.redraw?.(print)));
}

/** A plain small table: header texts, then rows of texts or nodes; numbers to the right where `numeric` says so. */
function plainTable(header, lines, numeric = () => false) {
  return make("div", { class: "scroll low" }, make("table", { class: "small" },
    make("thead", {}, make("tr", {}, header.map((text) => make("th", { scope: "col" }, make("span", {}, text))))),
    make("tbody", {}, lines.map((cells) => make("tr", {}, cells.map((content, index) =>
      make(index ? "td" : "th", { scope: index ? null : "row", class: numeric(index) && "number" }, content)))))));
}
