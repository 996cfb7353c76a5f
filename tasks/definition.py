"""A task's definition, validated: from a YAML file in `definitions/`, or made by a program."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import ClassVar, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from commons import yamlfile
from commons.corridors.utterances import COLUMNS
from commons.errors import cut
from commons.faults import faults
from commons.metrics import CLASSIFICATION, DISTRIBUTION, METRICS, ORDINAL, REGRESSION
from tasks import corpora, intensity
from tasks.errors import TaskError

FOLDER = Path(__file__).parent / "definitions"

# Unit of resampling -> the column of the utterance table that holds it.
GROUPS = {"speaker": "speaker", "dialogue": "dialogue", "video": "dialogue", "sentence": "sentence", "utterance": ""}
VALUES = ("arousal", "valence", "dominance", "sentiment")  # columns that a regression may ask for
EMOTION = ("emotion", "vote", *VALUES)  # columns that tell the emotion: as acted, as others name it, its dimensions

Model = TypeVar("Model", bound=BaseModel)


class _Strict(BaseModel):
    """A model in which unknown keys are errors.

    A dump of it goes into the keys of results. Fields in `ADDED` came after the first results: at their defaults they
    are left out of the dump, so that results of tasks that do not use them stay valid.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    ADDED: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _without_unused(self, dump: SerializerFunctionWrapHandler) -> dict[str, object]:
        fields = type(self).model_fields
        unused = {name for name in self.ADDED if getattr(self, name) == fields[name].default}
        return {name: value for name, value in dump(self).items() if name not in unused}


class FoldRule(_Strict):
    """Test folds: one for each value of a column, for each listed group of values, or for each of k groups of them.

    Attributes:
        by: the column; `partition` is the official split: one fold with the parts train, dev and test.
        groups: values of the column by fold; k: number of folds into which values are dealt. Neither: a fold a value.
        apart: a second column, dealt into `apart_k` groups (without it, a group for each value). Every fold is crossed
            with every such group, and train and dev share no value of either column with test.
        inner: the column whose values inner groups never split; empty: groups of utterances.
    """

    ADDED: ClassVar[frozenset[str]] = frozenset({"k", "apart", "apart_k", "inner"})

    by: str
    groups: tuple[tuple[str, ...], ...] = ()
    k: int | None = Field(default=None, ge=2)
    apart: str = ""
    apart_k: int | None = Field(default=None, ge=2)
    inner: str = "speaker"


class Published(_Strict):
    """A published figure.

    Attributes:
        matches: whether its test folds, classes and metric are those of the task.
        difference: what differs otherwise; where it matches, only head, dev part and averaging may differ.
        of_folds: it is the mean of the folds' figures; else, as far as is known, pooled.
    """

    upstream: str
    metric: str
    value: float
    head: str
    source: str
    matches: bool
    difference: str = ""
    of_folds: bool = False


class PublishedTable(_Strict):
    """Figures of one source as a file writes them: a row of `metrics` for each upstream."""

    source: str
    head: str
    matches: bool
    difference: str = ""
    of_folds: bool = False
    metrics: tuple[str, ...]
    values: dict[str, tuple[float, ...]]

    @model_validator(mode="after")
    def _rows_fit(self) -> PublishedTable:
        for upstream, row in self.values.items():
            if len(row) != len(self.metrics):
                raise ValueError(f"{upstream} has {len(row)} values for {len(self.metrics)} metrics")
        return self

    def figures(self) -> list[Published]:
        """One `Published` for each figure."""
        facts = self.model_dump(include={"source", "head", "matches", "difference", "of_folds"})
        return [
            Published(upstream=upstream, metric=metric, value=value, **facts)
            for upstream, row in self.values.items()
            for metric, value in zip(self.metrics, row, strict=True)
        ]


