"""Pictures of systems that train: learning curves, and differences of heads on the same upstream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from commons.corridors.predictions import Plain
from commons.corridors.record import Record
from commons.metrics import axis_label
from leaderboard.plots.style import COLOURS, GREY, distinct, figure, line_style, pages, short
from leaderboard.plots.style import title as heading
from leaderboard.records.comparable import question
from leaderboard.records.display_names import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from leaderboard.comparison.answers import Answer
    from leaderboard.comparison.statistics import Effect

BASE = "probe"  # the frozen head that others are compared with
NO_CONTEXT, OF_CONTEXT = "no_context", ("context_gru", "recent_gru", "dialogue_rnn")
NAMED = 10  # folds; of more, a legend would be longer than the picture
MOST = 24  # rows of a picture


def curves(results: Path, records: Sequence[Record], width: str) -> Iterator[tuple[tuple[str, ...], Figure]]:
    """For every fine-tuned cell: the figure and cross-entropy on dev, and the training loss, over steps, a line a fold.

    They are of the first seed. Dev and training losses differ in kind, see downstreams/course.py.

    Read-outs of one training have the same curves, so those of one alone are drawn: of the main one where it is there.
    """
    cells = {(record.cell.upstream, record.cell.task, record.cell.downstream) for record in records}
    drawn_of: set[tuple[str, str, str]] = set()
    for record in records:
        upstream, task, head = record.cell.upstream, record.cell.task, record.cell.downstream
        main = (upstream, task, _parts(head).main)
        if not record.chosen.curves or main in drawn_of or (main in cells and main[2] != head):
            continue
        drawn_of.add(main)
        across = 2 if width == "page" else 1
        drawn, axes = figure(width, 2.5 if width == "page" else 4.6, 2 // across, across)
        _folds(record, axes)
        words = f"{shown(record)} · {record.cell.task} · {head}"
        heading(drawn, words, width)
        yield (record.cell.upstream, record.cell.task, head), drawn


def _folds(record: Record, axes: Sequence[Axes]) -> None:
    from matplotlib.ticker import MaxNLocator

    figures, losses = axes
    entries = [entry for entry in record.chosen.curves if entry["seed"] == record.chosen.curves[0]["seed"]]
    folds = list(dict.fromkeys(str(entry["fold"]) for entry in entries))
    for index, fold in enumerate(folds):
        own = [entry for entry in entries if str(entry["fold"]) == fold]
        steps = _column(own, "step")
        style = line_style(index) | {"marker": "" if len(own) > 1 else "o"}
        figures.plot(steps, _column(own, "dev"), label=short(fold, 12), **style)
        losses.plot(steps, _column(own, "dev_loss"), **style)
        losses.plot(steps, _column(own, "train_loss"), **style, alpha=0.35)
    figures.set_ylabel(f"dev, {axis_label(str(entries[0].get('metric', record.task.headline)))}")
    losses.set_ylabel("dev: cross-entropy\npale: what training minimises")  # with class weights, mixup, branches
    for axis in axes:
        axis.set_xlabel("step")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if len(folds) <= NAMED:
        figures.legend(title="test fold", ncols=2, fontsize=5, title_fontsize=5.5)


def _column(entries: Sequence[Mapping[str, Plain]], name: str) -> list[float]:
    """The numbers of that name; NaN where one is not finite."""
    return [float(value) if (value := entry[name]) is not None else float("nan") for entry in entries]


def forest(results: Path, records: Sequence[Record], width: str) -> Iterator[tuple[tuple[str, ...], Figure]]:
    """For every task: paired differences of heads on one upstream, with 95 % intervals over the groups.

    Every head is compared with `probe`, heads of conversations with `no_context` as well, the average with the other
    read-outs of its training, a head of two stages with its first one, and a head on a trained encoder with the same
    one on frozen frames. A dot is full where the difference is significant among all rows of the task.
    """
    from leaderboard.comparison.answers import answers
    from leaderboard.comparison.standings import SIGNIFICANT, compare

    asked: dict[object, list[Answer]] = {}
    for part in answers(results, records)[0]:
        for answer in part:
            asked.setdefault(question(answer.record), []).append(answer)
    for several in asked.values():
        couples, task = list(_couples(several)), several[0].record.task
        longest = 44 if width == "page" else 26
        names = distinct([_words(a, b, longest) for a, b in couples], 200)
        rows = [(name, effect, adjusted <= SIGNIFICANT)
                for name, (effect, _, adjusted) in zip(names, compare(couples), strict=True)]  # fmt: skip
        for number, some in pages(rows, MOST):
            yield (task.name, *number), _forest(some, f"difference in {axis_label(task.headline)}", task.name, width)


def _couples(several: Sequence[Answer]) -> Iterator[tuple[Answer, Answer]]:
    """The pairs of answers of one upstream that are of interest, the first minus the second."""
    for upstream in dict.fromkeys(answer.upstream for answer in several):
        own = {a.record.cell.downstream: a for a in several if a.upstream == upstream}
        for head, answer in own.items():
            called = _parts(head)
            if called.main != head:
                continue
            others = [name for name in own if name != head and _parts(name).main == head]
            first, _, frozen = called.head.rpartition("_")  # of finetune_ecapa: finetune, and ecapa on frozen frames
            names = (name + called.file for name in (first, frozen))  # with the settings of the same file
            others += [name for name in names if name in own and name != head]
            others += [NO_CONTEXT] if NO_CONTEXT in own and head in OF_CONTEXT else []
            others += [BASE] if BASE in own and head != BASE and BASE not in others else []
            yield from ((answer, own[other]) for other in others)


class _Parts(NamedTuple):
    """The parts of a head's name: HEAD, or HEAD:READOUT, with the @FILE~hash of settings of a user's own."""

    head: str
    file: str

    @property
    def main(self) -> str:
        """The name of its training's main read-out."""
        return self.head + self.file


def _parts(name: str) -> _Parts:
    head, at, file = name.partition("@")
    return _Parts(head.partition(":")[0], at + file)


def _words(first: Answer, second: Answer, longest: int) -> str:
    """The upstream and both heads, in as many lines as they need."""
    upstream, one, other = shown(first.record), first.record.cell.downstream, second.record.cell.downstream
    for lines in ([f"{upstream}: {one} - {other}"], [f"{upstream}:", f"{one} - {other}"]):
        if all(len(line) <= longest for line in lines):
            return "\n".join(lines)
    return "\n".join(short(line, longest) for line in (f"{upstream}:", f"{one} -", other))


def _forest(rows: Sequence[tuple[str, Effect, bool]], label: str, title: str, width: str) -> Figure:
    names = [words for words, _, _ in rows]
    lines = max(words.count("\n") + 1 for words in names)
    drawn, (axis,) = figure(width, 0.8 + max(0.24, 0.1 * lines) * len(rows))
    axis.axvline(0, color=GREY, linewidth=0.8)
    for place, (_, effect, significant) in enumerate(rows):
        if effect.low == effect.low:  # an interval is known
            axis.plot([effect.low, effect.high], [place, place], color=COLOURS[0], linewidth=1.4)
        axis.plot(effect.value, place, marker="o", color=COLOURS[0], markerfacecolor=COLOURS[0] if significant else "w")
    axis.set_yticks(range(len(rows)), names)
    axis.tick_params(axis="y", labelsize=5)
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_xlabel(label)
    heading(drawn, title, width)
    return drawn
