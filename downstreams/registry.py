"""The heads and the references by name; what trains a head is imported when it is used."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol, cast

from commons import registry
from commons.corridors.utterances import Modality
from downstreams.settings import (
    Emotion2vec,
    FineTune,
    FineTuneSpeechEq,
    FrameHead,
    LastLayers,
    Probe,
    Selected,
    Settings,
    SpeechEq,
    Superb,
)
from downstreams.turn_settings import DialogueRnn, Gru, RecentGru

if TYPE_CHECKING:  # numpy and pandas, which a list of names does not need
    from pathlib import Path

    from pydantic import JsonValue

    from commons.corridors.features import Features
    from commons.corridors.fitted import Answers, Fitted
    from commons.corridors.predictions import Predictions
    from commons.corridors.problem import Problem
    from commons.progress import Progress

CLASSES = ("classification", "conversation", "ordinal", "distribution")
EVERY_KIND = (*CLASSES, "regression")
LINEAR = "downstreams.fitted_linear:apply"


SPEECHEQ = "an interpretation of SpeechEQ, of which only the abstract is known"
MSCNN = "an interpretation of Peng et al. (2021), of which only the abstract is known"


class Evaluate(Protocol):
    """Trains a head on every fold of a problem and predicts the fold's test utterances."""

    def __call__(
        self,
        features: Features,
        problem: Problem,
        settings: Mapping[str, JsonValue],
        seeds: Sequence[int],
        device: str,
        progress: Progress | None = None,
    ) -> Predictions: ...


class EvaluateFolds(Protocol):
    """The same for a head that keeps what each fold gave in the folder `work`, and does not train that again."""

    def __call__(
        self,
        features: Features,
        problem: Problem,
        settings: Mapping[str, JsonValue],
        seeds: Sequence[int],
        device: str,
        progress: Progress | None = None,
        work: Path | None = None,
    ) -> Predictions: ...


class EvaluateInFolder(Protocol):
    """The same for a head whose training is long: it keeps its states in the folder `work` and goes on from there.

    The weights of the read-outs `keep` stay there, and the predictions have the fitted heads of its own.
    """

    def __call__(
        self,
        features: Features,
        problem: Problem,
        settings: Mapping[str, JsonValue],
        seeds: Sequence[int],
        device: str,
        progress: Progress | None = None,
        work: Path | None = None,
        keep: Collection[str] = (),
    ) -> Predictions: ...


class Apply(Protocol):
    """What a fitted head gives for new features."""

    def __call__(self, own: Fitted, settings: Mapping[str, JsonValue], features: Features, device: str) -> Answers: ...


