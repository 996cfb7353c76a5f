"""Tables for papers: upstreams down; metrics, tasks, languages, families, classes or costs across.

A view takes the folder of results and the records; it returns tables, and a line for every record that it cannot use.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from commons.corridors.record import REFERENCE, Record, Score, Task
from commons.marks import explain
from commons.metrics import METRICS
from leaderboard import published
from leaderboard.records.comparable import aspect, groups, guesses, is_floor, unit
from leaderboard.records.display_names import names
from leaderboard.records.further import headlines
from leaderboard.records.random_weights import averaged, draws_of
from leaderboard.tables.model import PUBLISHED, Cell, Table, figure
from leaderboard.tables.runs import groups_of_runs, with_spread
from leaderboard.text import plural

if TYPE_CHECKING:
    from leaderboard.comparison.answers import Answer

# Head, headline metric, aspect, what was trained ("": frozen): what figures must share to stand in one table.
Kind = tuple[str, str, str, str]
Parts = list[tuple[list[Record], list[Record]]]  # measured and references, a pair a task
Made = tuple[list[Table], list[str]]  # tables, and a line for every record that could not be used


def by_metric(results: Path, records: Sequence[Record]) -> Made:
    """A table for every task and head: upstreams by the task's metrics, published figures beside them."""
    made = []
    for measured, references in groups(averaged(records)):
        task, head = measured[0].task, measured[0].cell.downstream
        metrics = [task.headline, *(m for m in task.metrics if m != task.headline)]
        everyone = [*measured, *references]
        common = common_marks(measured)
        cells = {}
        for record in everyone:
            own = tuple(m for m in marks_of(record) if m not in common)
            for metric in metrics:
                cells[row_of(record), metric] = of_record(record, metric, own if metric == task.headline else ())
            cells |= {(row_of(record), column): cell for column, cell in further_cells(record).items()}
            if cell := _beside(record):
                cells[row_of(record), "published"] = cell
        further = list(dict.fromkeys(column for record in measured for column in further_cells(record)))
        beside = ["published"] if any(column == "published" for _, column in cells) else []
        made.append(
            _table(
                f"{task.name} · {head}",
                _caption(measured[0], f"{task.title} ({task.language}), head {head}"),
                everyone,
                [*metrics, *further, *beside],
                cells,
                [f"{mark}: {explain(mark)}" for mark in sorted(common)],
            )
        )
    return made, []


def by_tasks(results: Path, records: Sequence[Record]) -> Made:
    """Upstreams by tasks, for every kind."""
    return [by_task(*kind, parts) for kind, parts in by_kind(averaged(records)).items()], []


def by_task(head: str, metric: str, about: str, trained: str, parts: Parts) -> Table:
    """Upstreams by the tasks of one kind; those measured on most tasks first, and of these the best on average."""
    cells: dict[tuple[str, str], Cell] = {}
    columns: list[str] = []
    notes, references, by_chance = [], set(), []
    for measured, floors in parts:
        task = measured[0].task
        column = task.name if task.name not in columns else f"{task.name} {task.audit[:6]}"
        columns.append(column)
        common = common_marks(measured)
        if common:
            notes.append(f"{column}: {', '.join(sorted(common))}")
        if metric == "UA":
            by_chance.append(f"{column} {guessed(task)}")
        for record in (*measured, *floors):
            own = tuple(m for m in marks_of(record) if m not in common)
            cells[row_of(record), column] = of_record(record, metric, own)
        references |= {row_of(r) for r in (*measured, *floors) if is_floor(r)}
    rows = {row for row, _ in cells}
    everyone = [record for part in parts for several in part for record in several]
    return Table(
        title=" · ".join(filter(None, ("all tasks", about, head))),
        facts=[
            f"{metric} of every task, {_system(head, trained)}, pooled over folds; 95 % intervals over groups",
            *([f"chance: {', '.join(by_chance)}"] if by_chance else []),
        ],
        rows=[
            *_ranked(rows - references, columns, cells, metric),
            *_ranked(rows & references, columns, cells, metric),
        ],
        columns=columns,
        cells=cells,
        references=frozenset(references),
        notes=notes,
        names=_names(everyone),
        interpretation=parts[0][0][0].downstream.interpretation,
    )


