"""emotion2vec as a pre-training method: its recipe. `configs/base.yaml` is the paper's; docs/pretraining.md explains.

Imports no torch."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from upstreams.emotion2vec.config import BASE, LARGE, SMALL, ModelConfig
from upstreams.emotion2vec.official import CITE
from upstreams.pretraining import recipe_sections
from upstreams.pretraining.batches import SAMPLE_RATE
from upstreams.pretraining.method import Method
from upstreams.pretraining.recipe_sections import (
    AtLeast0,
    Count,
    Part,
    Positive,
    Section,
    Share,
    TeacherFrames,
    network_of,
)

PRESETS = {"base": BASE, "large": LARGE, "small": SMALL}
TOKENS = {"chunk": 10, "token": 1, "global": 0}  # utterance embeddings, where the recipe's model names no number
LAG = 0.05  # share of the initial weights in the last teacher, above which people are warned

UtteranceLoss = Literal["chunk", "token", "global"]
UtteranceTarget = Literal["layer_norm", "raw_mean", "as_published"]
Weighting = Literal["mean", "released"]
Pooled = Literal["mean", "mean_and_deviation"]
SideTarget = Literal["log_energy", "f0", "log_mel", "distil"]


class Masking(Section):
    share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    span: Count = 5  # frames
    adjust: Share = 0.05
    noise: AtLeast0 = 0.01  # standard deviation of what fills masked slots


class Teacher(Section):
    layers: Count = 8  # the top ones, whose FFN outputs are averaged
    decay: Share = 0.999
    end_decay: Share = 0.99999
    anneal: Share = 0.2  # share of the run over which decay becomes end_decay

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.end_decay < self.decay:
            raise ValueError(f"end_decay {self.end_decay:g} is below decay {self.decay:g}; it has to be at least that")
        return self

    def decay_at(self, step: int, steps: int) -> float:
        """Linear from `decay` to `end_decay` over the first `anneal` share of steps, then constant (data2vec, 3.3)."""
        done = min(step / max(self.anneal * steps, 1.0), 1.0)
        return self.decay + (self.end_decay - self.decay) * done

    def initial_share(self, steps: int) -> float:
        """Weight that the average gives, after `steps`, to the weights it began with: the product of its decays."""
        return math.prod(self.decay_at(step, steps) for step in range(steps))


class Views(Section):
    """Objectives over two views of an utterance: weight * L_view + statistics * L_statistics (two_views.py)."""

    kind: Literal["contrastive", "distillation"] = "contrastive"
    weight: AtLeast0 = 1.0
    statistics: AtLeast0 = 0.0  # weight of predicting mean and deviation of the view's energy, pitch and voicing
    seconds: Positive = 2.0  # of a view; a shorter utterance is taken whole
    gain_db: AtLeast0 = 6.0  # each view is made louder or softer by up to this
    width: Count = 128  # of the embedding
    temperature: Positive = 0.1
    teacher_temperature: Positive = 0.04  # distillation: lower than the student's, so that the target is sharper
    prototypes: Count = 1024  # distillation
    centre: Part = 0.9  # distillation: decay of the average of the teacher's scores, which is subtracted from them
    apart: AtLeast0 = 0.5  # distillation: weight of keeping the utterances of a micro-batch apart
    least: AtLeast0 = 0.05  # `view_var` below this, after collapse.after steps, is a collapse

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.weight == self.statistics == 0:
            raise ValueError("weight and statistics are both 0: leave out views")
        return self


class Loss(Section):
    """frame * L_frm + alpha * L_utt + side * L_side + visible * L_visible + summary * L_summary, and those of views."""

    frame: AtLeast0 = 1.0
    alpha: AtLeast0 = 1.0
    utterance_loss: UtteranceLoss = "chunk"
    utterance_target: UtteranceTarget = "layer_norm"
    weighting: Weighting = "mean"
    scale: Positive | None = None  # of squared distances; None: 1/sqrt(D)
    side_targets: tuple[SideTarget, ...] = ()  # not of the paper; distil: the frames of that upstream
    side: AtLeast0 = 1.0  # weight of the loss of side targets on masked frames, from the decoder
    visible: AtLeast0 = 0.0  # weight of their loss on the frames that the student sees, from its last layer
    summary: AtLeast0 = 0.0  # weight of the loss of their statistics over the utterance
    pooled: Pooled = "mean"  # over time, of the student's last layer: what these statistics are predicted from
    views: Views | None = None  # not of the paper

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not (self.of_masked or self.views):
            raise ValueError(
                "frame, alpha, visible, summary and side (with side_targets) are all 0, and there are no views: there "
                "is nothing to learn"
            )
        if self.summary and not self.side_targets:
            raise ValueError("summary has a weight, but there are no side_targets to summarise")
        if self.pooled != "mean" and not self.summary:
            raise ValueError("pooled decides nothing where summary is 0; leave it out")
        if self.visible and not self.side_targets:
            raise ValueError("visible has a weight, but there are no side_targets to predict")
        return self

    @property
    def from_average(self) -> bool:
        """Whether utterances with masked frames are to predict what the average of the student gives for them whole."""
        return bool(self.frame or self.alpha)

    @property
    def decodes(self) -> bool:
        """Whether masked frames are predicted."""
        return bool(self.frame or (self.side and self.side_targets))

    @property
    def of_masked(self) -> bool:
        """Whether anything is learnt from utterances with masked frames; else from views alone."""
        return bool(self.from_average or self.decodes or self.visible or self.summary)


class Recipe(recipe_sections.Recipe):
    """A recipe of emotion2vec. Its `model` has a `preset` (base, large, small), and what differs from it."""

    against_collapse: ClassVar[str] = "a higher teacher.decay"
    unused: ClassVar[tuple[str, ...]] = ()

    distil: TeacherFrames | None = None  # not of the paper
    masking: Masking = Masking()
    teacher: Teacher = Teacher()
    loss: Loss = Loss()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        network = self.network
        if self.loss.utterance_loss == "token" and network.tokens != 1:
            raise ValueError(f"loss.utterance_loss token takes model.tokens 1, found {network.tokens}")
        if self.loss.utterance_loss == "chunk" and self.loss.alpha and not network.tokens:
            raise ValueError("loss.utterance_loss chunk needs model.tokens of at least 1, found 0")
        if not network.decoder_depth:
            raise ValueError("model.decoder_depth is 0: masked frames cannot be predicted without a decoder")
        if self.loss.views and self.loss.views.seconds < self.audio.min_seconds:
            raise ValueError("loss.views.seconds must be at least audio.min_seconds")
        if ("distil" in self.loss.side_targets) != (self.distil is not None):
            raise ValueError("loss.side_targets has distil where distil names an upstream, and only there")
        shortest = int(network.frames(np.array(self.audio.min_seconds * SAMPLE_RATE)))
        if shortest < 2 * self.masking.span:
            raise ValueError(f"audio.min_seconds leaves {shortest} frames, fewer than two spans of masking.span")
        if self.teacher.layers > network.blocks:
            raise ValueError(f"teacher.layers {self.teacher.layers}, but the model has {network.blocks} blocks")
        return self

    @property
    def network(self) -> ModelConfig:
        """The model's configuration. Raises ValueError for an impossible one."""
        return network_of(self.model, PRESETS, tokens=TOKENS[self.loss.utterance_loss])

    @property
    def needs_tracks(self) -> bool:
        measured = {"log_energy", "f0"} & set(self.loss.side_targets)
        return bool(measured or (self.loss.views and self.loss.views.statistics))

    @property
    def teacher_frames(self) -> TeacherFrames | None:
        return self.distil

    def plain(self) -> dict[str, object]:
        """Its settings as plain values; without `loss.views`, `loss.visible`, `loss.pooled` and `distil` where they
        decide nothing, as in files of earlier versions."""
        settings, loss = super().plain(), self.loss.model_dump(mode="json")
        if self.loss.views is None:
            del loss["views"]
        if not self.loss.visible:
            del loss["visible"]
        if self.loss.pooled == "mean":
            del loss["pooled"]
        if self.distil is None:
            del settings["distil"]
        return settings | {"loss": loss}

    def origin(self) -> dict[str, object]:
        """Of the upstream that teaches it only the name, without the place of its weights."""
        if self.distil is None:
            return super().origin()
        import upstreams

        name = upstreams.resolve(self.distil.upstream).record_name
        return super().origin() | {"distil": self.distil.model_dump() | {"upstream": name}}

    def warnings(self) -> list[str]:
        """Whether the teacher cannot keep up in so short a run, where something is learnt from it."""
        teacher, steps, views = self.teacher, self.optimiser.steps, self.loss.views
        if not (self.loss.from_average or (views and views.weight and views.kind == "distillation")):
            return []
        share = teacher.initial_share(steps)
        if share <= LAG:
            return []
        return [
            f"after {steps} steps {100 * share:.0f} % of the teacher's weights are still those it began with; lower "
            f"teacher.end_decay {teacher.end_decay:g} (it averages over some "
            f"{1 / max(1 - teacher.end_decay, 1e-12):.0f} steps), or train longer"
        ]


METHOD = Method(
    name="emotion2vec",
    title="emotion2vec",
    recipe=Recipe,
    folder=Path(__file__).parent,
    learner="upstreams.emotion2vec.learner:SelfDistillation",
    upstream="upstreams.emotion2vec.upstream:ours",
    release="upstreams.emotion2vec.checkpoint:without_decoder",
    cite=CITE,
)
