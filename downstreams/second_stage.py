"""The second stage of `finetune_ecapa`: the fine-tuned encoder is frozen, and ECAPA-TDNN is trained on its frames.

As Morais et al. (2022) do: the first stage trains the encoder with time-means and a linear layer, its five best
checkpoints are averaged, and the second stage is the head `ecapa` with its own settings.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from commons.corridors.predictions import Choice
from downstreams.assembly import FoldResult
from downstreams.course import Setup
from downstreams.frame_training import of_fold
from downstreams.held_frames import HeldFrames
from downstreams.settings import FrameHead, Mixed, Sizes
from downstreams.tuned_network import TunedNetwork


class TunedFrames(list[np.ndarray]):
    """Last-layer frames (T_i, 1, D) float16 of every utterance by a fine-tuned encoder, in memory."""

    layers: tuple[int, ...] = (-1,)

    def __init__(self, network: TunedNetwork, utterances: int) -> None:
        super().__init__(network.last_layer(utterances))
        self.offsets = np.cumsum([0, *map(len, self)])


def second(network: TunedNetwork, setup: Setup, facts: Choice) -> FoldResult:
    """What ECAPA-TDNN on the frames of the encoder gives for test.

    Args:
        facts: what was chosen in the first stage.

    Raises:
        DownstreamError: a frame is not finite in float16.
    """
    alike = Sizes.model_fields.keys() | Mixed.model_fields.keys()
    sizes = {name: getattr(setup.settings, name) for name in alike - {"version"}}
    own = {"network": "ecapa", "rates": setup.settings.then_rates, "epochs": setup.settings.then_epochs}
    settings = FrameHead.model_validate(sizes | own)
    frames = HeldFrames(TunedFrames(network, len(setup.problem.ids)), setup.problem.ids, setup.device)
    made = of_fold(frames, setup.seed, setup.fold, problem=setup.problem, settings=settings, advance=lambda part: None)
    chosen = {f"ecapa_{name}": made.choice[name] for name in ("rate", "epoch")}
    return replace(made, choice=facts | chosen, layer_weights=None)
