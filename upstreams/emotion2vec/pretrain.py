"""Pre-training: the paper's loop (emotion2vec, 3), the same on one process and on those that torchrun starts."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from upstreams.emotion2vec.batches import MicroBatch, epoch_plan
from upstreams.emotion2vec.checkpoint import Facts
from upstreams.emotion2vec.config import SAMPLE_RATE
from upstreams.emotion2vec.learner import Learner
from upstreams.emotion2vec.meter import Line, Meter
from upstreams.emotion2vec.pack import Pack
from upstreams.emotion2vec.processes import Processes
from upstreams.emotion2vec.recipe import Recipe
from upstreams.emotion2vec.runfolder import Position, RunFolder
from upstreams.emotion2vec.tracks import Tracks
from upstreams.errors import UpstreamError

NAMED = 5  # files that a message lists

Watch = Callable[[int, Line | None], bool]


def train(
    recipe: Recipe,
    pack: Pack,
    run: Path,
    device: torch.device,
    processes: Processes,
    watch: Watch,
    tracks: Tracks | None = None,
    seen: dict[str, str] | None = None,
) -> Position:
    """Train to the recipe's last step, from the run's last state if there is one; returns where it ended.

    `watch` is told every step done, with the log's line where one is due, and ends the run by returning True.
    `tracks` are needed for side targets; `seen` names the benchmark's corpora among the audio, if that is known.

    Raises:
        UpstreamError: NaN, collapse, a full disk, a folder that holds another run. The last whole state is kept.
    """
    folder = RunFolder(run, writes=processes.rank == 0)
    changes = folder.claim(recipe, pack)
    learner = Learner.begin(recipe, device, processes)
    start = folder.resume(learner.state)
    processes.agree(beginning(recipe, pack, start, learner))
    if changes and start.step:
        folder.log({"step": start.step, "changed": changes})
    meter = Meter(recipe, device, processes.count)

    for at, step, after in upcoming(recipe, pack, start):
        sums = learner.listen(at, step, pack, tracks)
        norm = learner.norm()
        if not math.isfinite(norm):
            raise UpstreamError(not_finite(at, step, sums.losses, pack, folder))
        moved = learner.descend(at, norm)

        line = meter.line(at, after, step, sums, moved)
        if line:
            folder.log(line)
            check_collapse(line, at, recipe, folder)
        stop = processes.any(watch(after.step, line))
        if stop or after.step in published(recipe):
            folder.publish(after.step, learner.student, learner.teacher, facts(recipe, pack, seen))
        if stop or after.step % recipe.save_every == 0 or after.step == recipe.optimiser.steps:
            folder.save(after, learner.state)
        if stop:
            return after
    return Position(recipe.optimiser.steps)


def beginning(recipe: Recipe, pack: Pack, start: Position, learner: Learner) -> dict[str, object]:
    """Facts that are equal in all processes when they begin; the file of `init` counts by its weights alone."""
    settings = recipe.model_copy(update={"init": None}).model_dump_json()
    weights = hashlib.sha256()
    for tensor in (*learner.student.state_dict().values(), *learner.teacher.state_dict().values()):
        weights.update(tensor.cpu().contiguous().numpy())
    return {
        "step": start.step,
        "epoch": f"{start.epoch}, batch {start.index}",
        "speech": pack.key[:8],
        "recipe": hashlib.sha256(settings.encode()).hexdigest()[:8],
        "weights": weights.hexdigest()[:8],
    }


def upcoming(recipe: Recipe, pack: Pack, at: Position) -> Iterator[tuple[Position, list[MicroBatch], Position]]:
    """What is left of the run: where each step is, its micro-batches, and where the next one will be."""
    audio, batch = recipe.audio, recipe.batch
    crop = None if audio.crop_seconds is None else round(audio.crop_seconds * SAMPLE_RATE)
    budget = round(batch.seconds * SAMPLE_RATE)
    while at.step < recipe.optimiser.steps:
        plan = epoch_plan(pack.lengths, budget, batch.micro_batches, recipe.seed, at.epoch, crop, batch.equal_lengths)
        for index in range(at.index, len(plan)):
            last = index + 1 == len(plan)
            after = Position(at.step + 1, at.epoch + last, 0 if last else index + 1)
            yield at, plan[index], after
            at = after
            if at.step == recipe.optimiser.steps:
                return


def published(recipe: Recipe) -> set[int]:
    """The steps after which student and teacher are kept as upstreams: evenly spaced, the last among them."""
    steps, number = recipe.optimiser.steps, recipe.checkpoints
    return {round(steps * i / number) for i in range(1, number + 1)} - {0}


def facts(recipe: Recipe, pack: Pack, seen: dict[str, str] | None) -> Facts:
    """What a checkpoint says of its origin."""
    plain = recipe.model_dump(mode="json")
    if recipe.init is not None:
        plain["init"] = Path(recipe.init).name  # weights are passed on: no word of the folders they were made in
    origin: Facts = {"recipe": plain, "hours": round(pack.hours, 2), "audio": pack.key}
    if seen is not None:
        origin["seen"] = seen
    return origin


def check_collapse(line: Line, at: Position, recipe: Recipe, folder: RunFolder) -> None:
    """Raises UpstreamError where targets or predictions hardly differ between frames any more."""
    if line["step"] <= recipe.collapse.after:
        return
    for what, least, learnt in (
        ("target", recipe.collapse.target, True),
        ("prediction", recipe.collapse.prediction, recipe.loss.frame > 0),
    ):
        if learnt and line[f"{what}_var"] < least:
            raise UpstreamError(
                f"collapsed at step {line['step']} (epoch {at.epoch}, batch {at.index}): {what}s differ by "
                f"{line[f'{what}_var']:.2g} between frames, less than collapse.{what} {least:g}; the state at step "
                f"{folder.saved()} is kept in {folder.path}; go on with a lower optimiser.rate, or begin anew with a "
                f"higher teacher.decay: {way_on(folder)}"
            )


def not_finite(at: Position, step: list[MicroBatch], losses: Tensor, pack: Pack, folder: RunFolder) -> str:
    """Where NaN or infinity came up, and what to do."""
    broken = [number for number, loss in enumerate(losses.sum(1).tolist()) if not math.isfinite(loss)]
    files = [pack.names[u] for number in broken for u in step[number].utterances]
    where = f"in micro-batch {', '.join(map(str, broken))} ({', '.join(files[:NAMED])} ...)" if broken else (
        "in the gradient alone, while all losses are finite"
    )  # fmt: skip
    return (
        f"NaN or infinity at step {at.step + 1} (epoch {at.epoch}, batch {at.index}) {where}; the state at step "
        f"{folder.saved()} is kept in {folder.path}; go on with a lower optimiser.rate, a lower optimiser.clip or "
        f"precision fp32: {way_on(folder)}"
    )


def way_on(folder: RunFolder) -> str:
    """How a run that failed can go on from its state, or another one from its last checkpoint."""
    go_on = "the same command with --set optimiser.rate=..."
    last = folder.last_checkpoint()
    return f"{go_on}, or a run of its own, --run OTHER --set init={last}" if last else go_on
