"""NPC as a pre-training method: its recipe. docs/pretraining.md explains. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import model_validator

from upstreams.npc.config import CITE, PRESETS, ModelConfig, Score
from upstreams.pretraining import recipe_sections
from upstreams.pretraining.batches import SAMPLE_RATE
from upstreams.pretraining.method import Method
from upstreams.pretraining.recipe_sections import OFF, Section, network_of

OF_RECIPE = ("acoustic", "target", "score")  # fields of the network that other sections decide


class Loss(Section):
    """score: as_published: the score is added to the input and predicted beside the spectrum."""

    score: Annotated[Score, OFF] = "off"


class Recipe(recipe_sections.Recipe):
    """A recipe of NPC. Its `model` has a `preset` (base, small), and what differs from it."""

    loss: Loss = Loss()
    scores: str | None = None  # a file of frame scores (python -m upstreams strength score)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        acoustic = self.network.acoustic
        if self.audio.min_seconds * SAMPLE_RATE < acoustic.least_samples:
            least = acoustic.least_samples / SAMPLE_RATE
            raise ValueError(f"audio.min_seconds {self.audio.min_seconds:g} is below two frames, {least:g} s")
        if (self.loss.score == "off") != (self.scores is None):
            raise ValueError(
                f"loss.score is {self.loss.score} and scores {self.scores}; as_published needs a file of frame scores "
                "(python -m upstreams strength score), and off takes none"
            )
        return self

    @property
    def score_file(self) -> str | None:
        return self.scores

    @property
    def network(self) -> ModelConfig:
        """The model's configuration. Raises ValueError for an impossible one."""
        return network_of(self.model, PRESETS, OF_RECIPE, score=self.loss.score)


METHOD = Method(
    name="npc",
    title="NPC",
    recipe=Recipe,
    folder=Path(__file__).parent,
    learner="upstreams.npc.learner:Prediction",
    upstream="upstreams.npc.upstream:Trained",
    release="upstreams.npc.checkpoint:without_heads",
    cite=CITE,
)
