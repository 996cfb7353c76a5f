// Pictures of embeddings: a canvas an upstream, the same utterances in each, coloured by what they are.

function pictures(host) {
  const place = make("div"), legend = make("ul", { class: "legend looks" });
  let data = null, colour = "emotion", panels = [], looks = [], near = -1;
  const of = make("div");
  host.replaceChildren(make("div", { class: "choice" },
    choice("Task", DATA.umap.map((title, index) => [index, title]), (value) => load(Number(value))), of), legend, place);

  async function load(index) {
    try {
      data = await unpack("umap", index);
    } catch (error) {
      place.replaceChildren(make("p", { class: "notice" }, error.message));
      return;
    }
    const known = ["emotion", "speaker", "gender"].filter((name) => data.points[name]?.some((value) => value !== null));
    colour = known.includes(colour) ? colour : known[0] || "";
    const select = choice("Colour", known.map((name) => [name, word(name)]), (value) => { colour = value; draw(); });
    select.querySelector("select").value = colour;
    of.replaceChildren(known.length ? select : "");
    panels = data.panels.map(panelOf);
    place.replaceChildren(make("div", { class: "panels" }, panels.map((panel) => panel.element)),
      make("p", { class: "notes" }, `UMAP shows neighbourhoods, not distances; purity (share of nearest neighbours alike; chance beside it; a speaker's own utterances lie near each other, so the figure among other speakers is that of emotion) and ` +
        `silhouette are of the original space. Settings: ${listed(data.settings)}.`));
    draw();
  }

  const word = (name) => (name === "emotion" ? data.asked : name);

  function panelOf(panel) {
    const name = panel.label || panel.upstream;
    const canvas = make("canvas", { tabindex: 0, role: "img",
      "aria-label": `UMAP of ${name} on ${data.task}; left and right arrow keys walk through the utterances` });
    const measures = Object.entries(panel.metrics).map(([label, m]) => `${word(label)}: ` + [
      ["purity among other speakers", m.purity_others], ["chance", m.purity_others === null ? null : m.chance_others],
      ["purity", m.purity], ["chance", m.chance], ["silhouette", m.silhouette],
    ].filter(([, value]) => value !== null && value !== undefined).map(([measure, value]) => `${measure} ${value.toFixed(2).replace(/^-0\.00$/, "0.00")}`).join(", "));
    const where = [panel.layer === null || panel.depth === 1 ? "" : `layer ${panel.layer}`, panel.space].filter(Boolean).join(", ");
    canvas.addEventListener("pointermove", (event) => hover(nearest(event), event.clientX, event.clientY));
    canvas.addEventListener("pointerdown", (event) => hover(nearest(event), event.clientX, event.clientY));
    canvas.addEventListener("pointerleave", () => hover(-1));
    canvas.addEventListener("blur", () => hover(-1));
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (event.key === "Escape") return hover(-1);
      if (!step) return;
      event.preventDefault();
      const n = panel.xy.length, next = near < 0 ? (step > 0 ? 0 : n - 1) : (near + step + n) % n;
      const box = canvas.getBoundingClientRect(), [x, y] = spots(box.width)[next];
      hover(next, box.left + x, box.top + y);
      canvas.setAttribute("aria-label", `${name}: ${words(next).replaceAll("\n", ", ")}`);
    });
    const xs = panel.xy.map((p) => p[0]), ys = panel.xy.map((p) => p[1]);
    const low = [Math.min(...xs), Math.min(...ys)], span = Math.max(Math.max(...xs) - low[0], Math.max(...ys) - low[1]) || 1;
    const middle = [(Math.max(...xs) + low[0]) / 2, (Math.max(...ys) + low[1]) / 2];
    const spots = (size) => panel.xy.map(([x, y]) => [size * (0.5 + 0.92 * (x - middle[0]) / span), size * (0.5 - 0.92 * (y - middle[1]) / span)]);
    const nearest = (event) => {
      const box = canvas.getBoundingClientRect();
      const [x, y] = [event.clientX - box.left, event.clientY - box.top];
      let best = -1, least = 12 ** 2;
      spots(box.width).forEach(([px, py], index) => {
        const distance = (px - x) ** 2 + (py - y) ** 2;
        if (distance < least) [best, least] = [index, distance];
      });
      return best;
    };
    return { canvas, spots, element: make("figure", {}, canvas, make("figcaption", {}, make("strong", {}, name),
      where ? ` (${where})` : "", measures.map((line) => [make("br"), line]))) };
  }

  const words = (index) => [data.points.utterance[index], ...["emotion", "speaker", "gender"]
    .filter((name) => data.points[name]?.[index]).map((name) => `${word(name)}: ${data.points[name][index]}`)].join("\n");

  function hover(index, x, y) {
    tip(index < 0 ? "" : words(index), x, y);
    if (index === near) return;
    near = index;
    paint();
  }

  function draw() {
    const known = new Map((data.looks[colour] ?? []).map(([label, ...look]) => [label, look]));
    looks = data.points.utterance.map((_, index) => known.get(data.points[colour]?.[index] ?? "unknown") ?? PLAIN);
    legend.replaceChildren(...[...known].map(([label, [fill, marker]]) =>
      make("li", {}, make("svg", { viewBox: "-9 -9 18 18", "aria-hidden": "true" }, make("path", { d: shapeOf(marker, 5.5), fill, stroke: EDGE, "stroke-width": 0.8 })), label)));
    paint();
  }

  function paint() {
    const sharp = devicePixelRatio || 1;
    for (const { canvas, spots } of panels) {
      const size = canvas.clientWidth;
      if (!size) continue;
      canvas.width = canvas.height = Math.round(size * sharp);
      const pen = canvas.getContext("2d");
      pen.scale(sharp, sharp);
      const at = spots(size), radius = at.length > 2000 ? 1.8 : at.length > 600 ? 2.6 : 3.4;
      const dot = (index, r) => {
        pen.save();
        pen.translate(...at[index]);
        const shape = new Path2D(shapeOf(looks[index][1], r));
        pen.fill(shape);
        pen.stroke(shape);
        pen.restore();
      };
      pen.globalAlpha = 0.8;
      pen.strokeStyle = EDGE;
      pen.lineWidth = radius / 5;
      at.forEach((_, index) => {
        pen.fillStyle = looks[index][0];
        dot(index, radius);
      });
      pen.globalAlpha = 1;
      if (near >= 0) {
        pen.lineWidth = 2;
        pen.beginPath();
        pen.arc(...at[near], radius + 4, 0, 2 * Math.PI);
        pen.stroke();
      }
    }
  }

  addEventListener("resize", () => paint());
  let loaded = false;
  return () => {
    if (!loaded) load(0);
    else paint();
    loaded = true;
  };
}