class Definition(_Strict):
    """What a task asks.

    Attributes:
        name: the stem of the file.
        version: part of the key of every result; changed with any change of the split or the labels.
        labels: class -> values of the column `target` that belong to it, in the order of the classes.
        drop: values that are left out on purpose; they are counted.
        where: column -> values; other utterances do not belong to the task.
        dev: `next_folds`; `superb` (a random fifth of train, or s3prl's own draw; choices are made on it alone, without
            inner groups); `partition` (the official dev part, likewise); `fifth` (of each class of train); or
            `speakers` (whole speakers of an official train part where it has three or more, else a fifth).
        group_by: the unit of resampling (`utterance` where no larger unit is known).
        downstream: the default head or heads.
        next_turn: in a conversation, the target of a turn is the class of the turn that follows it.
        speakers_shared: the protocol lets speakers of test occur in train or dev.
        pooled_only: figures of single folds have no meaning (most test speakers have one class).
        counts: utterances of each class in a complete copy, where the corpus's facts do not say; a derived task keeps
            those of its base.
        levels: of an ordinal task, the place of each class on the scale of intensity.yaml, ascending; a definition in a
            file has it from there.
        pairs: of an ordinal task, the columns in which two utterances agree whose order by level is scored.
        also: columns of further targets, for heads that learn several tasks; they are not scored.
    """

    ADDED: ClassVar[frozenset[str]] = frozenset({"group_by", "next_turn", "counts", "also", "levels", "pairs"})

    name: str
    version: str = Field(coerce_numbers_to_str=True)
    title: str
    corpus: str
    kind: Literal["classification", "regression", "conversation", "ordinal", "distribution"]
    target: str = "emotion"
    labels: dict[str, tuple[str, ...]] = {}
    drop: tuple[str, ...] = ()
    where: dict[str, tuple[str, ...]] = {}
    folds: FoldRule
    dev: Literal["next_folds", "superb", "partition", "fifth", "speakers"]
    metrics: tuple[str, ...]
    headline: str
    select_on: str  # left out: the headline
    downstream: str | tuple[str, ...]
    speakers_shared: bool = False
    pooled_only: bool = False
    counts: dict[str, int] = {}
    group_by: Literal["speaker", "dialogue", "video", "sentence", "utterance"] = "speaker"
    next_turn: bool = False
    levels: tuple[float, ...] = ()
    pairs: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    published: tuple[Published, ...] = ()

    @property
    def heads(self) -> tuple[str, ...]:
        """The default downstreams."""
        return (self.downstream,) if isinstance(self.downstream, str) else self.downstream

    @property
    def aspect(self) -> str:
        """What it asks where that is not the emotion of the utterance: `intensity`, `polarity`, `next turn`.

        Only figures of one aspect are averaged.
        """
        if self.next_turn:
            return "next turn"
        return "" if self.target in EMOTION else self.target

    @property
    def family(self) -> str:
        """The family of metrics: classification, regression, ordinal or distribution."""
        if self.kind in (ORDINAL, DISTRIBUTION):
            return self.kind
        return REGRESSION if self.kind == REGRESSION else CLASSIFICATION

    @model_validator(mode="before")
    @classmethod
    def _chosen_by_headline(cls, content: object) -> object:
        """Choices go by the headline unless a protocol demands another metric."""
        if isinstance(content, dict) and "headline" in content:
            return {"select_on": content["headline"]} | content
        return content

    @model_validator(mode="after")
    def _fits(self) -> Definition:
        raw = [value for values in self.labels.values() for value in values] + list(self.drop)
        if len(set(raw)) != len(raw):
            raise ValueError("a value occurs twice in labels and drop")
        if self.kind == REGRESSION and (self.labels or self.drop or self.target not in VALUES):
            raise ValueError(f"a regression has no labels and no drop, and its target is one of {', '.join(VALUES)}")
        if self.kind != REGRESSION and len(self.labels) < 2:
            raise ValueError("labels need at least two classes")
        if self.next_turn and self.kind != "conversation":
            raise ValueError("next_turn is for a conversation")
        if (self.kind == ORDINAL) != bool(self.pairs and self.levels):
            raise ValueError("an ordinal task, and no other, has pairs and levels")
        if self.levels and (len(self.levels) != len(self.labels) or sorted(set(self.levels)) != list(self.levels)):
            raise ValueError("labels of an ordinal task must be levels from the lowest up")
        wanted = {*self.metrics, self.headline, self.select_on, *(figure.metric for figure in self.published)}
        unknown = sorted(name for name in wanted if name not in METRICS or not METRICS[name].fits(self.family))
        if unknown:
            known = ", ".join(name for name, metric in METRICS.items() if metric.fits(self.family))
            raise ValueError(f"no metric {', '.join(unknown)} of a {self.kind} (known: {known})")
        if self.headline not in self.metrics:
            raise ValueError(f"headline {self.headline} is not among metrics")
        for key, columns in (("also", self.also), ("pairs", self.pairs)):
            if strange := sorted(set(columns) - set(COLUMNS)):
                known = ", ".join(COLUMNS)
                raise ValueError(f"{key}: {', '.join(strange)}: no such column of utterances (known: {known})")
        if self.target in self.also or len(set(self.also)) != len(self.also):
            raise ValueError(f"also: name each further target once, and do not name the target {self.target}")
        return self


