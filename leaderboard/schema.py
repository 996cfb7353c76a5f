"""The result record: what one JSON file of `results/` holds, every key explained once.

Others read these files: the schema changes by addition only, and what is added has a default, so that older
records stay readable.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1

Plain = str | int | float | bool | None


class Section(BaseModel):
    """A part of the record; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _is(explanation: str) -> Any:
    return Field(description=explanation)


def _may_be(default: Any, explanation: str) -> Any:
    return Field(default=default, description=explanation)


class Cell(Section):
    upstream: str = _is("name of the upstream")
    task: str = _is("name of the task")
    downstream: str = _is("name of the head")
    key: str = _is("hash of all that decides the result; a cell is done when its key equals the one asked for")
    precision: str = _is("precision of extraction: fp32 or bf16")
    seeds: list[int] = _is("seeds of the head, ascending")
    limit: int | None = _may_be(None, "utterances of a smoke run; null for a full one")


class Published(Section):
    upstream: str = _is("upstream of the published figure")
    metric: str = _is("its metric")
    value: float = _is("its value, in this table's unit")
    head: str | None = _may_be(None, "the head it was read with")
    source: str = _is("paper and table")
    matches: bool = _is("whether the protocol (folds, classes, utterances) is this task's")
    difference: str | None = _may_be(None, "how protocol or head differ")


class Task(Section):
    name: str = _is("name of the task")
    title: str = _is("what it asks, for people")
    version: int | str = _is("version of the definition")
    corpus: str = _is("name of the corpus")
    family: str | None = _may_be(None, "corpora that share speakers have one family")
    corpora_of_family: list[str] = _may_be([], "names of the corpora of that family")
    language: str = _is("ISO 639-1 code or name")
    licence: str = _is("licence of the corpus")
    kind: Literal["classification", "regression", "conversation"] = _is("kind of problem")
    classes: list[str] = _is("classes in the order of `confusion`; empty for regression")
    metrics: list[str] = _is("metrics that tables show")
    headline: str = _is("metric that rows are sorted by")
    pooled_only: bool = _may_be(False, "true where folds alone carry no meaning (speaker~label)")
    group_by: str = _is("unit of resampling: speaker, dialogue or video")
    audit: str = _is("hash of ids, targets, folds and content of the utterances")
    folds: list[str] = _is("names of the test folds, in order")
    published: list[Published] = _may_be([], "figures of the literature")
    counts: dict[str, Any] = _may_be({}, "utterances, speakers, labels left out, bad files")
    notes: list[str] = _may_be([], "what a reader of the figures must know")
    marks: list[str] = _may_be([], "marks of the task alone")


class Upstream(Section):
    name: str = _is("name of the upstream")
    title: str | None = _may_be(None, "what it is, for people")
    label: str | None = _may_be(None, "what tables and pictures call it; null: its name")
    fingerprint: str | None = _may_be(None, "sha256 over weights, configuration and adapter")
    weights: str | None = _may_be(None, "where they came from: a repository and its revision, or a folder's name")
    licence: str | None = _may_be(None, "licence of its weights or its library, where it is known")
    depth: int | None = _may_be(None, "number of layers L")
    width: int | None = _may_be(None, "values a layer D")
    parameters: int | None = _may_be(
        None, "parameters of its networks; null where there are none, or all features came from the store"
    )
    seen: dict[str, Literal["audio", "labels"]] | Literal["unknown"] | None = _may_be(
        None, "corpora it was trained on, and with what; unknown where nobody says; null for a reference"
    )
    counts: dict[str, int] = _may_be({}, "utterances computed, reused, padded, windowed")
    audio_seconds: float | None = _may_be(None, "audio of the cell's utterances, s")
    layer_norms: list[float] | None = _may_be(
        None, "L2 norm of each layer's time-mean, mean over the cell's utterances; null without pooled features"
    )


class Downstream(Section):
    name: str = _is("name of the head")
    settings: dict[str, Any] = _may_be({}, "its settings")
    deterministic: bool = _is("whether one seed is all there is to it")


class Run(Section):
    seconds: dict[str, float] = _may_be({}, "wall time of each phase, s: load, decode, forward, extract, evaluate")
    peak_memory_mb: float | None = _may_be(None, "peak resident memory of the process, MB")
    device: str = _is("where the upstream ran")
    versions: dict[str, str] = _may_be({}, "versions of the packages that matter")
    git_commit: str | None = _may_be(None, "commit of the working tree, if there is one")
    emorep: str = _is("version of this program")
    marks: list[str] = _may_be([], "marks of the run alone")


