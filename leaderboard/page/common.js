"use strict";
// What every part uses: elements made without markup, numbers as text, and what is packed in the page.

const SVG = "http://www.w3.org/2000/svg";
const NONE = "\u2013";
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8c6d31", "#7b6fd0"];

/** An element with attributes, listeners (on...) and children; strings become text. */
function make(name, properties = {}, ...children) {
  const drawn = /^(svg|line|circle|path|text|g|title|rect)$/.test(name);
  const element = drawn ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

const byId = (id) => document.getElementById(id);
const DATA = JSON.parse(byId("summary").textContent);

const CALLED = new Map(DATA.names);
const INPUTS = new Map(DATA.inputs);
const PARTS = new Map(DATA.parts.map(([name, how, parts]) => [name, { how, parts }]));
const TRAINED = [...new Set(DATA.boards.map((board) => board.trained))].filter(Boolean).sort();
const CONTRIBUTORS = [...new Set(DATA.boards.flatMap((board) => board.cells.map((cell) => cell[8])))].filter(Boolean).sort();

/** What an upstream is called: its label, or its name. */
const called = (name) => CALLED.get(name) ?? name;

/** What an upstream reads; "" where that is unknown, or where nothing reads text. */
const inputOf = (name) => INPUTS.get(name) ?? "";

/** What an upstream is made of, in words; "" for one that stands alone. */
function partsOf(name) {
  const made = PARTS.get(name);
  if (!made) return "";
  const parts = made.parts.map(called).join(" + ");
  return { early: `features of ${parts}`, late: `predictions of ${parts}` }[made.how] ?? `a layer of ${parts}`;
}

/** What of the upstreams of a board or table was trained, in words. */
const systemOf = (board) => (board.trained ? `trained: ${board.trained}` : "frozen");

/** How a metric is shown: its decimals, and the top of an axis. */
const formOf = (metric) => DATA.metrics[metric] ?? { decimals: 3, top: 1 };

/** A value of a metric as the program's tables show it. */
function figure(value, form) {
  return value === null || value === undefined ? NONE : value.toFixed(form.decimals);
}

function interval(low, high, form) {
  return low === null || high === null ? "" : ` [${figure(low, form)}, ${figure(high, form)}]`;
}

function ranks(first, last) {
  return first === null ? "" : first === last ? String(first) : `${first}\u2013${last}`;
}

function probability(p) {
  return p === null ? NONE : p >= 0.001 ? p.toFixed(3) : p.toExponential(0);
}

function plural(n, noun) {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}

/** A letter for a mark, the same everywhere: a, b, ... z, aa, bb, ... */
const letter = (mark) => "abcdefghijklmnopqrstuvwxyz"[mark % 26].repeat(Math.floor(mark / 26) + 1);

const unpacked = new Map();
const whole = new Promise((done) => addEventListener("DOMContentLoaded", done)); // the document has been read

/** What lies packed in the page under a kind and number. */
async function unpack(kind, index) {
  const id = `${kind}-${index}`;
  await whole;
  if (!unpacked.has(id)) unpacked.set(id, inflate(byId(id).textContent));
  return unpacked.get(id);
}

async function inflate(text) {
  if (typeof DecompressionStream === "undefined") {
    throw new Error("This browser cannot unpack the details (it lacks DecompressionStream, which Chrome has since " +
      "version 80, Safari 16.4, Firefox 113). python -m leaderboard table shows them in a terminal.");
  }
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

/** A labelled choice; `options`: [value, text]. */
function choice(label, options, changed) {
  const select = make("select", { onchange: () => changed(select.value) },
    options.map(([value, text]) => make("option", { value }, text)));
  return make("label", {}, label, select);
}

/** Text beside the pointer or a place on the screen. */
function tip(text, x, y) {
  const box = byId("tip");
  box.hidden = !text;
  if (!text) return;
  box.textContent = text;
  box.style.left = `${Math.min(x + 14, innerWidth - box.offsetWidth - 6)}px`;
  box.style.top = `${y + 18 + box.offsetHeight > innerHeight ? y - box.offsetHeight - 10 : y + 18}px`;
}
