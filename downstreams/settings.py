"""The settings of heads: their defaults, and what may stand in their place. Of conversations: turn_settings.py.

A cell's key holds all of a head's settings, as plain values in the order of the fields. A changed default is another
`version`.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from math import ceil
from typing import Annotated, ClassVar, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationInfo, field_validator

PlainSettings = dict[str, JsonValue]
# What says which head it is: a settings file cannot set it.
FIXED = ("version", "network", "context", "readout", "then")


V = TypeVar("V", int, float)


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("must be odd, so that a frame has as many neighbours before as after it")
    return value


def _ascending(values: list[V]) -> list[V]:
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
Weight = Annotated[float, Field(ge=0, le=1000)]  # of a loss
Odd = Annotated[int, Field(ge=1, le=999), AfterValidator(_odd)]
ClassWeights = Literal["headline", "balanced", "effective", "none"]
COUNTS = [4, 8, 16, 32, 64, 128, 256]
Grid = Annotated[list[Positive], Field(min_length=1, max_length=50), AfterValidator(_ascending)]


class Settings(BaseModel):
    """Settings of a head. Unknown keys, values of another type and numbers that are not finite are errors.

    `class_weights`: whether the loss weighs classes alike; `headline`: where the task's headline does; `effective`:
    rare classes weigh more, but less so than alike.
    `later`: fields that were added after keys of cells were made of the others. They stand among the plain settings
    only where they differ from their defaults, so that those keys stay as they are.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    later: ClassVar[tuple[str, ...]] = ()
    version: Literal[1, 2] = 1
    class_weights: ClassWeights = "headline"

    def needs(self) -> frozenset[str] | None:
        """What these settings make the head read of the features; None: what the head always reads."""
        return None

    def trained(self) -> str | None:
        """What of the upstream is trained, in words; None: the upstream stays as it is."""
        return None

    @classmethod
    def implied(cls, given: Mapping[str, object]) -> PlainSettings:
        """Defaults that settings of a user's own bring with them."""
        return {}

    def plain(self) -> PlainSettings:
        """All settings as plain values, as they stand in keys and records."""
        fields = type(self).model_fields
        unchanged = {name for name in self.later if getattr(self, name) == fields[name].default}
        return self.model_dump(mode="json", by_alias=True, exclude=unchanged)


class Pooling(Settings):
    """Of heads on pooled features: the frames of an utterance over which they are pooled.

    `segments`: those of the louder half of its segments of half a second; `speech`: those in which there is speech.
    """

    pooling: Literal["all", "segments", "speech"] = "all"
    later: ClassVar[tuple[str, ...]] = ("pooling",)

    def needs(self) -> frozenset[str] | None:
        """The pooled features; None: those of all frames."""
        return None if self.pooling == "all" else frozenset({f"pooled:{self.pooling}"})


class Solved(Settings):
    """Of heads that a solver fits."""

    class_weights: Literal["headline", "balanced", "none"] = "headline"


class Trained(Settings):
    """Of heads that are trained step by step: the loss of an utterance in its class, see class_loss.py and balance.py.

    `effective_beta`: with class weights `effective`, a class of n utterances weighs (1 - beta) / (1 - beta ** n).
    `focal`: the loss of an utterance whose class has the probability p is multiplied by (1 - p) ** focal.
    """

    effective_beta: Annotated[float, Field(ge=0, lt=1)] = 0.999
    focal: Annotated[float, Field(ge=0, le=10)] = 0.0
    later: ClassVar[tuple[str, ...]] = ("effective_beta", "focal")


class Mixed(Trained):
    """Of heads that can be trained on mixed pairs. `mixup`: parameters of the beta distribution of shares; 0: off."""

    mixup: Annotated[float, Field(ge=0, le=100)] = 0.0
    later: ClassVar[tuple[str, ...]] = (*Trained.later, "mixup")


class Probe(Solved, Pooling):
    """Of `probe` and `probe_stats`.

    C, the inverse ridge penalty, is strength / number of features: the kernel of standardised features grows with
    their number, so one grid of strengths serves 10 and 6000 of them. The default has two a decade, and one at its weak
    end, where the features of real encoders lie.
    """

    version: Literal[2] = 2
    statistics: Annotated[list[Literal["mean", "std"]], Field(min_length=1), AfterValidator(_distinct)] = ["mean"]
    strengths: Grid = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 1000.0, 10_000.0]


class Selected(Solved, Pooling):
    """Of `selected`: `counts` of features are tried, as far as there are so many. Few features need fewer strengths
    than `probe` has, and none that is weaker than 100."""

    counts: Annotated[list[Size], Field(min_length=1, max_length=50), AfterValidator(_ascending)] = COUNTS
    strengths: Grid = [0.1, 1.0, 10.0, 100.0]


