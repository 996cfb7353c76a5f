"""Why a run stops by itself, NaN or collapse, and what its messages say."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from upstreams.errors import UpstreamError
from upstreams.pretraining.batches import MicroBatch, Position
from upstreams.pretraining.meter import Line
from upstreams.pretraining.method import Learner
from upstreams.pretraining.pack import Pack
from upstreams.pretraining.recipe_sections import Recipe
from upstreams.pretraining.runfolder import RunFolder

NAMED = 5  # files that a message lists


def check_collapse(line: Line, position: Position, recipe: Recipe, learner: Learner, folder: RunFolder) -> None:
    """Raises UpstreamError where targets or predictions hardly differ any more."""
    if line["step"] <= recipe.collapse.after:
        return
    for what, least in learner.watched.items():
        if line[f"{what}_var"] < least:
            raise UpstreamError(
                f"collapsed at step {line['step']} (epoch {position.epoch}, batch {position.index}): "
                f"{what}s differ by only {line[f'{what}_var']:.2g} ({what}_var), less than the "
                f"recipe's limit {least:g}; "
                + way_on(folder, "a lower optimiser.rate", f", or begin anew with {recipe.against_collapse}")
            )


def not_finite(
    position: Position, micro_batches: Sequence[MicroBatch], losses: Tensor, pack: Pack, folder: RunFolder
) -> str:
    """A message: where NaN or infinity came up, and what to do."""
    broken = [number for number, loss in enumerate(losses.sum(1).tolist()) if not math.isfinite(loss)]
    files = [pack.names[u] for number in broken for u in micro_batches[number].utterances]
    more = " ..." if len(files) > NAMED else ""
    where = f"in micro-batch {', '.join(map(str, broken))} ({', '.join(files[:NAMED])}{more})" if broken else (
        "in the gradient alone, while all losses are finite"
    )  # fmt: skip
    return (
        f"NaN or infinity at step {position.step + 1} (epoch {position.epoch}, batch {position.index}) {where}; "
        + way_on(folder, "a lower optimiser.rate, a lower optimiser.clip or precision fp32")
    )


def way_on(folder: RunFolder, remedy: str, anew: str = "") -> str:
    """How a run that failed can go on from its state with a remedy, or another one from its last checkpoint."""
    if not (step := folder.saved()):
        return f"no state was saved yet; begin again with {remedy}{anew}"
    go_on = "the same command with --set optimiser.rate=..."
    if last := folder.last_checkpoint():
        go_on += f", or a run of its own, --run OTHER --set init={last}"
    return f"the state at step {step} is kept in {folder.path}; go on with {remedy}{anew}: {go_on}"
