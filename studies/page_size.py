"""How large the page of many cells is and how fast it opens: 200 upstreams by 40 tasks, made up.

    python studies/page_size.py [--upstreams N] [--tasks N] [--runs N] [--out FILE]

Each cell has 10 folds, 7 classes, 25 layers and figures of its own, so that they compress no better than real ones.
Opening is measured in Chromium, from a file, each run in a browser context of its own: from the start of the navigation
until a row of the table is painted. The time to make the page is without and with ranks (those of one task).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, sync_playwright

from commons.corridors.record import FoldScore, Record, Score
from leaderboard import page
from leaderboard.comparison.answers import Answer
from leaderboard.comparison.standings import Standing, standing
from leaderboard.page.content import assemble
from leaderboard.records.comparable import question

SCHEMA = Path(__file__).resolve().parents[1] / "tests" / "leaderboard" / "schema_1.json"
FOLDS, CLASSES, LAYERS, SPEAKERS = 10, [f"emotion {i}" for i in range(7)], 25, 24
METRICS = ("UA", "WA", "WF1", "macro_F1")
WATCH = """window.painted = new Promise((done) => new MutationObserver((_, watcher) => {
    if (!document.querySelector("tbody button.figure")) return;
    watcher.disconnect();
    requestAnimationFrame(() => setTimeout(() => done(performance.now())));
}).observe(document, { childList: true, subtree: true }))"""


def vary(record: Record, upstream: str, task: str, random: np.random.Generator) -> Record:
    """A record of another cell, with figures of its own."""

    def score() -> Score:
        value, width = random.uniform(30, 80), random.uniform(2, 9)
        return Score(value=value, low=value - width, high=value + width)

    folds = [f"speaker {i:02}" for i in range(FOLDS)]
    scores = record.scores.model_copy(
        update={
            "metrics": {m: score() for m in METRICS},
            "by_seed": {m: random.uniform(30, 80, 3).tolist() for m in METRICS},
            "folds": [
                FoldScore(fold=f, n=54, classes_in_test=7, metrics={m: random.uniform(30, 80) for m in METRICS})
                for f in folds
            ],
            "recall": {name: score() for name in CLASSES},
            "confusion": random.integers(0, 80, (len(CLASSES), len(CLASSES))).tolist(),
            "last_layer": {m: random.uniform(30, 80) for m in METRICS},
            "by_layer": random.uniform(30, 80, LAYERS).tolist(),
        }
    )
    chosen = record.chosen.model_copy(
        update={
            "dev_by_layer": random.uniform(30, 80, LAYERS).tolist(),
            "folds": [
                {"fold": f, "seed": s, "layer": int(random.integers(LAYERS)), "strength": 0.3, "edge": False,
                 "dev": random.uniform(30, 80)}
                for f in folds for s in range(3)
            ],
        }
    )  # fmt: skip
    asked = {"name": task, "title": f"{task}, made up", "classes": CLASSES, "folds": folds, "corpus": task}
    who = {"name": upstream, "fingerprint": random.bytes(32).hex()}
    return record.model_copy(
        update={
            "cell": record.cell.model_copy(update={"upstream": upstream, "task": task, "key": random.bytes(32).hex()}),
            "task": record.task.model_copy(update=asked),
            "upstream": record.upstream.model_copy(update=who),
            "scores": scores,
            "chosen": chosen,
            "marks": [m for m in ("edge", "seen:unknown", "lossy_audio") if random.random() < 0.2],
        }
    )


def ranked(records: list[Record], random: np.random.Generator) -> Standing:
    """The ranks of one task, of made-up predictions."""
    answers = []
    for i, record in enumerate(records):
        right = 0.3 + 0.4 * i / len(records)
        counts = random.multinomial(8, [right, *[(1 - right) / 6] * 6], (SPEAKERS, len(CLASSES)))
        whole = np.stack([np.roll(counts[:, c], c, axis=-1) for c in range(len(CLASSES))], axis=1)
        answers.append(Answer(record, whole[None].astype(float), [f"s{g:02}" for g in range(SPEAKERS)]))
    return standing(answers)


def opened(browser: Browser, path: Path) -> tuple[float, float]:
    """Milliseconds from the start of the navigation until the table is painted; processor time of the page's process
    for the whole load, which other jobs on the machine lengthen less."""
    context = browser.new_context(viewport={"width": 1300, "height": 900})
    context.add_init_script(WATCH)
    tab = context.new_page()
    tab.goto(path.as_uri())
    painted = float(tab.evaluate("window.painted"))
    processes = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    context.close()
    return painted, 1000 * max(process["cpuTime"] for process in processes if process["type"] == "renderer")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--upstreams", type=int, default=200)
    parser.add_argument("--tasks", type=int, default=40)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--out", type=Path, help="keep the page here")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    options = parser.parse_args()
    random = np.random.default_rng(0)
    first = Record.model_validate_json(SCHEMA.read_text())
    tasks = [f"task_{i:02}" for i in range(options.tasks)]
    records = [vary(first, f"upstream_{u:03}", task, random) for u in range(options.upstreams) for task in tasks]

    started = time.perf_counter()
    place = ranked([r for r in records if r.cell.task == tasks[0]], random)
    print(f"ranks of one task, {options.upstreams} upstreams: {time.perf_counter() - started:.1f} s")
    started = time.perf_counter()
    places = {(*question(r), r.cell.downstream): place for r in records}
    text = page.page(*_shown(records, places), [])
    print(f"the page of {len(records)} cells, ranks known: {time.perf_counter() - started:.1f} s")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        path = options.out or Path(folder) / "page.html"
        path.write_text(text)
        inline = text.index("</script>") / 1e6
        print(f"{path.stat().st_size / 1e6:.1f} MB, of which shown at once {inline:.2f} MB")
        browser = play.chromium.launch(executable_path=options.chromium, args=["--no-sandbox"])
        runs = [opened(browser, path) for _ in range(options.runs)]
        times = [painted for painted, _ in runs]
        middle, spread = statistics.median(times), f"{min(times):.0f} to {max(times):.0f}"
        print(f"table painted after {middle:.0f} ms (median of {len(times)}; {spread})")
        print(f"processor time of the whole load: {statistics.median(spent for _, spent in runs):.0f} ms")


def _shown(records: list[Record], places: dict) -> tuple:
    summary, details = assemble(records, places, {}, {})
    return summary | {"damaged": False, "unranked": 0, "umap": []}, details


if __name__ == "__main__":
    main()