class _Shipped(Definition):
    """A definition as a YAML file writes it: its corpus has a reader, its labels are those of the corpus."""

    @field_validator("published", mode="before")
    @classmethod
    def _expand(cls, tables: object) -> list[Published]:
        if not isinstance(tables, list):
            raise ValueError("a list of tables is expected, each with source, head, metrics and values")
        return [figure for table in tables for figure in PublishedTable.model_validate(table).figures()]

    @model_validator(mode="before")
    @classmethod
    def _placed(cls, content: object) -> object:
        """The levels of an ordinal task, from intensity.yaml; wrong labels and corpora are found by other rules."""
        if not isinstance(content, dict) or content.get("kind") != ORDINAL:
            return content
        if content.get("target") != "intensity" or "levels" in content:
            raise ValueError("an ordinal task has the target intensity; its levels are those of intensity.yaml")
        corpus, labels = content.get("corpus"), content.get("labels")
        if corpus not in corpora.names() or not isinstance(labels, dict):
            return content
        return content | {"levels": intensity.places_of(str(corpus), labels)}

    @field_validator("corpus")
    @classmethod
    def _corpus_is_known(cls, corpus: str) -> str:
        if corpus not in corpora.names():
            raise ValueError(f"no corpus {corpus!r} (known: {', '.join(corpora.names())})")
        return corpus

    @model_validator(mode="after")
    def _fits_its_corpus(self) -> _Shipped:
        if self.counts and self.counts.keys() != self.labels.keys():
            raise ValueError("counts needs one number for each class of labels")
        if self.dev in ("partition", "speakers") and self.folds.by != "partition":
            raise ValueError(f"dev: {self.dev} needs folds: {{by: partition}}")
        if self.target != "emotion":
            return self
        corpus = corpora.module(self.corpus).CORPUS
        raw = {value for values in self.labels.values() for value in values} | set(self.drop)
        strange = sorted(raw - set(corpus.classes) - set(corpus.others))
        if strange:
            raise ValueError(
                f"labels and drop: {self.corpus} has no {', '.join(strange)} (it has {', '.join(corpus.classes)})"
            )
        return self


def path(name: str) -> Path:
    """The file of a task's definition."""
    return FOLDER / f"{name}.yaml"


@cache
def read(file: Path) -> Definition:
    """The definition in a file.

    Raises:
        TaskError: the file cannot be read, or a key is unknown, missing or wrong; names the file and the key.
    """
    try:
        content = yamlfile.mapping(file, "the keys of a task, as in the other definitions of that folder")
    except yamlfile.NotYaml as error:
        raise TaskError(str(error)) from None
    return varied(_validated(_Shipped, {"name": file.stem} | content, str(file)))


def new(**facts: object) -> Definition:
    """A definition with these fields. Raises TaskError, which names the wrong field."""
    return _validated(Definition, facts, str(facts.get("name")))


def varied(base: Definition, **changes: object) -> Definition:
    """The definition with some fields changed. Raises TaskError, which names the wrong field."""
    return new(**(dict(base) | changes))


def _validated(model: type[Model], facts: Mapping[str, object], place: str) -> Model:
    """The model with these facts; a TaskError begins with `place`."""
    try:
        return model.model_validate(facts)
    except ValidationError as error:
        wrong = "; ".join(faults(error, Definition.model_fields))
        raise TaskError(f"{place}: {cut(wrong, 2000)}") from error
