"""The sections that every pre-training recipe has; a method adds its own. docs/pretraining.md explains them.

Imports no torch."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from upstreams.errors import UpstreamError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

DEFAULT = "emotion2vec"  # the method of a recipe that names none
SCORES = "scores"  # in run folders and checkpoints: the hash of the file of frame scores, where there is one
FREE = {"log_every", "save_every"}  # settings that decide nothing

Share = Annotated[float, Field(ge=0, le=1)]
Part = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
AtLeast0 = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Schedule = Literal["cosine", "linear", "constant"]
OFF = BeforeValidator(lambda value: "off" if value is False else value)  # YAML 1.1 takes the word for False
Network = TypeVar("Network", bound="DataclassInstance")


def network_of(
    model: Mapping[str, object], presets: Mapping[str, Network], decided: Collection[str] = (), **others: object
) -> Network:
    """The network that a recipe's `model` describes: a `preset` (base where it names none) and what differs from it.

    Args:
        decided: fields of the network that `model` must not set, because other sections decide them.
        others: fields that other sections set; `model` may set them too, unless they are `decided`.

    Raises:
        ValueError: a field or preset is unknown, or the network is impossible.
    """
    changes = dict(model)
    preset = changes.pop("preset", "base")
    known = {field.name for field in dataclasses.fields(presets["base"])} - set(decided)
    if strange := sorted(set(changes) - known):
        raise ValueError(f"model has no {', '.join(strange)}; known: preset, {', '.join(sorted(known))}")
    if not isinstance(preset, str) or preset not in presets:
        raise ValueError(f"model.preset {preset!r} is unknown; expected one of {', '.join(presets)}")
    try:
        return dataclasses.replace(presets[preset], **{**others, **changes})
    except (TypeError, UpstreamError) as error:
        raise ValueError(f"model: {error}") from error


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Audio(Section):
    """Files shorter than `min_seconds` are skipped, files longer than `max_seconds` are cut into equal parts."""

    min_seconds: Positive = 2.0
    max_seconds: Positive = 20.0
    crop_seconds: Positive | None = None  # longest part of an utterance that a step takes; None: all of it
    gain_db: AtLeast0 = 0.0  # in every epoch an utterance is made louder or softer by up to this

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.max_seconds < 2 * self.min_seconds:
            raise ValueError("max_seconds must be at least twice min_seconds, or parts of a long file are too short")
        if self.crop_seconds is not None and self.crop_seconds < self.min_seconds:
            raise ValueError("crop_seconds must be at least min_seconds")
        return self


class Batch(Section):
    """A step takes about `micro_batches` (over all processes) of up to `seconds` of audio each: those of an epoch are
    shared evenly among its steps."""

    seconds: Positive = 62.5  # 1e6 samples
    micro_batches: Count = 16
    clones: Count = 8  # masks of an utterance, each a clone of it
    equal_lengths: bool = True  # an utterance is cut to the shortest of its micro-batch; False: padded


class Optimiser(Section):
    """AdamW with linear warm-up and a schedule after it; no weight decay on biases and gains."""

    steps: Count = 100_000
    rate: Positive = 7.5e-5
    warmup: Share = 0.05
    betas: tuple[Part, Part] = (0.9, 0.98)
    eps: Positive = 1e-6
    weight_decay: AtLeast0 = 0.01
    clip: Positive | None = None  # largest norm of the gradient; None: not limited
    schedule: Schedule = "cosine"

    def rate_at(self, step: int) -> float:
        """Learning rate: linear over the first `warmup` share of steps, then as the schedule says; `step` from 0.

        cosine: half a cosine to zero; linear: a line to zero; constant: it stays.
        """
        rising = max(self.warmup * self.steps, 1.0)
        if step < rising:
            return self.rate * (step + 1) / rising if step + 1 < rising else self.rate
        if self.schedule == "constant":
            return self.rate
        done = (step - rising) / max(self.steps - rising, 1.0)
        return self.rate * (1 - done if self.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done)))


class Stop(Section):
    """The run ends with an error where, after `after` steps, targets or predictions hardly differ any more.

    The measure is data2vec's: the standard deviation over rows, averaged over channels.
    """

    target: AtLeast0 = 0.1
    prediction: AtLeast0 = 0.01
    after: Annotated[int, Field(ge=0)] = 5000


class TeacherFrames(Section):
    """Frames of another upstream that a method learns to predict (given_frames.py)."""

    upstream: str  # by name, such as whisper_base@FOLDER
    layer: Annotated[int, Field(ge=0)] | None = None  # None: the last
    width: Count = 64  # axes of the frames that are kept: those along which utterances differ most


class Recipe(Section):
    """Everything that decides a run, besides its audio. A method's recipe is a subclass with further sections."""

    against_collapse: ClassVar[str] = "other settings"  # what a run that collapsed may be begun anew with
    unused: ClassVar[tuple[str, ...]] = ("batch.clones", "collapse.target")  # a method with a teacher uses them

    method: str = DEFAULT
    model: dict[str, object] = {}  # of the method's network
    init: str | None = None  # a checkpoint to begin with; None: random weights
    seed: Annotated[int, Field(ge=0, lt=2**64)] = 1  # torch takes no larger one
    audio: Audio = Audio()
    batch: Batch = Batch()
    optimiser: Optimiser = Optimiser()
    collapse: Stop = Stop()
    precision: Literal["fp32", "bf16"] = "bf16"
    log_every: Count = 50
    save_every: Count = 1000  # steps between training states, from which a run goes on
    checkpoints: Count = 10  # kept over the whole run, evenly spaced: what can be named as an upstream

    @model_validator(mode="after")
    def _longest(self) -> Self:
        if self.batch.seconds < (self.audio.crop_seconds or self.audio.max_seconds):
            raise ValueError("batch.seconds is less than the longest utterance (audio.crop_seconds or max_seconds)")
        return self

    @model_validator(mode="after")
    def _used(self) -> Self:
        for name in self.unused:
            section, key = name.split(".")
            settings: Section = getattr(self, section)
            if getattr(settings, key) != type(settings).model_fields[key].default:
                raise ValueError(f"{name} decides nothing in {self.method}; leave it out")
        return self

    @property
    def needs_tracks(self) -> bool:
        """Whether training needs the energy and pitch of the speech (tracks.py)."""
        return False

    @property
    def score_file(self) -> str | None:
        """The file of frame scores that training needs (scores.py); None: it needs none."""
        return None

    @property
    def teacher_frames(self) -> TeacherFrames | None:
        """The frames of another upstream that training needs; None: it needs none."""
        return None

    @property
    def files(self) -> dict[str, str]:
        """Setting -> the file that it names."""
        named = {"init": self.init, SCORES: self.score_file}
        return {key: file for key, file in named.items() if file is not None}

    def warnings(self) -> list[str]:
        """What people should know before such a run begins."""
        return []

    def plain(self) -> dict[str, object]:
        """As JSON holds it in run folders and checkpoints: in the order of a recipe file, the method's own sections
        before `optimiser`, and no `method` and no `schedule` where it is the default, so that files of earlier versions
        are the same."""
        shared, settings = list(Recipe.model_fields), self.model_dump(mode="json")
        own, place = [name for name in settings if name not in shared], shared.index("optimiser")
        ordered = {name: settings[name] for name in (*shared[:place], *own, *shared[place:])}
        if ordered["method"] == DEFAULT:
            del ordered["method"]
        if self.optimiser.schedule == Optimiser().schedule:
            ordered["optimiser"] = self.optimiser.model_dump(mode="json", exclude={"schedule"})
        return ordered

    def origin(self) -> dict[str, object]:
        """The same for a checkpoint that is passed on: of files only the names."""
        return self.plain() | {key: Path(file).name for key, file in self.files.items()}
