"""Mockingjay as a pre-training method: its recipe. docs/pretraining.md explains. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from upstreams.acoustic import Acoustic
from upstreams.mockingjay.config import CITE, PRESETS, ModelConfig, Score
from upstreams.pretraining import recipe_sections
from upstreams.pretraining.batches import SAMPLE_RATE
from upstreams.pretraining.method import Method
from upstreams.pretraining.recipe_sections import OFF, Count, Section, network_of

MaskKind = Literal["random", "intensity", "intensity_equal", "intensity_low", "intensity_moved", "energy"]
SCORED = ("intensity", "intensity_equal", "intensity_low", "intensity_moved")  # masks that need frame scores
OF_RECIPE = ("acoustic", "longest", "target", "score")  # fields of the network that other sections decide


class Masking(Section):
    """Which spans of frames are masked.

    kind: random; intensity, as published; intensity_equal, intensity_low and energy, which mask as many frames as
        `random` would, where scores or energy are highest, or scores lowest; intensity_moved, the mask of
        intensity_equal at another place of the utterance.
    """

    kind: MaskKind = "random"
    share: Annotated[float, Field(gt=0, lt=1)] = 0.15
    span: Count = 7  # frames


class Loss(Section):
    """score: whether frame scores enter training besides the masks.

    as_published: the score is added to the input, and reconstructed from the masked score in a second pass;
    from_audio: it is predicted from the masked audio.
    """

    score: Annotated[Score, OFF] = "off"


class Recipe(recipe_sections.Recipe):
    """A recipe of Mockingjay. Its `model` has a `preset` (base, small), and what differs from it."""

    masking: Masking = Masking()
    loss: Loss = Loss()
    scores: str | None = None  # a file of frame scores (python -m upstreams strength score)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        network = self.network
        shortest = int(network.acoustic.frames(np.array(self.audio.min_seconds * SAMPLE_RATE)))
        if shortest < 2 * self.masking.span:
            raise ValueError(f"audio.min_seconds leaves {shortest} frames, fewer than two spans of masking.span")
        wanted = self.masking.kind in SCORED or self.loss.score != "off"
        if wanted and self.scores is None:
            raise ValueError(
                f"masking.kind {self.masking.kind} with loss.score {self.loss.score} needs frame scores; name their "
                "file with scores=FILE (python -m upstreams strength score writes it)"
            )
        if not wanted and self.scores is not None:
            raise ValueError("scores names a file, but neither masking.kind nor loss.score uses scores")
        return self

    @property
    def score_file(self) -> str | None:
        return self.scores

    @property
    def network(self) -> ModelConfig:
        """The model's configuration. Raises ValueError for an impossible one."""
        seconds = self.audio.crop_seconds or self.audio.max_seconds
        longest = -(-round(seconds * SAMPLE_RATE) // Acoustic.hop)  # positions beyond it are never trained
        return network_of(self.model, PRESETS, OF_RECIPE, longest=longest, score=self.loss.score)


METHOD = Method(
    name="mockingjay",
    title="Mockingjay",
    recipe=Recipe,
    folder=Path(__file__).parent,
    learner="upstreams.mockingjay.learner:Reconstruction",
    upstream="upstreams.mockingjay.upstream:Trained",
    release="upstreams.mockingjay.checkpoint:without_heads",
    cite=CITE,
)