@dataclass(frozen=True)
class Head:
    """A head's facts.

    Attributes:
        about: what it is, in one line.
        target: "module:function" of its `Evaluate`.
        settings: its own; they decide its figures.
        needs: what it reads of the features, of commons.corridors.features.NEEDS.
        kinds: of problem that it can treat.
        deterministic: it draws no random numbers.
        standardises: it standardises features, and can do so by the test part's own statistics.
        own_classes: it keeps each row to the classes of `Problem.allowed`, in training and in prediction.
        further: it trains on `Problem.also` as well, which is then a part of a cell's key.
        readouts: what one training gives, the head's own first; each is a cell, called HEAD or HEAD:READOUT.
        keeps_folds: what a fold gave is kept until all are done: its function is an `EvaluateFolds`.
        resumes: its training is long: its function is an `EvaluateInFolder`.
        interpretation: of which paper, where too little of it is known to repeat it; tables say so.
        applies: "module:function" of its `Apply`; "": its fitted heads cannot be kept.
        cite: BibTeX keys of its papers, in leaderboard/bibliography.bib; empty where none is there.
    """

    about: str
    target: str
    settings: Settings
    needs: frozenset[str] = frozenset({"pooled"})
    kinds: tuple[str, ...] = EVERY_KIND
    deterministic: bool = False
    standardises: bool = False
    own_classes: bool = False
    further: bool = False
    readouts: tuple[str, ...] = ()
    keeps_folds: bool = False
    resumes: bool = False
    interpretation: str = ""
    applies: str = ""
    cite: tuple[str, ...] = ()

    def reads(self, settings: Mapping[str, JsonValue]) -> frozenset[str]:
        """What it reads of the features with these settings of its own."""
        return type(self.settings).model_validate(settings).needs() or self.needs

    def trained(self, settings: Mapping[str, JsonValue]) -> str | None:
        """What of the upstream it trains with these settings, in words; None: the upstream stays as it is."""
        return type(self.settings).model_validate(settings).trained()

    def load(self) -> Evaluate:
        """The function that evaluates this head, imported now."""
        return cast(Evaluate, registry.load(self.target))

    def within(self, work: Path | None, keep: Collection[str] = ()) -> Evaluate:
        """The same; its states are in the folder `work`, where there is one and it keeps any, and those of a long
        training there with the weights of the read-outs `keep`."""
        if self.keeps_folds:
            return cast(Evaluate, partial(cast(EvaluateFolds, self.load()), work=work))
        if not self.resumes:
            return self.load()
        return cast(Evaluate, partial(cast(EvaluateInFolder, self.load()), work=work, keep=keep))

    def apply(self) -> Apply:
        """The function that applies a fitted head, imported now."""
        return cast(Apply, registry.load(self.applies))


def _probe(settings: Probe, about: str) -> Head:
    return Head(
        about,
        "downstreams.probe:evaluate",
        settings,
        deterministic=True,
        standardises=True,
        own_classes=True,
        applies=LINEAR,
    )


def _on_frames(settings: FrameHead, about: str, cite: str) -> Head:
    room = "downstreams.frame_training"
    return Head(
        about,
        f"{room}:evaluate",
        settings,
        needs=frozenset({"frames:last"}),
        kinds=CLASSES,
        own_classes=True,
        keeps_folds=True,
        applies=f"{room}:apply",
        cite=(cite,),
    )


def _finetune(settings: FineTune, about: str) -> Head:
    return Head(
        about,
        "downstreams.finetuning:evaluate",
        settings,
        needs=frozenset({"live"}),
        kinds=CLASSES,
        own_classes=True,
        readouts=("average", "best", "last"),
        resumes=True,
        applies="downstreams.fitted_network:apply",
        cite=("morais2022",),
    )


def _conversation(settings: Settings, about: str, cite: tuple[str, ...] = ()) -> Head:
    return Head(about, "downstreams.conversation:evaluate", settings, kinds=("conversation",), cite=cite)


