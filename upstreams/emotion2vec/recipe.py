"""A pre-training recipe: a YAML file, checked. `base.yaml` is the paper's; docs/pretraining.md explains.

Imports no torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from commons import yamlfile
from commons.errors import UnknownName, cut
from upstreams.emotion2vec.batches import frames_of
from upstreams.emotion2vec.config import BASE, LARGE, SAMPLE_RATE, SMALL, ModelConfig
from upstreams.errors import UpstreamError

CONFIGS = Path(__file__).parent / "configs"
RECORD = "recipe.json"  # in a run's folder: its recipe, and a hash of its audio
FREE = {"log_every", "save_every"}  # decide nothing
MENDABLE = {"optimiser.rate", "optimiser.clip", "precision"}  # may change when a run goes on; its log tells
PRESETS = {"base": BASE, "large": LARGE, "small": SMALL}
TOKENS = {"chunk": 10, "token": 1, "global": 0}  # utterance embeddings, where the recipe's model names no number

UtteranceLoss = Literal["chunk", "token", "global"]
UtteranceTarget = Literal["layer_norm", "raw_mean", "as_published"]
Weighting = Literal["mean", "released"]
SideTarget = Literal["log_energy", "f0", "log_mel"]
Share = Annotated[float, Field(ge=0, le=1)]
Part = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Audio(Section):
    """Shorter files are skipped, longer ones cut into equal parts; of a part at most `crop_seconds` is heard."""

    min_seconds: Positive = 2.0
    max_seconds: Positive = 20.0
    crop_seconds: Positive | None = None
    gain_db: Annotated[float, Field(ge=0)] = 0.0  # each hearing is louder or softer by up to so much

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.max_seconds < 2 * self.min_seconds:
            raise ValueError("max_seconds must be at least twice min_seconds, or parts of a long file are too short")
        if self.crop_seconds is not None and self.crop_seconds < self.min_seconds:
            raise ValueError("crop_seconds must be at least min_seconds")
        return self


class Batch(Section):
    """A step hears `micro_batches` (over all processes) of up to `seconds` of audio, each with `clones` masks."""

    seconds: Positive = 62.5  # 1e6 samples
    micro_batches: Count = 16
    clones: Count = 8
    equal_lengths: bool = True  # an utterance is cut to the shortest of its micro-batch; False: padded


class Masking(Section):
    share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    span: Count = 5  # frames
    adjust: Share = 0.05
    noise: Annotated[float, Field(ge=0)] = 0.01  # standard deviation of what fills masked slots


class Teacher(Section):
    layers: Count = 8  # whose FFN outputs are averaged, from the top
    decay: Share = 0.999
    end_decay: Share = 0.99999
    anneal: Share = 0.2  # share of the run over which decay becomes end_decay

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.end_decay < self.decay:
            raise ValueError(f"end_decay {self.end_decay:g} is below decay {self.decay:g}; it has to be at least that")
        return self


class Loss(Section):
    """frame * L_frm + alpha * L_utt + side * L_side + summary * L_summary."""

    frame: Annotated[float, Field(ge=0)] = 1.0
    alpha: Annotated[float, Field(ge=0)] = 1.0
    utterance_loss: UtteranceLoss = "chunk"
    utterance_target: UtteranceTarget = "layer_norm"
    weighting: Weighting = "mean"
    scale: Positive | None = None  # of squared distances; None: 1/sqrt(D)
    side_targets: tuple[SideTarget, ...] = ()  # log_energy, f0, log_mel: not of the paper
    side: Annotated[float, Field(ge=0)] = 1.0  # weight of their loss, frame by frame
    summary: Annotated[float, Field(ge=0)] = 0.0  # weight of the loss of their statistics over the utterance

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.frame == self.alpha == 0:
            raise ValueError("frame and alpha are both 0: there is nothing to learn")
        if self.summary and not self.side_targets:
            raise ValueError("summary has a weight, but there are no side_targets to summarise")
        return self


class Optimiser(Section):
    """AdamW with linear warm-up and a cosine; no weight decay on biases, gains and alibi_scale."""

    steps: Count = 100_000
    rate: Positive = 7.5e-5
    warmup: Share = 0.05
    betas: tuple[Part, Part] = (0.9, 0.98)
    eps: Positive = 1e-6
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    clip: Positive | None = None  # of the gradient's norm


class Stop(Section):
    """The run ends with an error where, after `after` steps, targets or predictions hardly differ between frames.

    The measure is data2vec's: the standard deviation over masked frames, averaged over channels.
    """

    target: Annotated[float, Field(ge=0)] = 0.1
    prediction: Annotated[float, Field(ge=0)] = 0.01
    after: Annotated[int, Field(ge=0)] = 5000


class Recipe(Section):
    """Everything that decides a run, besides its audio."""

    model: dict[str, object] = {}  # `preset` (base, large, small), and what differs from it
    init: str | None = None  # a checkpoint to begin with, data2vec 2.0's say; None: from scratch
    seed: Annotated[int, Field(ge=0, lt=2**64)] = 1  # torch takes no larger one
    audio: Audio = Audio()
    batch: Batch = Batch()
    masking: Masking = Masking()
    teacher: Teacher = Teacher()
    loss: Loss = Loss()
    optimiser: Optimiser = Optimiser()
    collapse: Stop = Stop()
    precision: Literal["fp32", "bf16"] = "bf16"
    log_every: Count = 50
    save_every: Count = 1000  # steps between training states, from which a run goes on
    checkpoints: Count = 10  # kept over the whole run, evenly spaced: what can be named as an upstream

    @model_validator(mode="after")
    def _fits(self) -> Self:
        network = self.network
        if self.loss.utterance_loss == "token" and network.tokens != 1:
            raise ValueError(f"loss.utterance_loss token takes model.tokens 1, found {network.tokens}")
        if self.loss.utterance_loss == "chunk" and self.loss.alpha and not network.tokens:
            raise ValueError("loss.utterance_loss chunk needs model.tokens of at least 1, found 0")
        if not network.decoder_depth:
            raise ValueError("model.decoder_depth is 0: masked frames cannot be predicted without a decoder")
        shortest = int(frames_of(network, np.array(self.audio.min_seconds * SAMPLE_RATE)))
        if shortest < 2 * self.masking.span:
            raise ValueError(f"audio.min_seconds leaves {shortest} frames, fewer than two spans of masking.span")
        if self.teacher.layers > network.blocks:
            raise ValueError(f"teacher.layers {self.teacher.layers}, but the model has {network.blocks} blocks")
        if self.batch.seconds < (self.audio.crop_seconds or self.audio.max_seconds):
            raise ValueError("batch.seconds is less than the longest utterance (audio.crop_seconds or max_seconds)")
        return self

    @property
    def network(self) -> ModelConfig:
        """The model's configuration. Raises ValueError for one that cannot be."""
        changes = self.model_dump(include={"model"})["model"]
        preset = changes.pop("preset", "base")
        known = {field.name for field in dataclasses.fields(ModelConfig)}
        if strange := sorted(set(changes) - known):
            raise ValueError(f"model has no {', '.join(strange)}; known: preset, {', '.join(sorted(known))}")
        if not isinstance(preset, str) or preset not in PRESETS:
            raise ValueError(f"model.preset {preset!r} is unknown; expected one of {', '.join(PRESETS)}")
        try:
            return dataclasses.replace(PRESETS[preset], **{"tokens": TOKENS[self.loss.utterance_loss], **changes})
        except (TypeError, UpstreamError) as error:
            raise ValueError(f"model: {error}") from error


