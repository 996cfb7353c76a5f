// Puts the page together: what it is about, theme, tabs.

const VIEWS = [
  ["overview", "Upstreams by tasks", overview, DATA.tables.length],
  ["cells", "All cells", everyCell, true],
  ["plots", "Plots", plots, DATA.tables.length],
  ["umap", "UMAP", pictures, DATA.umap.length],
  ["tasks", "Tasks", taskList, true],
].filter(([, , , there]) => there);

const redraw = new Map();
let current = "";

function open(name) {
  const view = VIEWS.find(([key]) => key === name) || VIEWS[0];
  current = view[0];
  for (const [key] of VIEWS) {
    const tab = byId(`tab-${key}`), here = key === current;
    tab.setAttribute("aria-selected", here);
    tab.tabIndex = here ? 0 : -1;
    byId(`view-${key}`).hidden = !here;
  }
  byId("filters").hidden = current === "umap";
  byId("filters").dataset.view = current; // plots name a task and head themselves, and tasks are no cells
  if (!redraw.has(current)) redraw.set(current, view[2](byId(`view-${current}`)));
  redraw.get(current)();
}

function tabs() {
  VIEWS.forEach(([key, title], index) => {
    const walk = (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = VIEWS[(index + step + VIEWS.length) % VIEWS.length][0];
      location.hash = next;
      byId(`tab-${next}`).focus();
    };
    byId("tabs").append(make("button", { type: "button", role: "tab", id: `tab-${key}`, "aria-controls": `view-${key}`,
      onclick: () => { location.hash = key; }, onkeydown: walk }, title));
    byId("main").append(make("section", { id: `view-${key}`, role: "tabpanel", "aria-labelledby": `tab-${key}` }));
  });
  addEventListener("hashchange", () => open(location.hash.slice(1)));
}

function themes() {
  const system = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  try {
    chosen = localStorage.getItem("emorep-theme");
  } catch { /* a file may have no storage */ }
  const apply = () => {
    const theme = chosen || (system.matches ? "dark" : "light");
    document.documentElement.dataset.theme = theme;
    byId("theme").textContent = theme === "dark" ? "Light" : "Dark";
    byId("theme").setAttribute("aria-label", `Change to the ${theme === "dark" ? "light" : "dark"} theme`);
  };
  byId("theme").addEventListener("click", () => {
    chosen = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try {
      localStorage.setItem("emorep-theme", chosen);
    } catch { /* then it holds until the page is closed */ }
    apply();
  });
  system.addEventListener("change", apply);
  apply();
}

function notices() {
  const said = [];
  if (DATA.damaged) said.push("Damaged records are left out; python -m leaderboard verify names them.");
  if (DATA.unranked) said.push(`${plural(DATA.unranked, "cell")} without a rank, or out of the mean over corpora: the command that made this page says why.`);
  if (DATA.boards.some((board) => board.limit !== null)) said.push("Smoke runs, of a few utterances only: no results.");
  if (DATA.marks.some(([mark]) => mark === "synthetic")) said.push("Some tasks are of synthetic speech (marked): they show that the program works, and nothing about emotion.");
  byId("notices").replaceChildren(...said.map((text) => make("p", { class: "notice" }, text)));
}

themes();
const { upstreams, tasks, corpora, cells, references } = DATA.counts;
byId("about").textContent = `${plural(upstreams, "upstream")} on ${plural(tasks, "task")} of ${corpora === 1 ? "1 corpus" : `${corpora} corpora`}: ` +
  `${plural(cells, "cell")}, and ${plural(references, "cell")} of references; the newest is of ${DATA.newest.slice(0, 10)}. ` +
  "Click on a figure to open its details; the arrow keys move from figure to figure.";
notices();
filterBar(byId("filters"), () => redraw.get(current)());
tabs();
open(location.hash.slice(1));
byId("details").addEventListener("click", (event) => { if (event.target === byId("details")) byId("details").close(); });
