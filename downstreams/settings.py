"""The settings of every head: their defaults, and what may stand in their place.

A cell's key holds all of a head's settings, as plain values in the order of the fields. A changed default is another
`version`.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationInfo, field_validator

PlainSettings = dict[str, JsonValue]
# What says which head it is: a settings file cannot set it.
FIXED = ("version", "network", "context")


def _ascending(values: list[float]) -> list[float]:
    if not all(low < high for low, high in pairwise(values)):
        raise ValueError("values must ascend, each larger than the one before")
    return values


def _distinct(values: list[str]) -> list[str]:
    if len(set(values)) < len(values):
        raise ValueError("values must differ from each other")
    return values


# The bounds keep a typing error from asking for more memory or time than any machine has.
Size = Annotated[int, Field(ge=1, le=8192)]  # states, or outputs of a Linear
Batch = Annotated[int, Field(ge=1, le=65_536)]  # utterances or dialogues
Epochs = Annotated[int, Field(ge=1, le=10_000)]
Positive = Annotated[float, Field(gt=0, le=1e37)]  # a step of ten times that still is a float32
ClassWeights = Literal["headline", "balanced", "none"]
Grid = Annotated[list[Positive], Field(min_length=1, max_length=50), AfterValidator(_ascending)]


class Settings(BaseModel):
    """Settings of a head. Unknown keys, values of another type and numbers that are not finite are errors.

    `class_weights`: whether the loss weighs classes alike; `headline`: where the task's headline does.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    version: Literal[1, 2] = 1
    class_weights: ClassWeights = "headline"

    def plain(self) -> PlainSettings:
        """All settings as plain values, as they stand in keys and records."""
        return self.model_dump(mode="json", by_alias=True)


class Probe(Settings):
    """Of `probe` and `probe_stats`.

    C, the inverse ridge penalty, is strength / number of features: the kernel of standardised features grows with
    their number, so one grid of strengths serves 10 and 6000 of them. The default has two a decade, and one at its weak
    end, where the features of real encoders lie.
    """

    version: Literal[2] = 2
    statistics: Annotated[list[Literal["mean", "std"]], Field(min_length=1), AfterValidator(_distinct)] = ["mean"]
    strengths: Grid = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 1000.0, 10_000.0]


class LastLayers(Settings):
    """Of `last_four`: the strengths are those of `probe`."""

    layers: Annotated[int, Field(ge=1, le=1000)] = 4
    strengths: Grid = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 1000.0, 10_000.0]


class Superb(Settings):
    """Of `superb`: s3prl's downstream/emotion (config.yaml), and the learning rates that SUPERB chooses from."""

    projector: Size = 256
    batch: Batch = 32
    clip: Positive = 1.0
    rates: Grid = [1e-5, 1e-4, 1e-3]
    epochs: Epochs = 271
    steps: Annotated[int, Field(ge=1, le=10_000_000)] = 30_000
    evaluations: Annotated[int, Field(ge=1, le=10_000)] = 30


class Emotion2vec(Settings):
    """Of `emotion2vec`: its iemocap_downstream (Ma et al. 2024).

    The weight decay and the label smoothing of that configuration are used by none of its code.
    """

    hidden: Size = 256
    batch: Batch = 128
    epochs: Epochs = 100
    rate: Positive = 5e-4
    top_rate: Positive = 1e-3
    rise: Epochs = 10
    momentum: Annotated[float, Field(ge=0.8, lt=1)] = 0.9  # falls to 0.8 as the rate rises

    @field_validator("top_rate")
    @classmethod
    def _not_below_rate(cls, value: float, info: ValidationInfo) -> float:
        if value < info.data.get("rate", 0):
            raise ValueError(f"must be at least rate, which is {info.data['rate']}")
        return value


class _Turns(Settings):
    """What the heads of conversations share: one schedule for all, so that they differ in the network alone."""

    context: bool = True
    projector: Size = 100
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    batch: Batch = 8
    rates: Grid = [3e-4, 1e-3, 3e-3]
    decay: Annotated[float, Field(ge=0)] = 1e-3
    epochs: Epochs = 60


class Gru(_Turns):
    """Of `context_gru` and `no_context`."""

    network: Literal["gru"] = "gru"
    hidden: Size = 100


class RecentGru(_Turns):
    """Of `recent_gru`."""

    network: Literal["recent_gru"] = "recent_gru"
    hidden: Size = 100
    layers: Annotated[int, Field(ge=1, le=8)] = 2
    turns: Annotated[int, Field(ge=1, le=100)] = 6  # the turn itself is the last of them


class DialogueRnn(_Turns):
    """Of `dialogue_rnn`: sizes as in DialogueRNN's published code for MELD (train_MELD.py of conv-emotion)."""

    network: Literal["dialogue_rnn"] = "dialogue_rnn"
    global_: Size = Field(default=150, alias="global")
    party: Size = 150
    emotion: Size = 100
    hidden: Size = 100


OfTurns = Gru | RecentGru | DialogueRnn


def of_conversation(settings: Mapping[str, JsonValue]) -> OfTurns:
    """The settings of a head of conversations, by the network that they name. Raises pydantic's ValidationError."""
    models: dict[str, type[OfTurns]] = {"recent_gru": RecentGru, "dialogue_rnn": DialogueRnn}
    return models.get(str(settings.get("network")), Gru).model_validate(settings)