class Score(Section):
    value: float | None = _is("the pooled figure, mean over seeds; null where undefined")
    low: float | None = _is("lower bound of the 95 % interval; null where it cannot be estimated")
    high: float | None = _is("upper bound")
    undefined: int = _may_be(0, "groups without which the figure is undefined; above 0 there is no interval")


class FoldScore(Section):
    fold: str = _is("name of the fold")
    n: int = _is("utterances tested")
    classes_in_test: int | None = _is("classes that its test part has; null for regression")
    metrics: dict[str, float | None] | None = _is("mean over seeds; null where the task gives pooled figures only")


class Counts(Section):
    n: int = _is("utterances tested")
    speakers: int | None = _is("speakers tested; null where unknown")
    folds: int = _is("folds tested")
    seeds: int = _is("seeds")
    groups: int = _is("groups that the intervals rest on")


class Scores(Section):
    """All that follows from the predictions alone; `verify` computes it again."""

    counts: Counts = _is("what was counted")
    metrics: dict[str, Score] = _is("metric: pooled over folds for each seed, then the mean of seeds")
    by_seed: dict[str, list[float | None]] = _is("metric: its pooled value for each seed")
    folds: list[FoldScore] = _is("every fold alone")
    WA_folds: float | None = _is("mean of the folds' WA (SUPERB's figure); null where pooled only")
    recall: dict[str, Score] = _is("class: recall, percent; empty for regression")
    confusion: list[list[int]] | None = _is("counts of the first seed over all folds, row = true class")
    last_layer: dict[str, float | None] | None = _is("metric: value of the last layer, first seed; null without layers")
    by_layer: list[float | None] | None = _is("headline metric on test had every fold taken layer l, first seed")


class Chosen(Section):
    layer: int | None = _is("layer that most folds chose, from 0; null where the head does not choose")
    dev_by_layer: list[float | None] | None = _is("select_on metric on dev, mean over folds, for every layer")
    folds: list[dict[str, Plain]] = _is("fold, seed, and the layer, strength, rate ... chosen, with its dev score")
    layer_weights: list[list[float]] | None = _may_be(
        None, "for each entry of `folds` the weights of the layers that the head learned; null where it has none"
    )


class File(Section):
    name: str = _is("file beside the record")
    sha256: str = _is("of its bytes")
    bytes: int = _is("its size")
    rows: int = _is("its rows")


class Files(Section):
    predictions: File = _is("Parquet of the predictions")
    vectors: File | None = _may_be(
        None, "Parquet of the pooled features (columns standardised) and first-layer outputs, float16"
    )


class Record(Section):
    schema_version: Annotated[int, Field(ge=1, le=SCHEMA_VERSION)] = _is("version of this schema")
    created: str = _is("when it was written, UTC, ISO 8601")
    cell: Cell = _is("which cell this is")
    marks: list[str] = _is("what a reader must be warned of: union of all marks, sorted")
    scores: Scores = _is("all that follows from the predictions")
    chosen: Chosen = _is("what the head chose, on training and dev speakers")
    task: Task = _is("what was asked")
    upstream: Upstream = _is("who answered")
    downstream: Downstream = _is("how it was read")
    run: Run = _is("where and how fast")
    files: Files = _is("what lies beside it")
    earlier_runs: list[Run] = _may_be(
        [], "runs that gave some of the seeds, where they differ from `run` in more than times and memory"
    )
    checksum: str | None = _may_be(None, "sha256 of all the rest, as ASCII JSON with sorted keys and no spaces")


def keys(model: type[BaseModel] = Record, prefix: str = "") -> list[tuple[str, str]]:
    """Every key of the record with its explanation, dotted (`scores.metrics.*.low`)."""
    found: list[tuple[str, str]] = []
    for name, field in model.model_fields.items():
        key = prefix + name
        found.append((key, field.description or ""))
        inner, star = _section(field.annotation)
        if inner:
            found += keys(inner, key + (".*." if star else "."))
    return found


def _section(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The section within a type, and whether it lies in a list or dict."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    within = getattr(annotation, "__args__", ())
    holds_many = getattr(annotation, "__origin__", None) in (list, dict)
    for part in within:
        inner, star = _section(part)
        if inner:
            return inner, star or holds_many
    return None, False
