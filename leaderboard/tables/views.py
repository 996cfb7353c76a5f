"""Tables of figures for papers: upstreams down; metrics, tasks, languages, families, classes or costs across."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from commons.corridors.record import REFERENCE, Record, Score
from commons.marks import explain
from commons.metrics import METRICS
from leaderboard import published
from leaderboard.records.comparable import aspect, groups
from leaderboard.records.labels import names
from leaderboard.tables.results import NONE, Block, Row, figure, plain, plural

PUBLISHED = "published: "  # begins the mark of a figure that was not measured here


@dataclass(frozen=True)
class Entry:
    """A figure in a table; `text` stands for itself where it is no figure of a metric."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    std: float | None = None  # over seeds
    metric: str | None = None
    marks: tuple[str, ...] = ()
    text: str | None = None
    grey: bool = False

    @property
    def shown(self) -> str:
        """The figure without interval and marks."""
        return self.text if self.text is not None else figure(self.value, self.metric) if self.metric else NONE


@dataclass(frozen=True)
class Grid:
    """A table: `cells` by (row, column), where there is one; `letters` are footnotes; `corner` says what rows are.

    `names`: what stands at the head of a row, where that is not the row itself.
    """

    title: str
    caption: str
    rows: list[str]
    columns: list[str]
    cells: dict[tuple[str, str], Entry]
    references: frozenset[str] = frozenset()
    notes: list[str] = field(default_factory=list)
    corner: str = "upstream"
    names: dict[str, str] = field(default_factory=dict)

    def name(self, row: str) -> str:
        """What stands at the head of a row."""
        return self.names.get(row, row)

    def letters(self) -> dict[str, str]:
        """A letter for every mark that some figures have, in the order of rows and columns."""
        used = [
            m for row in self.rows for c in self.columns if (entry := self.cells.get((row, c))) for m in entry.marks
        ]
        return {mark: _letter(i) for i, mark in enumerate(dict.fromkeys(used))}

    def best(self, column: str) -> tuple[set[str], set[str]]:
        """Rows with the best and the second best figure of a column, as shown, so ties share.

        References, contaminated and published figures take no part; nor does a column of one figure.
        """
        shown: dict[str, float] = {}
        higher = True
        for row in self.rows:
            entry = self.cells.get((row, column))
            if not entry or entry.metric is None or entry.value is None or row in self.references:
                continue
            if not any(mark.startswith(("contaminated", PUBLISHED)) for mark in entry.marks):
                higher = METRICS[entry.metric].higher_is_better
                shown[row] = float(entry.shown)
        levels = sorted(set(shown.values()), reverse=higher)
        if len(shown) < 2:
            return set(), set()
        places = [{row for row, value in shown.items() if value == level} for level in levels[:2]]
        return places[0], places[1] if len(places) > 1 and len(places[0]) < 2 else set()


def metric_grids(records: Sequence[Record]) -> list[Grid]:
    """A table for every task and head: upstreams by the task's metrics, published figures beside them."""
    found = []
    for measured, references in groups(records):
        task = measured[0].task
        metrics = [task.headline, *(m for m in task.metrics if m != task.headline)]
        everyone = [*measured, *references]
        common = _common(measured)
        cells = {}
        for record in everyone:
            own = tuple(m for m in _marks(record) if m not in common)
            for metric in metrics:
                cells[record.cell.upstream, metric] = of_record(record, metric, own if metric == task.headline else ())
            if entry := _beside(record):
                cells[record.cell.upstream, "published"] = entry
        beside = ["published"] if any(column == "published" for _, column in cells) else []
        found.append(
            Grid(
                f"{task.name} · {measured[0].cell.downstream}",
                _caption(measured[0], f"{task.title} ({task.language}), head {measured[0].cell.downstream}"),
                [r.cell.upstream for r in everyone],
                [*metrics, *beside],
                cells,
                frozenset(r.cell.upstream for r in everyone if r.cell.downstream == REFERENCE),
                _mark_notes(common),
                names=names(everyone),
            )
        )
    return found


