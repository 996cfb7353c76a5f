"""Pre-training: the paper's loop (emotion2vec, 3), the same on one process and on those that torchrun starts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from upstreams.emotion2vec import checkpoint
from upstreams.emotion2vec.batches import MicroBatch, epoch_plan
from upstreams.emotion2vec.config import SAMPLE_RATE
from upstreams.emotion2vec.heard import counts, hear
from upstreams.emotion2vec.losses import utterance_weight
from upstreams.emotion2vec.masks import Stream, draws
from upstreams.emotion2vec.meter import Meter
from upstreams.emotion2vec.model import Emotion2vec
from upstreams.emotion2vec.objective import terms
from upstreams.emotion2vec.pack import Pack
from upstreams.emotion2vec.processes import Processes
from upstreams.emotion2vec.recipe import Recipe
from upstreams.emotion2vec.runfolder import Position, RunFolder
from upstreams.emotion2vec.schedule import ema_decay, learning_rate
from upstreams.emotion2vec.sides import heads as side_heads
from upstreams.emotion2vec.teacher import follow, teacher_of
from upstreams.emotion2vec.tracks import Tracks
from upstreams.errors import UpstreamError

FRESH = (".extra_tokens", ".decoder.")  # may be absent, or of another size, in the file a run begins with
NAMED = 5  # files that a message lists

Watch = Callable[[int, dict[str, Any] | None], bool]


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
    network, optimisation, loss = recipe.network, recipe.optimiser, recipe.loss
    folder = RunFolder(run, writes=processes.rank == 0)
    folder.claim(recipe, pack)
    student = begin(recipe).to(device).train()
    teacher = teacher_of(student)
    heads = side_heads(loss.side_targets, network.dim).to(device)
    optimiser, gradients = adamw([student, heads], recipe), flat_gradients([student, heads])
    state = {"student": student, "teacher": teacher, "heads": heads, "optimiser": optimiser}
    start = folder.resume(state)
    weights = torch.tensor([loss.frame, loss.alpha, loss.side], device=device)
    meter = Meter(recipe, device, processes.count)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bf16")

    for at, step, after in upcoming(recipe, pack, start):
        rate = learning_rate(at.step, optimisation.steps, optimisation.rate, optimisation.warmup)
        decay = ema_decay(at.step, optimisation.steps, recipe.teacher.decay, recipe.teacher.end_decay,
                          recipe.teacher.anneal)  # fmt: skip
        masked, clones = counts(recipe, network, step)
        shares = torch.tensor([1 / masked, utterance_weight(loss.weighting, clones), 1 / masked], device=device)
        sums = meter.sums(len(step))
        gradients.zero_()
        for number in range(processes.rank, len(step), processes.count):
            heard = hear(pack, step[number], recipe, network, tracks).to(device)
            seed_torch(recipe, at, number)
            with autocast:
                part = terms(student, teacher, heads, heard, recipe)
            losses = torch.stack([part.frame, part.utterance, part.side]) * shares
            (losses @ weights).backward()
            sums.add(number, losses, part.moments)

        processes.sum(gradients)
        processes.sum(sums.flat)
        norm = clip(gradients, optimisation.clip)
        if not math.isfinite(norm):
            raise UpstreamError(not_finite(at, step, sums.losses, pack, folder))
        descend(optimiser, rate)
        follow(teacher, student, decay)

        line = meter.line(at, after, step, sums, masked, clones, rate=rate, ema_decay=decay, gradient_norm=norm)
        if line:
            folder.log(line)
            check_collapse(line, recipe, folder)
        stop = processes.any(watch(after.step, line))
        if after.step in published(recipe):
            folder.publish(after.step, teacher, facts(recipe, pack, seen))
        if stop or after.step % recipe.save_every == 0 or after.step == optimisation.steps:
            folder.save(after, state)
        if stop:
            return after
    return Position(optimisation.steps)


def begin(recipe: Recipe) -> Emotion2vec:
    """The student before the first step. Raises UpstreamError where `init` names a file that does not fit."""
    torch.manual_seed(recipe.seed)
    student = Emotion2vec(recipe.network)
    if recipe.init is None:
        return student
    path, own = Path(recipe.init).expanduser(), student.state_dict()
    found = checkpoint.read(path).weights
    fits = {name: tensor for name, tensor in found.items() if name in own and own[name].shape == tensor.shape}
    if lacking := [name for name in own if name not in fits and not any(part in name for part in FRESH)]:
        raise UpstreamError(
            f"init {path}: does not fit the recipe's model; missing or of another shape: {', '.join(lacking[:NAMED])}"
            + (f" and {len(lacking) - NAMED} more" if len(lacking) > NAMED else "")
        )
    student.load_state_dict(fits, strict=False)
    return student


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


def adamw(modules: Sequence[nn.Module], recipe: Recipe) -> torch.optim.AdamW:
    """Weight decay on matrices and kernels alone."""
    decayed: dict[bool, list[Tensor]] = {True: [], False: []}
    for name, parameter in (named for module in modules for named in module.named_parameters()):
        decayed[parameter.ndim > 1 and not name.endswith("alibi_scale")].append(parameter)
    groups = [{"params": decayed[True], "weight_decay": recipe.optimiser.weight_decay},
              {"params": decayed[False], "weight_decay": 0.0}]  # fmt: skip
    return torch.optim.AdamW(groups, betas=recipe.optimiser.betas, eps=recipe.optimiser.eps, fused=True)


def flat_gradients(modules: Sequence[nn.Module]) -> Tensor:
    """One tensor whose parts are the gradients of all parameters, so that they are summed and clipped as one."""
    parameters = [parameter for module in modules for parameter in module.parameters()]
    flat = torch.zeros(sum(p.numel() for p in parameters), device=parameters[0].device)
    for parameter, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        parameter.grad = part.view_as(parameter)
    return flat


def clip(gradients: Tensor, limit: float | None) -> float:
    """Scale to a norm of at most `limit`; returns the norm before."""
    norm = float(gradients.norm())
    if limit is not None and norm > limit:
        gradients.mul_(limit / norm)
    return norm


def descend(optimiser: torch.optim.Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.step()


def seed_torch(recipe: Recipe, at: Position, number: int) -> None:
    """Dropout and noise follow from the place of the micro-batch, whichever process it falls to."""
    torch.manual_seed(int(draws(Stream.TORCH, recipe.seed, at.epoch, at.index, number).integers(2**63)))


def published(recipe: Recipe) -> set[int]:
    """The steps after which the teacher is kept as an upstream: evenly spaced, the last among them."""
    steps, number = recipe.optimiser.steps, recipe.checkpoints
    return {round(steps * i / number) for i in range(1, number + 1)} - {0}


def facts(recipe: Recipe, pack: Pack, seen: dict[str, str] | None) -> dict[str, Any]:
    """What a checkpoint says about where it comes from."""
    known = {} if seen is None else {"seen": seen}
    return {"recipe": recipe.model_dump(mode="json"), "hours": round(pack.hours, 2), "audio": pack.key, **known}


def check_collapse(line: dict[str, Any], recipe: Recipe, folder: RunFolder) -> None:
    if line["step"] <= recipe.collapse.after:
        return
    for what, least, learnt in (
        ("target", recipe.collapse.target, True),
        ("prediction", recipe.collapse.prediction, recipe.loss.frame > 0),
    ):
        if learnt and line[f"{what}_var"] < least:
            raise UpstreamError(
                f"collapsed at step {line['step']} (epoch {line['epoch']}): {what}s differ by "
                f"{line[f'{what}_var']:.2g} between frames, less than collapse.{what} {least:g}; the state at step "
                f"{folder.saved()} is kept in {folder.path}; begin anew with a lower optimiser.rate or a higher "
                "teacher.decay"
            )


def not_finite(at: Position, step: list[MicroBatch], losses: Tensor, pack: Pack, folder: RunFolder) -> str:
    broken = [number for number, loss in enumerate(losses.sum(1).tolist()) if not math.isfinite(loss)]
    files = [pack.names[u] for number in broken for u in step[number].utterances]
    where = f"in micro-batch {', '.join(map(str, broken))} ({', '.join(files[:NAMED])} ...)" if broken else (
        "in the gradient alone, while all losses are finite"
    )  # fmt: skip
    return (
        f"NaN or infinity at step {at.step + 1} (epoch {at.epoch}, batch {at.index}) {where}; the state at step "
        f"{folder.saved()} is kept in {folder.path}; begin anew with a lower optimiser.rate, optimiser.clip or "
        "precision fp32"
    )