class LastLayers(Solved, Pooling):
    """Of `last_four`: the strengths are those of `probe`. Version 1 let wide parts of a fusion drown narrow ones."""

    version: Literal[2] = 2
    layers: Annotated[int, Field(ge=1, le=1000)] = 4
    strengths: Grid = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 1000.0, 10_000.0]


class Superb(Mixed, Pooling):
    """Of `superb`: s3prl's downstream/emotion (config.yaml), and the learning rates that SUPERB chooses from."""

    later: ClassVar[tuple[str, ...]] = (*Pooling.later, *Mixed.later)
    projector: Size = 256
    batch: Batch = 32
    clip: Positive = 1.0
    rates: Grid = [1e-5, 1e-4, 1e-3]
    epochs: Epochs = 271
    steps: Annotated[int, Field(ge=1, le=10_000_000)] = 30_000
    evaluations: Annotated[int, Field(ge=1, le=10_000)] = 30


class Emotion2vec(Mixed):
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


class Sizes(Settings):
    """Sizes of the networks on frames. Those of ECAPA-TDNN are a quarter of its paper's smaller ones.

    `kernels`: widths of the convolutions of MSCNN in frames; at 50 frames a second 60, 140 and 300 ms.
    """

    channels: Size = 128  # of MSCNN of each width
    scale: Annotated[int, Field(ge=2, le=64)] = 8  # parts of a Res2 convolution
    joined: Size = 384
    squeeze: Size = 64
    attention: Size = 64
    embedding: Size = 96
    hidden: Size = 256  # of `attentive` and `mscnn`, between statistics and classifier
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5  # of `attentive` and `mscnn`, before the classifier
    kernels: Annotated[list[Odd], Field(min_length=1, max_length=10), AfterValidator(_ascending)] = [3, 7, 15]
    later: ClassVar[tuple[str, ...]] = ("kernels",)

    @field_validator("scale")
    @classmethod
    def _divides_channels(cls, value: int, info: ValidationInfo) -> int:
        if info.data.get("channels", 0) % value:
            raise ValueError(f"must divide channels, which are {info.data['channels']}")
        return value


SIZES = tuple(name for name in Sizes.model_fields if name not in Settings.model_fields)


class FrameTraining(Mixed):
    """Of heads that are trained on frames: AdamW, warm-up, cosine; rate and epoch are chosen on dev, fold by fold."""

    layers: Literal["last", "weighted"] = "last"
    batch: Batch = 32
    rates: Grid = [3e-4, 1e-3, 3e-3]
    decay: Annotated[float, Field(ge=0)] = 0.01
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1  # of all steps
    epochs: Epochs = 30
    clip: Positive = 5.0

    def needs(self) -> frozenset[str]:
        """The last layer's frames, or those of all layers."""
        return frozenset({"frames:last" if self.layers == "last" else "frames:all"})


class FrameHead(Sizes, FrameTraining):
    """Of `attentive`, `ecapa` and `mscnn`."""

    later: ClassVar[tuple[str, ...]] = (*Sizes.later, *FrameTraining.later)
    network: Literal["attentive", "ecapa", "mscnn"]


class _Branches(Mixed):
    """The branches of heads that learn emotion state, intensity, phonemes and gender together.

    The loss is the sum of the branches' losses, each times its weight: `state`, `intensity`, `phonemes`, `gender`. A
    branch of weight 0 is off. The state is what the task asks, so it cannot be off. Class weights, `focal` and `mixup`
    are of the state's loss.
    """

    network: Literal["speecheq"] = "speecheq"
    state: Positive = 1.0
    intensity: Weight = 0.1
    phonemes: Weight = 0.1
    gender: Weight = 0.1
    neutral: Literal["masked", "zero"] = "masked"  # intensity of neutral speech: none, or below the lowest level
    projection: Size = 256  # of every frame, shared by all branches
    probes: bool = True  # probes for gender and speaker on the shared vectors
    later: ClassVar[tuple[str, ...]] = ("effective_beta", "mixup")  # keys always had `focal`

    def weights(self) -> dict[str, float]:
        """The weight of the loss of each branch but the state."""
        return {"intensity": self.intensity, "phonemes": self.phonemes, "gender": self.gender}


class SpeechEq(_Branches, FrameTraining):
    """Of `speecheq`."""

    attention: Size = 64
    hidden: Size = 256  # of an utterance, shared by all branches but the phonemes
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5


LORA_RATES: list[JsonValue] = [2.5e-4, 5e-4]  # few values are trained, and take larger steps