def task_grids(records: Sequence[Record]) -> list[Grid]:
    """Upstreams by tasks, for every head, headline metric and aspect."""
    return [_by_task(*kind, parts) for kind, parts in _kinds(records).items()]


def ablation_grids(records: Sequence[Record]) -> list[Grid]:
    """For every ablation its variants, and the upstream that it varies, by tasks."""
    variants: dict[tuple[str, str], dict[str, str]] = {}  # base, ablation: upstream -> variant
    for record in records:
        up = record.upstream
        if up.base and up.ablation and up.variant:
            variants.setdefault((up.base, up.ablation), {})[record.cell.upstream] = up.variant
    made = []
    for (base, ablation), own in sorted(variants.items()):
        for grid in task_grids([r for r in records if r.cell.upstream == base or r.cell.upstream in own]):
            short = {row: own.get(row, row) for row in grid.rows}
            cells = {(short[row], column): entry for (row, column), entry in grid.cells.items()}
            title = f"{ablation} of {grid.name(base)} · {grid.title}"
            kept = {row: name for row, name in grid.names.items() if row not in own}
            rows = list(short.values())
            made.append(Grid(title, grid.caption, rows, grid.columns, cells, notes=grid.notes, names=kept))
    return made


def mean_grids(results: Path, records: Sequence[Record], by: str) -> tuple[list[Grid], list[str]]:
    """Upstreams by `language` or `family`: means over its corpus families, with intervals over their groups.

    An upstream has a figure where it has every task of the language or family that any of them has.

    Returns:
        grids, and a line for every record that could not be used.
    """
    from leaderboard.comparison.standings import answers, kinds, mean_over

    parts, problems = answers(results, records)
    several_kinds, left = kinds(parts)
    found = []
    for own in several_kinds:
        head, metric, about = _kind(own[0][0].record)
        columns: dict[str, list[list]] = {}
        for part in own:
            task = part[0].record.task
            columns.setdefault(task.language if by == "language" else task.family or task.corpus, []).append(part)
        cells: dict[tuple[str, str], Entry] = {}
        for column, several in columns.items():
            for upstream in {a.upstream for part in several for a in part}:
                mine = [a for part in several for a in part if a.upstream == upstream]
                if len(mine) == len(several):
                    seen = mean_over(mine)
                    marks = {m for a in mine for m in a.record.marks if m.startswith(("contaminated", "seen"))}
                    low, high = (None if value != value else value for value in (seen.low, seen.high))
                    cells[upstream, column] = Entry(seen.value, low, high, None, metric, tuple(sorted(marks)))
        rows = _ranked({row for row, _ in cells}, sorted(columns), cells, metric)
        tasks = "; ".join(f"{c}: {', '.join(p[0].record.task.name for p in columns[c])}" for c in sorted(columns))
        caption = f"{metric} by {by}, head {head}, one vote a corpus family ({tasks}); 95 % intervals over groups"
        title = " · ".join(filter(None, (f"by {by}", about, head)))
        found.append(Grid(title, caption, rows, sorted(columns), cells, names=names(records)))
    return found, [*problems, *left]


def recall_grids(records: Sequence[Record]) -> list[Grid]:
    """A table for every classification task and head: upstreams by classes."""
    found = []
    for measured, references in groups(records):
        task, head = measured[0].task, measured[0].cell.downstream
        if not task.classes:
            continue
        everyone = [*measured, *references]
        cells = {
            (r.cell.upstream, name): _scored(score, "UA") for r in everyone for name, score in r.scores.recall.items()
        }
        caption = _caption(measured[0], f"Recall of each class, {task.title}, head {head}")
        floor = frozenset(r.cell.upstream for r in everyone if r.cell.downstream == REFERENCE)
        rows = [r.cell.upstream for r in everyone]
        found.append(Grid(f"{task.name} · {head} · recall", caption, rows, list(task.classes), cells, floor,
                          names=names(everyone)))  # fmt: skip
    return found