def ablations(results: Path, records: Sequence[Record]) -> Made:
    """For every ablation its variants, and the upstream that it varies, by tasks."""
    variants: dict[tuple[str, str], dict[str, str]] = {}  # base, ablation: upstream -> variant
    for record in records:
        up = record.upstream
        if up.base and up.ablation and up.variant:
            variants.setdefault((up.base, up.ablation), {})[record.cell.upstream] = up.variant
    made = []
    for (base, ablation), own in sorted(variants.items()):
        tables, _ = by_tasks(results, [r for r in records if r.cell.upstream == base or r.cell.upstream in own])
        for table in tables:
            title = f"{ablation} of {table.name(base)} · {table.title}"
            named = replace(table, title=title, names={**table.names, **own}, references=frozenset())
            made.append(with_spread(named, groups_of_runs([r for r in records if r.cell.upstream in own])))
    return made, []


def by_language(results: Path, records: Sequence[Record]) -> Made:
    """Upstreams by languages: means over a language's corpus families."""
    return _by_mean(results, records, "language", lambda task: task.language)


def by_family(results: Path, records: Sequence[Record]) -> Made:
    """Upstreams by corpus families: means over a family's tasks."""
    return _by_mean(results, records, "family", lambda task: task.family or task.corpus)


def _by_mean(results: Path, records: Sequence[Record], by: str, column_of: Callable[[Task], str]) -> Made:
    """Means over the corpus families of each column, with intervals over their groups.

    An upstream has a figure where it has every task of the column that any of them has.
    """
    from leaderboard.comparison.answers import answers, kinds
    from leaderboard.comparison.corpora import mean_over

    parts, problems = answers(results, records)
    several_kinds, left = kinds(parts)
    made = []
    for own in several_kinds:
        head, metric, about, trained = kind_of(own[0][0].record)
        columns: dict[str, list[list[Answer]]] = {}
        for part in own:
            columns.setdefault(column_of(part[0].record.task), []).append(part)
        cells: dict[tuple[str, str], Cell] = {}
        for column, several in columns.items():
            for upstream in {a.upstream for part in several for a in part}:
                mine = [a for part in several for a in part if a.upstream == upstream]
                if len(mine) == len(several):
                    mean = mean_over(mine)
                    marks = {m for a in mine for m in a.record.marks if m.startswith(("contaminated", "seen"))}
                    low, high = (None if math.isnan(value) else value for value in (mean.low, mean.high))
                    cells[upstream, column] = Cell(mean.value, low, high, None, metric, tuple(sorted(marks)))
        references = {a.upstream for part in own for a in part if is_floor(a.record)}
        shown = {row for row, _ in cells}
        rows = [*_ranked(shown - references, sorted(columns), cells, metric),
                *_ranked(shown & references, sorted(columns), cells, metric)]  # fmt: skip
        tasks = "; ".join(f"{c}: {', '.join(p[0].record.task.name for p in columns[c])}" for c in sorted(columns))
        caption = f"{metric} by {by}, {_system(head, trained)}, one vote a corpus family ({tasks}); "
        caption += "95 % intervals over groups"
        title, first = " · ".join(filter(None, (f"by {by}", about, head))), own[0][0].record
        made.append(Table(title, [caption], rows, sorted(columns), cells, frozenset(references), names=names(records),
                          interpretation=first.downstream.interpretation))  # fmt: skip
    return made, [*problems, *left]


def by_class(results: Path, records: Sequence[Record]) -> Made:
    """A table for every classification task and head: the recall of every class."""
    made = []
    for measured, references in groups(averaged(records)):
        task, head = measured[0].task, measured[0].cell.downstream
        if not task.classes:
            continue
        everyone = [*measured, *references]
        cells = {(row_of(r), name): _scored(score, "UA") for r in everyone for name, score in r.scores.recall.items()}
        caption = _caption(measured[0], f"Recall of each class, {task.title}, head {head}")
        made.append(_table(f"{task.name} · {head} · recall", caption, everyone, list(task.classes), cells))
    return made, []