HEADS = registry.Registry(
    "downstream",
    {
        "probe": _probe(Probe(), "logistic regression on the time-mean of the best layer (ridge for values)"),
        "probe_stats": _probe(Probe(statistics=["mean", "std"]), "as probe, on time-mean and time-standard-deviation"),
        "last_four": Head(
            "logistic regression on the mean of the last four layers' time-means (ridge for values)",
            "downstreams.last_layers:evaluate",
            LastLayers(),
            deterministic=True,
            standardises=True,
            own_classes=True,
            applies=LINEAR,
            cite=("ma2024emotion2vec",),
        ),
        "selected": Head(
            "logistic regression on few time-means of the best layer, selected on each fold's training part "
            "(ridge for values); for functionals",
            "downstreams.selected:evaluate",
            Selected(),
            deterministic=True,
            standardises=True,
            own_classes=True,
            applies=LINEAR,
        ),
        "superb": Head(
            "SUPERB's head: weighted sum of layers, linear, trained as s3prl does (classes)",
            "downstreams.superb:evaluate",
            Superb(),
            kinds=CLASSES,
            own_classes=True,
            applies="downstreams.superb:apply",
            cite=("yang2021",),
        ),
        "emotion2vec": Head(
            "emotion2vec's head: linear, ReLU, mean over time, linear, on frames of the last layer (classes)",
            "downstreams.emotion2vec:evaluate",
            Emotion2vec(),
            needs=frozenset({"frames:last"}),
            kinds=CLASSES,
            own_classes=True,
            applies="downstreams.emotion2vec:apply",
            cite=("ma2024emotion2vec",),
        ),
        "attentive": _on_frames(
            FrameHead(network="attentive"),
            "attentive statistics over time: mean and deviation under learned weights of frames (classes)",
            "okabe2018",
        ),
        "ecapa": _on_frames(
            FrameHead(network="ecapa"),
            "ECAPA-TDNN on frames: SE-Res2 blocks, channel-wise attentive statistics (classes)",
            "desplanques2020",
        ),
        "mscnn": replace(
            _on_frames(
                FrameHead(network="mscnn"),
                "MSCNN on frames: convolutions of several widths, statistics over time, attention; an interpretation: "
                "of its paper only the abstract is known (classes)",
                "peng2021",
            ),
            interpretation=MSCNN,
        ),
        "speecheq": Head(
            "emotion state with intensity, phonemes and gender, learnt together on frames; an interpretation: of "
            "SpeechEQ only the abstract is known (classes)",
            "downstreams.speecheq:evaluate",
            SpeechEq(),
            needs=frozenset({"frames:last"}),
            kinds=("classification",),
            own_classes=True,
            further=True,
            keeps_folds=True,
            interpretation=SPEECHEQ,
            applies="downstreams.speecheq:apply",
            cite=("kang2022",),
        ),
        "finetune": _finetune(
            FineTune(), "the encoder itself, fine-tuned with a linear head on the time-mean of its frames (classes)"
        ),
        "finetune_ecapa": replace(
            _finetune(
                FineTune(then="ecapa", then_averaged=5),
                "fine-tuned as by finetune, then frozen, and ECAPA-TDNN trained on its frames: two stages (classes)",
            ),
            readouts=(),
            cite=("morais2022", "desplanques2020"),
        ),
        "finetune_speecheq": replace(
            _finetune(
                FineTuneSpeechEq(),
                "the encoder itself, fine-tuned with the branches of speecheq; like that, an interpretation (classes)",
            ),
            kinds=("classification",),
            further=True,
            interpretation=SPEECHEQ,
            cite=("kang2022", "morais2022"),
        ),
        "finetune_top3": _finetune(FineTune(top=3), "as finetune, of the encoder's last three blocks alone (classes)"),
        "finetune_lora": replace(
            _finetune(
                FineTune.model_validate({"lora": 16, **FineTune.implied({"lora": 16})}),
                "as finetune, of low-rank adapters on the encoder's feed-forward matrices alone (classes)",
            ),
            cite=("morais2022", "hu2022"),
        ),
        "context_gru": _conversation(Gru(), "a GRU over the turns of each dialogue (conversations)"),
        "recent_gru": _conversation(
            RecentGru(), "two layers of GRU over the last six turns (conversations)", ("ma2024emotion2vec",)
        ),
        "dialogue_rnn": _conversation(
            DialogueRnn(), "DialogueRNN: states of dialogue, speakers and emotion (conversations)", ("majumder2019",)
        ),
        "no_context": _conversation(Gru(context=False), "context_gru's network on each turn alone (conversations)"),
    },
)


@dataclass(frozen=True)
class Reference:
    """A reference row.

    Attributes:
        about: what it predicts by.
        kinds: the kinds of problem that have it.
        reads: `audio` or `text`, whose length it needs; None: it needs neither.
    """

    about: str
    kinds: tuple[str, ...] = EVERY_KIND
    reads: Modality | None = None


REFERENCES = registry.Registry(
    "reference",
    {
        "majority": Reference("the most frequent class"),
        "duration": Reference("the length of the utterance alone", reads="audio"),
        "text_length": Reference("the numbers of words and characters alone", reads="text"),
        "persistence": Reference("the speaker's last emotion, by its true label", ("conversation",)),
    },
)