def cost_grids(records: Sequence[Record]) -> list[Grid]:
    """A table for every task and head: sizes, times and memory, as far as the records hold them.

    The real-time factor is the wall time of the upstream's forward passes over the seconds of audio; it is known
    where every utterance was computed in this run and none came from the store.
    """
    columns: dict[str, Callable[[Record], str | None]] = {
        "parameters, M": lambda r: _text(r.upstream.parameters and r.upstream.parameters / 1e6, ".4g"),
        "layers": lambda r: _text(r.upstream.depth, "d"),
        "width": lambda r: _text(r.upstream.width, "d"),
        "real-time factor": lambda r: _text(real_time_factor(r), ".3g"),
        "extraction, s": lambda r: _text(r.run.seconds.get("extract"), ".0f") if real_time_factor(r) else None,
        "head, s": lambda r: _text(r.run.seconds.get("evaluate"), ".0f"),
        "peak memory, MB": lambda r: _text(r.run.peak_memory_mb, ".0f"),
        "device": lambda r: r.run.device,
        "precision": lambda r: r.cell.precision,
    }
    found = []
    for measured, _ in groups(records):
        if measured[0].cell.downstream == REFERENCE:
            continue
        cells = {
            (r.cell.upstream, name): Entry(text=text)
            for r in measured
            for name, of in columns.items()
            if (text := of(r)) is not None
        }
        filled = [name for name in columns if any(column == name for _, column in cells)]
        task, head = measured[0].task, measured[0].cell.downstream
        hours = measured[0].upstream.audio_seconds
        caption = f"Cost on {task.title}, head {head}" + (f", {hours / 60:.1f} min of audio" if hours else "")
        rows = [r.cell.upstream for r in measured]
        found.append(Grid(f"{task.name} · {head} · cost", caption, rows, filled, cells, names=names(measured)))
    return found


def real_time_factor(record: Record) -> float | None:
    """Seconds of forward passes for a second of audio; None where features came from the store."""
    forward, audio, counts = record.run.seconds.get("forward"), record.upstream.audio_seconds, record.upstream.counts
    whole = counts.get("computed", 0) > 0 and not counts.get("reused", 0)
    return forward / audio if whole and forward and audio else None


def block(grid: Grid) -> Block:
    """The grid for a terminal or Markdown."""
    letters = grid.letters()
    rows = []
    for row in grid.rows:
        cells = {grid.corner: plain(grid.name(row))}
        for column in grid.columns:
            entry = grid.cells.get((row, column), Entry())
            text = plain(entry.shown)
            if entry.metric and entry.low is not None and entry.high is not None:
                text += f" [{figure(entry.low, entry.metric)}, {figure(entry.high, entry.metric)}]"
            cells[plain(column)] = " ".join([text, *(letters[m] for m in entry.marks)])
        rows.append(Row(cells, row in grid.references))
    notes = [*grid.notes, *(f"{letter} = {note(mark)}" for mark, letter in letters.items())]
    return Block(plain(grid.title), [plain(grid.caption)], [grid.corner, *map(plain, grid.columns)], rows,
                 notes=list(map(plain, notes)))  # fmt: skip


def note(mark: str) -> str:
    """A footnote: a mark with its meaning, or what a published figure is."""
    return mark if mark.startswith(PUBLISHED) else f"{mark}: {explain(mark)}"


def _kind(record: Record) -> tuple[str, str, str]:
    """Head, headline metric and aspect: what figures must share to stand in one table."""
    return record.cell.downstream, record.task.headline, aspect(record.task)


def _kinds(records: Sequence[Record]) -> dict[tuple[str, str, str], list[tuple[list[Record], list[Record]]]]:
    kinds: dict[tuple[str, str, str], list[tuple[list[Record], list[Record]]]] = {}
    for measured, references in groups(records):
        if measured[0].cell.downstream != REFERENCE:
            kinds.setdefault(_kind(measured[0]), []).append((measured, references))
    return kinds