def by_pairs(results: Path, records: Sequence[Record]) -> Made:
    """A table for every ordinal task and head: the share of pairs ordered right, of each emotion and of all."""
    made = []
    for measured, references in groups(averaged(records)):
        task, head = measured[0].task, measured[0].cell.downstream
        if not measured[0].scores.pairs:
            continue
        everyone = [*measured, *references]
        cells = {(row_of(r), name): _scored(score, "pairs") for r in everyone for name, score in r.scores.pairs.items()}
        cells |= {(row_of(r), "all"): of_record(r, "pairs") for r in everyone if "pairs" in r.scores.metrics}
        alike = ", ".join(task.pairs)
        caption = _caption(measured[0], f"Pairs of one {alike} ordered right by level, {task.title}, head {head}")
        columns = [*sorted(measured[0].scores.pairs), "all"]
        made.append(_table(f"{task.name} · {head} · pairs", caption, everyone, columns, cells))
    return made, []


def by_cost(results: Path, records: Sequence[Record]) -> Made:
    """A table for every task and head: sizes, times and memory, as far as the records hold them.

    The real-time factor is the wall time of the upstream's forward passes over the seconds of audio; it is known
    where every utterance was computed in this run and none came from the store.
    """
    columns: dict[str, Callable[[Record], str | None]] = {
        "parameters, M": lambda r: _text(r.upstream.parameters and r.upstream.parameters / 1e6, ".4g"),
        "layers": lambda r: _text(r.upstream.depth, "d"),
        "width": lambda r: _text(r.upstream.width, "d"),
        "real-time factor": lambda r: _text(real_time_factor(r), ".3g"),
        "extraction, s": lambda r: _text(r.run.seconds.get("extract"), ".0f") if all_computed(r) else None,
        "head, s": lambda r: _text(r.run.seconds.get("evaluate"), ".0f"),
        "peak memory, MB": lambda r: _text(r.run.peak_memory_mb, ".0f"),
        "device": lambda r: r.run.device,
        "precision": lambda r: r.cell.precision,
    }
    made = []
    for measured, _ in groups(averaged(records)):
        if measured[0].cell.downstream == REFERENCE:
            continue
        cells = {
            (row_of(r), name): Cell(text=text)
            for r in measured
            for name, of in columns.items()
            if (text := of(r)) is not None
        }
        filled = [name for name in columns if any(column == name for _, column in cells)]
        task, head = measured[0].task, measured[0].cell.downstream
        seconds = measured[0].upstream.audio_seconds
        caption = f"Cost on {task.title}, head {head}" + (f", {seconds / 60:.1f} min of audio" if seconds else "")
        made.append(_table(f"{task.name} · {head} · cost", caption, measured, filled, cells))
    return made, []


def real_time_factor(record: Record) -> float | None:
    """Seconds of forward passes for a second of audio; None where texts were read, or features came from the store."""
    forward, audio = record.run.seconds.get("forward"), record.upstream.audio_seconds
    speech = record.upstream.modality == "audio"
    return forward / audio if forward and audio and speech and all_computed(record) else None


def all_computed(record: Record) -> bool:
    """Whether the features of every utterance were computed in this run."""
    counts = record.upstream.counts
    return counts.get("computed", 0) > 0 and not counts.get("reused", 0)


def row_of(record: Record) -> str:
    """The key of a record's row: its upstream, and of a reference that it is one, since both may share a name."""
    return f"{REFERENCE}: {record.cell.upstream}" if record.cell.downstream == REFERENCE else record.cell.upstream


def of_record(record: Record, metric: str, marks: tuple[str, ...] = ()) -> Cell:
    """A record's figure of a metric, with its interval and the deviation over seeds."""
    seeds = [v for v in record.scores.by_seed.get(metric, []) if v is not None]
    std = statistics.stdev(seeds) if len(seeds) > 1 else None
    return replace(_scored(record.scores.metrics[metric], metric, marks, std), drawn=draws_of(record) > 0)


def further_cells(record: Record) -> dict[str, Cell]:
    """The figures that a head of several targets has beside those of the task, by the heads of their columns."""
    return {column: _scored(score, metric) for column, (metric, score) in headlines(record).items()}


def chance(task: Task) -> str:
    """The UA that guessing gives, whatever the shares of the classes."""
    return f"chance UA {guessed(task)}"