const PLAIN = ["#8a8a8a", "o"];
const EDGE = "#16191d"; // of every point: shapes tell classes apart in grey print too, and light points stand out

/** The path of a marker, by the letters that matplotlib has for them. */
function shapeOf(marker, r) {
  switch (marker) {
    case "s": return `M${-r} ${-r}H${r}V${r}H${-r}Z`;
    case "^": return `M0 ${-r * 1.2}L${r * 1.1} ${r * 0.9}H${-r * 1.1}Z`;
    case "v": return `M0 ${r * 1.2}L${r * 1.1} ${-r * 0.9}H${-r * 1.1}Z`;
    case "D": return `M0 ${-r * 1.3}L${r * 1.3} 0L0 ${r * 1.3}L${-r * 1.3} 0Z`;
    case "P": return plus(r);
    case "X": return plus(r, Math.SQRT1_2);
    default: return `M${-r} 0A${r} ${r} 0 1 0 ${r} 0A${r} ${r} 0 1 0 ${-r} 0Z`;
  }
}

/** A thick cross, upright or (`turn`: the sine of an eighth of a turn) lying. */
function plus(r, turn = 0) {
  const arm = 1.2 * r, half = 0.42 * r, straight = turn || 1;
  const corners = [[half, arm], [half, half], [arm, half], [arm, -half], [half, -half], [half, -arm],
    [-half, -arm], [-half, -half], [-arm, -half], [-arm, half], [-half, half], [-half, arm]];
  return `M${corners.map(([x, y]) => `${straight * x - turn * y} ${turn * x + straight * y}`).join("L")}Z`;
}