def _by_task(head: str, metric: str, about: str, parts: Sequence[tuple[list[Record], list[Record]]]) -> Grid:
    cells: dict[tuple[str, str], Entry] = {}
    columns: list[str] = []
    notes, references = [], set()
    for measured, floors in parts:
        task = measured[0].task
        column = task.name if task.name not in columns else f"{task.name} {task.audit[:6]}"
        columns.append(column)
        common = _common(measured)
        if common:
            notes.append(f"{column}: {', '.join(sorted(common))}")
        for record in (*measured, *floors):
            own = tuple(m for m in _marks(record) if m not in common)
            cells[record.cell.upstream, column] = of_record(record, metric, own)
        references |= {r.cell.upstream for r in floors}
    found = {row for row, _ in cells}
    rows = [
        *_ranked(found - references, columns, cells, metric),
        *_ranked(found & references, columns, cells, metric),
    ]
    caption = f"{metric} of every task, head {head}, pooled over folds; 95 % intervals over groups"
    title = " · ".join(filter(None, ("all tasks", about, head)))
    called = names(r for part in parts for several in part for r in several)
    return Grid(title, caption, rows, columns, cells, frozenset(references), notes, names=called)


def _ranked(names: set[str], columns: Sequence[str], cells: dict[tuple[str, str], Entry], metric: str) -> list[str]:
    """Rows with most figures first, and of these the best on average."""
    sign = -1 if METRICS[metric].higher_is_better else 1

    def place(row: str) -> tuple[int, float, str]:
        values = [e.value for c in columns if (e := cells.get((row, c))) and e.value is not None]
        return -len(values), sign * statistics.fmean(values) if values else 0.0, row

    return sorted(names, key=place)


def of_record(record: Record, metric: str, marks: tuple[str, ...] = ()) -> Entry:
    """A record's figure of a metric, with its interval and the deviation over seeds."""
    seeds = [v for v in record.scores.by_seed.get(metric, []) if v is not None]
    std = statistics.stdev(seeds) if len(seeds) > 1 else None
    return _scored(record.scores.metrics[metric], metric, marks, std)


def _scored(score: Score, metric: str, marks: tuple[str, ...] = (), std: float | None = None) -> Entry:
    return Entry(score.value, score.low, score.high, std, metric, marks)


def _caption(record: Record, words: str) -> str:
    counts, task = record.scores.counts, record.task
    sizes = f"{plural(counts.n, 'utterance')}, {plural(counts.folds, 'fold')}"
    return f"{words}: {sizes}; 95 % intervals over {plural(counts.groups, task.group_by)}"


def _marks(record: Record) -> list[str]:
    return [mark for mark in record.marks if mark != REFERENCE]


def _common(measured: Sequence[Record]) -> set[str]:
    return set.intersection(*(set(_marks(r)) for r in measured))


def _mark_notes(common: set[str]) -> list[str]:
    return [f"{mark}: {explain(mark)}" for mark in sorted(common)]


def _beside(record: Record) -> Entry | None:
    """The published figure of the record's upstream in the headline metric; one of the same protocol where there is
    one, else one of another, in grey."""
    figures = [p for p in published.own(record) if p.metric == record.task.headline]
    if not figures:
        return None
    p = next((p for p in figures if p.matches), figures[0])
    note = f"{p.source}{f', head {p.head}' if p.head else ''}"
    note += f"; other protocol: {p.difference}" if not p.matches else _said(p.difference)
    if warned := published.contaminated(p, record.task):
        note += f"; {warned}: {explain(warned)}"
    return Entry(p.value, metric=p.metric, marks=(PUBLISHED + note,), grey=not p.matches)


def _said(difference: str | None) -> str:
    return f"; same protocol but {difference}" if difference else "; same protocol"


def _text(value: float | None, form: str) -> str | None:
    return None if value is None else format(value, form)


def _letter(index: int) -> str:
    return "abcdefghijklmnopqrstuvwxyz"[index % 26] * (index // 26 + 1)