def guessed(task: Task) -> str:
    """The figure alone; of joined corpora the least and greatest, since an answer is a class of its own corpus."""
    low, high = guesses(task)
    return figure(low, "UA") if low == high else f"{figure(low, 'UA')} to {figure(high, 'UA')} by corpus"


def marks_of(record: Record) -> list[str]:
    """The marks of a record, without the one that says that it is a reference."""
    return [mark for mark in record.marks if mark != REFERENCE]


def common_marks(measured: Sequence[Record]) -> set[str]:
    """Marks that all of some records have."""
    return set.intersection(*(set(marks_of(r)) for r in measured))


def kind_of(record: Record) -> Kind:
    """Head, headline metric and aspect of a record, and what was trained of its upstream."""
    return record.cell.downstream, record.task.headline, aspect(record.task), record.downstream.trained or ""


def _system(head: str, trained: str) -> str:
    """The head of a kind, and what was trained with it, in words."""
    return f"head {head}" + (f", trained: {trained}" if trained else "")


def by_kind(records: Sequence[Record]) -> dict[Kind, Parts]:
    """The measured records of every kind and the references beside them, a pair for every task."""
    kinds: dict[Kind, Parts] = {}
    for measured, references in groups(records):
        if measured[0].cell.downstream != REFERENCE:
            kinds.setdefault(kind_of(measured[0]), []).append((measured, references))
    return kinds


def _table(
    title: str,
    caption: str,
    records: Sequence[Record],
    columns: list[str],
    cells: dict[tuple[str, str], Cell],
    notes: Sequence[str] = (),
) -> Table:
    """A table with a row a record, in their order, reference rows last."""
    records = sorted(records, key=is_floor)
    return Table(
        title=title,
        facts=[caption],
        rows=[row_of(record) for record in records],
        columns=columns,
        cells=cells,
        references=frozenset(row_of(r) for r in records if is_floor(r)),
        notes=list(notes),
        names=_names(records),
        interpretation=next((r.downstream.interpretation for r in records if not is_floor(r)), None),
    )


def _names(records: Sequence[Record]) -> dict[str, str]:
    """Every row's head: what tables call its upstream."""
    called = names(records)
    return {row_of(record): called[record.cell.upstream] for record in records}


def _ranked(rows: set[str], columns: Sequence[str], cells: dict[tuple[str, str], Cell], metric: str) -> list[str]:
    """Rows with most figures first, and of these the best on average."""
    sign = -1 if METRICS[metric].higher_is_better else 1

    def place(row: str) -> tuple[int, float, str]:
        values = [e.value for c in columns if (e := cells.get((row, c))) and e.value is not None]
        return -len(values), sign * statistics.fmean(values) if values else 0.0, row

    return sorted(rows, key=place)


def _scored(score: Score, metric: str, marks: tuple[str, ...] = (), std: float | None = None) -> Cell:
    return Cell(score.value, score.low, score.high, std, metric, marks)


def _caption(record: Record, words: str) -> str:
    """What is shown, over how many utterances and groups."""
    counts, task = record.scores.counts, record.task
    sizes = f"{plural(counts.n, 'utterance')}, {plural(counts.folds, 'fold')}"
    if task.classes:
        sizes += f"; {chance(task)}"
    return f"{words}: {sizes}; 95 % intervals over {plural(counts.groups, unit(record))}"


def _beside(record: Record) -> Cell | None:
    """The published figure of the record's upstream in the headline metric; one of the same protocol where there is
    one, else one of another, in grey."""
    figures = [p for p in published.own(record) if p.metric == record.task.headline]
    if not figures:
        return None
    p = next((p for p in figures if p.matches), figures[0])
    source = f"{p.source}{f', head {p.head}' if p.head else ''}"
    if not p.matches:
        source += f"; other protocol: {p.difference}"
    else:
        source += f"; same protocol but {p.difference}" if p.difference else "; same protocol"
    if warned := published.contaminated(p, record.task):
        source += f"; {warned}: {explain(warned)}"
    return Cell(p.value, metric=p.metric, marks=(PUBLISHED + source,), grey=not p.matches)


def _text(value: float | None, form: str) -> str | None:
    return None if value is None else format(value, form)