def load(name: str, changes: Sequence[str] = ()) -> Recipe:
    """The recipe of a YAML file, or of a name of those that ship; `changes`: "section.key=value", values as in YAML.

    Raises UpstreamError, naming the key, what was found and what is expected.
    """
    path = Path(name).expanduser()
    if path.suffix not in (".yaml", ".yml"):
        path = CONFIGS / f"{name}.yaml"
    if not path.is_file():
        raise UnknownName("pre-training configuration", name, [*names(), "a YAML file"])
    return check(apply(_read(path), changes), str(path))


def names() -> list[str]:
    """Recipes that ship."""
    return sorted(path.stem for path in CONFIGS.glob("*.yaml"))


def _read(path: Path) -> dict[str, object]:
    try:
        return yamlfile.mapping(path, "sections such as `model:` and `batch:`", may_be_empty=True)
    except yamlfile.NotYaml as error:
        raise UpstreamError(str(error)) from None


def apply(settings: dict[str, object], changes: Sequence[str]) -> dict[str, object]:
    """A recipe as read, with "section.key=value" set."""
    for change in changes:
        name, equals, text = change.partition("=")
        *sections, key = name.split(".")
        if not equals or not all((*sections, key)):
            raise UpstreamError(f"--set {cut(change)!r}: expected KEY=VALUE, such as loss.alpha=0.1")
        try:
            value = yamlfile.parse(text)
        except yamlfile.NotYaml as error:
            raise UpstreamError(f"--set {cut(change)!r}: the value is {error}") from None
        settings = _set(settings, sections, key, value)
    return settings


def _set(settings: dict[str, object], sections: list[str], key: str, value: object) -> dict[str, object]:
    if not sections:
        return {**settings, key: value}
    below = settings.get(sections[0]) or {}
    if not isinstance(below, dict):
        raise UpstreamError(f"--set: {sections[0]} is {cut(repr(below))} and has no keys of its own")
    return {**settings, sections[0]: _set(below, sections[1:], key, value)}


def check(settings: dict[str, object], source: str) -> Recipe:
    """The recipe of these settings, which come from `source`. Raises UpstreamError with a line for each fault."""
    try:
        return Recipe.model_validate(settings)
    except ValidationError as error:
        lines = [
            f"  {cut('.'.join(map(str, fault['loc']))) or 'recipe'}: "
            + cut(fault["msg"].removeprefix("Value error, "), 500)
            + (f", found {cut(repr(fault['input']))}" if fault["loc"] and not isinstance(fault["input"], dict) else "")
            for fault in error.errors()
        ]
        raise UpstreamError("\n".join([f"{source} is no recipe:", *lines])) from error