class FineTune(Sizes, Mixed):
    """Of `finetune`: the encoder and a head on its frames are trained together, with AdamW, warm-up and cosine.

    Every fold has `epochs` passes over its training part, and `steps` steps at least. Dev is scored after every pass,
    or `scorings` times where the passes are more. The encoder's rate is chosen on dev, fold by fold: each of `rates`
    (`random_rates` for random weights) is tried in a training of a share `trial` of all steps. The head's rate is
    `head_factor` times the encoder's, within `head_rates`.
    """

    top: Annotated[int, Field(ge=1, le=1000)] | None = None  # blocks that are trained; None: the whole encoder
    aggregator: Literal["mean", "attentive", "ecapa", "mscnn"] = "mean"
    layers: Literal["last", "weighted"] = "last"
    batch: Batch = 32
    steps: Annotated[int, Field(ge=1, le=1_000_000)] = 1500
    epochs: Epochs = 20
    scorings: Annotated[int, Field(ge=1, le=1000)] = 30
    rates: Grid = [1e-5, 1e-4]
    random_rates: Grid = [1e-5, 1e-4, 1e-3]
    trial: Annotated[float, Field(gt=0, le=1)] = 0.2
    head_factor: Positive = 10.0
    head_rates: Annotated[list[Positive], Field(min_length=2, max_length=2)] = [1e-4, 1e-3]
    decay: Annotated[float, Field(ge=0)] = 0.01
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1  # of all steps
    clip: Positive = 1.0
    longest: Annotated[float, Field(gt=0, le=600)] = 30.0  # s of audio in training; texts are always whole
    averaged: Annotated[int, Field(ge=1, le=5)] = 5  # checkpoints, the best on dev
    precision: Literal["auto", "fp32", "bf16"] = "auto"  # auto: bf16 where the device has it
    then: Literal["nothing", "ecapa"] = "nothing"  # ecapa: that head is trained on frames of the encoder, frozen
    then_rates: Grid = [3e-4, 1e-3, 3e-3]
    then_epochs: Epochs = 30
    then_averaged: Annotated[int, Field(ge=1, le=5)] = 1  # epochs of that head, the best on dev
    readout: Literal["average", "best", "last"] = "average"
    lora: Annotated[int, Field(ge=1, le=1024)] | None = None  # rank of the adapters that are trained; None: none are
    checkpointing: bool = False  # blocks are computed again for gradients: less memory, a third more time
    later: ClassVar[tuple[str, ...]] = (*Sizes.later, *Mixed.later, "lora", "checkpointing", "then_averaged")

    def steps_of(self, utterances: int) -> int:
        """Steps of a whole training on so many utterances.

        >>> FineTune().steps_of(430), FineTune().steps_of(3430)
        (1500, 2144)
        """
        return max(self.steps, ceil(self.epochs * utterances / self.batch))

    @field_validator("layers")
    @classmethod
    def _last_of_the_top(cls, value: str, info: ValidationInfo) -> str:
        if value != "last" and info.data.get("top") is not None:
            raise ValueError("must be last where `top` blocks are trained: those below are not computed")
        return value

    @field_validator("head_rates")
    @classmethod
    def _from_low_to_high(cls, value: list[float]) -> list[float]:
        if value[0] > value[1]:
            raise ValueError("are the lowest and the highest rate, in this order")
        return value

    def needs(self) -> frozenset[str]:
        """The network itself."""
        return frozenset({"live"})

    @classmethod
    def implied(cls, given: Mapping[str, object]) -> PlainSettings:
        """The rates of adapters, or those of an encoder without any, where `lora` is given."""
        if "lora" not in given:
            return {}
        grids = ("rates", "random_rates")
        return {name: cls.model_fields[name].default if given["lora"] is None else LORA_RATES for name in grids}

    def trained(self) -> str:
        """The whole encoder, its top blocks, or adapters on their feed-forward matrices."""
        blocks = "all" if self.top is None else f"top {self.top}"
        if self.lora is not None:
            blocks = "lora" if self.top is None else f"lora, {blocks}"
        return f"encoder ({blocks})" + ("" if self.then == "nothing" else f", then {self.then}")


class FineTuneSpeechEq(_Branches, FineTune):
    """Of `finetune_speecheq`: the encoder is trained as by `finetune`, with the network of `speecheq` on its frames."""

    aggregator: Literal["attentive"] = "attentive"
    later: ClassVar[tuple[str, ...]] = (*Sizes.later, *_Branches.later, "lora", "checkpointing", "then_averaged")


def of_finetuning(settings: Mapping[str, JsonValue]) -> FineTune:
    """The settings of a head that trains the encoder, with branches where these name them.

    Raises pydantic's ValidationError.
    """
    model = FineTuneSpeechEq if settings.get("network") == "speecheq" else FineTune
    return model.model_validate(settings)
