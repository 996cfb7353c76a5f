"""The second stage of `finetune_ecapa`: the fine-tuned encoder is frozen, and ECAPA-TDNN is trained on its frames.

As Morais et al. (2022) do: the first stage trains the encoder with time-means and a linear layer, its five best
checkpoints are averaged, and the second stage is the head `ecapa` with its own settings, of which the five best epochs
are averaged likewise, with the statistics of batch norms made anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from commons.corridors.predictions import Choice
from downstreams import chance, readouts
from downstreams.assembly import FoldResult
from downstreams.class_loss import ClassLoss
from downstreams.course import Setup
from downstreams.frame_head import FrameHead, padded
from downstreams.frame_training import LONGEST, loss, of_fold, steps_of
from downstreams.held_frames import HeldFrames
from downstreams.settings import SIZES, Mixed
from downstreams.settings import FrameHead as Settings
from downstreams.shelf import Shelf
from downstreams.tuned_network import TunedNetwork


class TunedFrames(list[np.ndarray]):
    """Last-layer frames (T_i, 1, D) float16 of the utterances `rows` by a fine-tuned encoder, in memory; the others
    have none."""

    layers: tuple[int, ...] = (-1,)

    def __init__(self, network: TunedNetwork, utterances: int, rows: np.ndarray) -> None:
        made, none = network.last_layer(rows), np.empty((0, 1, network.live.width), np.float16)
        super().__init__(made.get(row, none) for row in range(utterances))
        self.offsets = np.cumsum([0, *map(len, self)])


def second(
    network: TunedNetwork, setup: Setup, facts: Choice, shelf: Shelf, advance: Callable[[float], None]
) -> FoldResult:
    """What ECAPA-TDNN on the frames of the encoder gives for test.

    Args:
        facts: what was chosen in the first stage.
        shelf: for what each rate gave; a rate that is there is not trained again.
        advance: is called after every epoch; what it raises ends the stage.

    Raises:
        DownstreamError: a frame is not finite in float16.
    """
    settings, problem, fold = _settings(setup), setup.problem, setup.fold
    rows = np.unique(np.concatenate([fold.train, fold.dev, fold.tested]))
    ids, widths = problem.ids, network.live.widths
    # No name for the frames, so that they are gone once they are copied.
    held = HeldFrames(TunedFrames(network, len(ids), rows), ids, setup.device, widths=widths, rows=rows)
    averaged = setup.settings.then_averaged
    made = of_fold(
        held, setup.seed, fold, problem=problem, settings=settings, advance=advance, shelf=shelf, averaged=averaged
    )
    chosen = {f"ecapa_{name}": own for name, own in made.choice.items() if name != "edge"}
    return replace(made, choice=facts | chosen, layer_weights=None)


def _settings(setup: Setup) -> Settings:
    """Those of the head `ecapa`."""
    alike = (*SIZES, *Mixed.model_fields)
    sizes = {name: getattr(setup.settings, name) for name in alike if name != "version"}
    own = {"network": "ecapa", "rates": setup.settings.then_rates, "epochs": setup.settings.then_epochs}
    return Settings.model_validate(sizes | own)


def size(network: TunedNetwork, setup: Setup) -> int:
    """How many values both stages train: those of the encoder, and ECAPA-TDNN."""
    head = _head(network, setup, chance.generator(setup.fold.name, setup.seed))
    trained = (*network.trained().values(), *(own for own in head.parameters() if own.requires_grad))
    return sum(own.numel() for own in trained)


def _head(network: TunedNetwork, setup: Setup, draws: torch.Generator) -> FrameHead:
    """ECAPA-TDNN at its beginning."""
    classes = len(setup.problem.classes)
    return FrameHead("ecapa", 1, network.live.width, classes, _settings(setup), draws).to(network.device)


def steps(setup: Setup) -> int:
    """How many steps the stage has, at all rates together; 0 where there is none."""
    if not readouts.second_stage(setup.settings):
        return 0
    settings = _settings(setup)
    return len(settings.rates) * steps_of(settings, len(setup.fold.train))


def step(network: TunedNetwork, setup: Setup, rows: np.ndarray) -> Callable[[], None]:
    """A step of the stage on some utterances, whose frames are computed now: what takes its time, for a forecast."""
    settings, draws = _settings(setup), chance.generator(setup.fold.name, setup.seed)
    with torch.no_grad():
        each = (network.frames([row], network.longest)[0] for row in rows)  # one by one: there is room for that
        x, valid = padded([own[:LONGEST, -1:] for own in each])
    head = _head(network, setup, draws)
    of_classes = ClassLoss.of_fold(setup.problem, setup.fold, settings, setup.device)
    return lambda: loss(of_classes, head, x, valid, rows, draws).backward()
