"""What an upstream is, what it costs, and what is not known of it."""

from __future__ import annotations

from collections.abc import Sequence

from commons.corridors.record import Record
from commons.marks import explain
from leaderboard.cards.model import Given, Section
from leaderboard.records.changed_audio import is_changed
from leaderboard.tables.model import Cell, Table
from leaderboard.tables.views import all_computed, real_time_factor
from leaderboard.text import NONE


def what_it_is(given: Given) -> Section:
    """Title, licence, weights, size, and what it was trained on."""
    records = sorted(given.own, key=lambda record: record.created)
    up = records[-1].upstream
    parameters = next((r.upstream.parameters for r in reversed(records) if r.upstream.parameters), None)
    known = {
        "name": given.upstream,
        "what": up.title,
        "reads": up.modality,
        "licence": up.licence,
        "weights": up.weights,
        "fingerprint": up.fingerprint and up.fingerprint[:16],
        "parameters": parameters and f"{parameters / 1e6:.4g} M",
        "layers": up.depth and f"{up.depth}, of width {up.width}",
        "trained on": _seen(up.seen),
        "is a variant, a checkpoint or a random twin of": up.base,
        "parts": ", ".join(up.parts) or None,
        "cite": ", ".join(up.cite or ()) or None,
    }
    prints = sorted({r.upstream.fingerprint for r in records if r.upstream.fingerprint})
    if len(prints) > 1 and up.draw is None:
        known["beware"] = f"records of {len(prints)} fingerprints stand side by side: it changed between them"
    rows = [name for name, value in known.items() if value]
    table = Table(
        title="what it is", facts=[], rows=rows, columns=["fact"], corner="",
        cells={(name, "fact"): Cell(text=str(known[name])) for name in rows},
    )  # fmt: skip
    return Section("What it is", tables=[table], records=[records[-1]])


def _seen(seen: object) -> str:
    if seen is None:
        return "not known"
    if isinstance(seen, str):
        return "not known: nobody says"
    assert isinstance(seen, dict)
    return (
        ", ".join(f"{corpus} ({level})" for corpus, level in sorted(seen.items())) or "none of the corpora known here"
    )


def cost(given: Given) -> Section:
    """Seconds, memory and speed of every cell of a task that is made of no other."""
    columns = ("real-time factor", "extraction, s", "head, s", "peak memory, MB", "device")
    cells: dict[tuple[str, str], Cell] = {}
    used = [r for r in given.own if r.cell.task in given.tasks]
    for record in used:
        row, seconds = f"{record.cell.task} · {record.cell.downstream}", record.run.seconds
        factor = real_time_factor(record)
        values = (
            None if factor is None else f"{factor:.3g}",
            f"{seconds['extract']:.0f}" if all_computed(record) and "extract" in seconds else None,
            f"{seconds['evaluate']:.0f}" if "evaluate" in seconds else None,
            None if record.run.peak_memory_mb is None else f"{record.run.peak_memory_mb:.0f}",
            record.run.device,
        )
        for column, value in zip(columns, values, strict=True):
            cells[row, column] = Cell(text=value or NONE)
    rows = list(dict.fromkeys(row for row, _ in cells))
    table = Table("cost", [], rows, list(columns), cells, corner="task · head")
    lines = [
        "real-time factor: seconds of forward passes for a second of audio; it and the time of extraction are known "
        "where nothing came from the store"
    ]
    trainings = {record.cell.training for record in given.own if is_changed(record)}
    if trainings & {record.cell.key for record in used}:
        lines.append("head: of a task whose audio was changed too, the time in which all changes were answered with it")
    missing = []
    if all(real_time_factor(r) is None for r in used):
        fresh = given.command(given.tasks[0], more="--force --cache EMPTY_FOLDER")
        missing.append(("speed of extraction", fresh))
    return Section("Cost", lines, [table] if rows else [], used, missing)


def not_known(given: Given, sections: Sequence[Section]) -> Section:
    """What a reader must not conclude: what was not measured, and every warning with its words."""
    lines = [f"not measured: {what}" for section in sections for what, _ in section.missing]
    up = given.own[0].upstream
    if up.licence is None:
        lines.append("its licence is not known")
    if up.seen == "unknown" or up.seen is None:
        lines.append("what it was trained on is not known, so a figure may be of speech that it has seen")
    for mark, tasks in sorted(_marks(given.own).items()):
        lines.append(f"{mark}: {explain(mark)} ({', '.join(tasks)})")
    lines.append(
        "intervals are over the speakers tested; they say nothing of other languages, microphones or acted speech"
    )
    return Section("What is not known", lines)


def _marks(records: Sequence[Record]) -> dict[str, list[str]]:
    """Every mark with the tasks that have it; all changes of a task's audio are named as one."""
    of: dict[str, dict[str, None]] = {}
    for record in records:
        changed = is_changed(record) and record.task.base
        for mark in record.marks:
            of.setdefault(mark, {})[f"{record.task.derived}:{changed}" if changed else record.cell.task] = None
    return {mark: list(tasks) for mark, tasks in of.items()}
