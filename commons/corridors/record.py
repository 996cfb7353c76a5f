"""Record (-> leaderboard): the content of one JSON file of `results/`, with every key explained.

Other programs read these files. The schema changes by addition only, and new keys have defaults, so that older records
stay readable.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from commons.corridors.predictions import Plain
from commons.corridors.utterances import Modality

SCHEMA_VERSION = 1
INTERVALS = 2  # the formula of intervals that records get now, as Scores.intervals says
REFERENCE = "reference"  # the downstream of reference rows, which do not use the audio
FLOORS = ("loudness", "pitch")  # upstreams of one thing that is heard: tables show them among the reference rows

Seen = dict[str, Literal["audio", "labels"]] | Literal["unknown"]  # corpora that an upstream was trained on


class Section(BaseModel):
    """A part of the record; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Cell(Section):
    upstream: str = Field(description="name of the upstream")
    task: str = Field(description="name of the task")
    downstream: str = Field(description="name of the head")
    key: str = Field(
        description="hash of all that decides the result; a cell is done when its key equals the one asked for"
    )
    precision: str = Field(description="precision of extraction: fp32 or bf16")
    seeds: list[int] = Field(description="seeds of the head, ascending")
    limit: int | None = Field(default=None, description="utterances of a smoke run; null for a full one")
    training: str | None = Field(
        default=None,
        description="key of the clean cell, whose training this one shares: only the audio of test differs; else null",
    )


class Published(Section):
    upstream: str = Field(description="upstream of the published figure")
    metric: str = Field(description="its metric")
    value: float = Field(description="its value, in this table's unit")
    head: str | None = Field(default=None, description="the head it was read with")
    source: str = Field(description="paper and table")
    matches: bool = Field(description="whether the protocol (folds, classes, utterances) is this task's")
    difference: str | None = Field(default=None, description="how protocol or head differ")
    of_folds: bool = Field(default=False, description="whether it is the mean of the folds' figures, not pooled")


class Perturbation(Section):
    kind: str = Field(description="what is done to the audio of test: white, reverb, opus ...")
    level: float | None = Field(default=None, description="how much of it; null where the kind has no level")
    unit: str | None = Field(default=None, description="unit of the level; null where there is none")
    bit_rate: float | None = Field(
        default=None, description="of a codec, kbit/s of its files, measured at 16 kHz on up to 50 utterances tested"
    )


class Task(Section):
    name: str = Field(description="name of the task")
    title: str = Field(description="what it asks, for people")
    version: int | str = Field(description="version of the definition")
    corpus: str = Field(description="name of the corpus")
    family: str | None = Field(default=None, description="corpora that share speakers have one family")
    corpora_of_family: list[str] = Field(default=[], description="names of the corpora of that family")
    language: str = Field(description="ISO 639-1 code or name")
    licence: str = Field(description="licence of the corpus")
    kind: Literal["classification", "regression", "conversation", "ordinal", "distribution"] = Field(
        description="kind of problem"
    )
    classes: list[str] = Field(description="classes in the order of `confusion`; empty for regression")
    levels: list[float] = Field(default=[], description="place of each class on a scale from 0 to 1; of ordinal tasks")
    pairs: list[str] = Field(
        default=[], description="columns in which two utterances agree whose order by level is scored; of ordinal tasks"
    )
    metrics: list[str] = Field(description="metrics that tables show")
    headline: str = Field(description="metric that rows are sorted by")
    pooled_only: bool = Field(default=False, description="true where folds alone carry no meaning (speaker~label)")
    group_by: str = Field(description="unit of resampling: speaker, dialogue or video")
    audit: str = Field(description="hash of ids, targets, folds and content of the utterances")
    folds: list[str] = Field(description="names of the test folds, in order")
    published: list[Published] = Field(default=[], description="figures of the literature")
    counts: dict[str, JsonValue] = Field(
        default={}, description="utterances, speakers, labels left out, bad files, utterances without text"
    )
    notes: list[str] = Field(default=[], description="what a reader of the figures must know")
    marks: list[str] = Field(default=[], description="marks of the task alone")
    derived: str | None = Field(default=None, description="kind of a derived task: transfer, shots, gender ...")
    aspect: str | None = Field(
        default=None,
        description="what a task asks: gender, shots 4, labels a+b, intensity, polarity, next turn; empty where it is "
        "emotion; only figures of one aspect are averaged; null in records from before there was this key",
    )
    base: str | None = Field(
        default=None,
        description="task that a derived task is made of, the one that is tested; the suite or tasks of joined corpora",
    )
    sources: list[str] = Field(default=[], description="tasks, or the suite, that it trains on in place of its base")
    source_corpora: list[str] = Field(default=[], description="corpora that it trains on in place of its own")
    shots: int | None = Field(default=None, description="training utterances a class, of few labels")
    also: list[str] = Field(default=[], description="further targets that a head of several targets could train on")
    corpora: dict[str, list[str]] = Field(
        default={},
        description="corpus: its classes, of corpora that are joined and all tested; an utterance may have the classes "
        "of its own corpus alone; empty for other tasks",
    )
    perturbation: Perturbation | None = Field(
        default=None, description="how the audio of test is changed; null: it is not"
    )
    cite: dict[str, list[str]] | None = Field(
        default=None,
        description="what is to be cited (corpora, folds of others) and its BibTeX keys; null in records from before "
        "there was this key",
    )


class Upstream(Section):
    name: str = Field(description="name of the upstream")
    title: str | None = Field(default=None, description="what it is, for people")
    label: str | None = Field(default=None, description="what tables and pictures call it; null: its name")
    fingerprint: str | None = Field(default=None, description="sha256 over weights, configuration and adapter")
    weights: str | None = Field(
        default=None, description="where they came from: a repository and its revision, or a folder's name"
    )
    licence: str | None = Field(default=None, description="licence of its weights or its library, where it is known")
    depth: int | None = Field(default=None, description="number of layers L")
    width: int | None = Field(default=None, description="values a layer D")
    parameters: int | None = Field(
        default=None,
        description="parameters of its networks; null where there are none, or all features came from the store",
    )
    seen: Seen | None = Field(
        default=None,
        description="corpora it was trained on, and with what; unknown where nobody says, and among the corpora where "
        "there are others that nobody names; null for a reference",
    )
    seen_by_parts: dict[str, Literal["audio", "labels"]] = Field(
        default={},
        description="of a fusion whose `seen` is unknown: corpora that some of its parts are known to be trained on",
    )
    counts: dict[str, int] = Field(default={}, description="utterances computed, reused, padded, windowed")
    audio_seconds: float | None = Field(default=None, description="audio of the cell's utterances, s")
    layer_norms: list[float] | None = Field(
        default=None,
        description="L2 norm of each layer's time-mean, mean over the cell's utterances; null without pooled features",
    )

    modality: Modality = Field(default="audio", description="what it reads of an utterance")
    input: str | None = Field(
        default=None,
        description="what it was given: speech, text (gold), text (ASR), speech + text (gold), speech + text (ASR); "
        "null for a reference that reads neither, and in records from before there was this key, which read speech",
    )
    base: str | None = Field(
        default=None, description="upstream that it is a variant, a checkpoint or a random twin of; null: of none"
    )
    draw: int | None = Field(default=None, description="seed of its random weights; null: they are not random")
    ablation: str | None = Field(default=None, description="ablation that it is a variant of")
    variant: str | None = Field(default=None, description="which variant")
    run: str | None = Field(default=None, description="pre-training run that it is a checkpoint of")
    step: int | None = Field(default=None, description="step of that run")
    group_of_runs: str | None = Field(
        default=None,
        description="pre-training runs of one recipe, audio and step that differ in the seed alone have one; null: of "
        "no run, or not known",
    )
    cite: list[str] | None = Field(
        default=None, description="BibTeX keys of its papers; null in records from before there was this key"
    )
    fusion: Literal["early", "late"] | None = Field(
        default=None, description="early: the features of its parts side by side; late: their predictions averaged"
    )
    parts: list[str] = Field(
        default=[], description="upstreams that it is made of: of a fusion, or the one of which it is a layer"
    )


class Downstream(Section):
    name: str = Field(description="name of the head")
    settings: dict[str, JsonValue] = Field(default={}, description="its settings")
    deterministic: bool = Field(description="whether one seed is all there is to it")
    class_weights: str | None = Field(
        default=None,
        description="balanced: the loss weighs classes alike; effective: by their effective numbers; none: utterances; "
        "null: unknown, no classes",
    )
    cite: list[str] | None = Field(
        default=None, description="BibTeX keys of its papers; null in records from before there was this key"
    )
    interpretation: str | None = Field(
        default=None, description="of which paper it is an interpretation, as too little of it is known; null: of none"
    )
    trained: str | None = Field(
        default=None, description="what of the upstream was trained with it: encoder (all), ...; null: it stayed frozen"
    )
    trainable: int | None = Field(
        default=None, description="values that were trained, of encoder and head; null where the upstream stayed frozen"
    )
    hours: float | None = Field(
        default=None,
        description="time of all trainings of all folds and seeds, summed, h; null where the upstream stayed frozen",
    )


class Run(Section):
    seconds: dict[str, float] = Field(
        default={}, description="wall time of each phase, s: load, decode, forward, extract, evaluate"
    )
    peak_memory_mb: float | None = Field(default=None, description="peak resident memory of the process, MB")
    peak_gpu_memory_mb: float | None = Field(
        default=None, description="peak memory of torch on the GPU, MB; null where none was used"
    )
    device: str = Field(description="where the upstream ran")
    processor: str | None = Field(
        default=None,
        description="name of the processor, and of the GPU where there was one: on another one the last digits differ; "
        "null in records from before there was this key",
    )
    versions: dict[str, str] = Field(default={}, description="versions of the packages that matter")
    git_commit: str | None = Field(default=None, description="commit of the working tree, if there is one")
    emorep: str = Field(description="version of this program")
    marks: list[str] = Field(default=[], description="marks of the run alone")


class Score(Section):
    value: float | None = Field(description="the pooled figure, mean over seeds; null where undefined")
    low: float | None = Field(description="lower bound of the 95 % interval; null where it cannot be estimated")
    high: float | None = Field(description="upper bound")
    undefined: int = Field(
        default=0, description="groups without which the figure is undefined; above 0 there is no interval"
    )


class FoldScore(Section):
    fold: str = Field(description="name of the fold")
    n: int = Field(description="utterances tested")
    classes_in_test: int | None = Field(description="classes that its test part has; null for regression")
    metrics: dict[str, float | None] | None = Field(
        description="mean over seeds; null where the task gives pooled figures only"
    )


class Counts(Section):
    n: int = Field(description="utterances tested")
    speakers: int | None = Field(description="speakers tested; null where unknown")
    folds: int = Field(description="folds tested")
    seeds: int = Field(description="seeds")
    groups: int = Field(description="groups that the intervals rest on")


class AgainstClean(Section):
    """Figures of changed audio against the same utterances unchanged, by the same training."""

    unchanged: Score = Field(description="share of the predictions that stay, percent")
    clean: float | None = Field(description="the headline figure on the clean audio")
    change: Score = Field(description="headline figure less that on the clean audio, of the same utterances")


class Scores(Section):
    """All figures that follow from the predictions; `verify` computes them again."""

    intervals: int = Field(
        default=1, description="formula of the intervals: 1, groups less one as degrees of freedom; 2, by their shares"
    )
    counts: Counts = Field(description="what was counted")
    metrics: dict[str, Score] = Field(description="metric: pooled over folds for each seed, then the mean of seeds")
    by_seed: dict[str, list[float | None]] = Field(description="metric: its pooled value for each seed")
    folds: list[FoldScore] = Field(description="every fold alone")
    WA_folds: float | None = Field(description="mean of the folds' WA (SUPERB's figure); null where pooled only")
    recall: dict[str, Score] = Field(description="class: recall, percent; empty for regression")
    pairs: dict[str, Score] = Field(
        default={}, description="emotion: share of its pairs ordered right, percent; of ordinal tasks"
    )
    corpora: dict[str, dict[str, Score]] = Field(
        default={}, description="corpus: every metric on its utterances and classes alone; of joined corpora"
    )
    against_clean: AgainstClean | None = Field(
        default=None, description="of changed audio, what the change does; null for others"
    )
    confusion: list[list[int]] | None = Field(description="counts of the first seed over all folds, row = true class")
    last_layer: dict[str, float | None] | None = Field(
        description="metric: value of the last layer, first seed; null without layers"
    )
    by_layer: list[float | None] | None = Field(
        description="headline metric on test had every fold taken layer l, first seed"
    )


class Chosen(Section):
    layer: int | None = Field(description="layer that most folds chose, from 0; null where the head does not choose")
    dev_by_layer: list[float | None] | None = Field(
        description="select_on metric on dev, mean over folds, for every layer"
    )
    folds: list[dict[str, Plain]] = Field(
        description="fold, seed, and the layer, strength, rate ... chosen, with its dev score"
    )
    layer_weights: list[list[float]] | None = Field(
        default=None,
        description="for each entry of `folds` the weights of the layers that the head learned; null where it has none",
    )
    features: list[dict[str, float]] | None = Field(
        default=None,
        description="for each entry of `folds` the features that the head selected, by name or number, and the norm of "
        "the weights of each; null where it selects none",
    )
    curves: list[dict[str, Plain]] = Field(
        default=[],
        description="of a fine-tuned encoder every scoring of dev: fold, seed, epoch, step, train_loss (what "
        "training minimises), dev_loss (cross-entropy), dev; and metric, that of dev, which records from before there "
        "was this key lack",
    )


class File(Section):
    name: str = Field(description="file beside the record")
    sha256: str = Field(description="of its bytes")
    bytes: int = Field(description="its size")
    rows: int = Field(description="its rows")


class Further(Section):
    """Figures of something else than the task's target; `verify` computes them again."""

    kind: Literal["classification", "ordinal", "sequence"] = Field(description="kind of answers")
    classes: list[str] = Field(description="classes, levels or symbols")
    levels: list[float] = Field(default=[], description="place of each level on a scale from 0 to 1")
    pairs: list[str] = Field(
        default=[], description="columns in which two utterances agree whose order by level is scored"
    )
    headline: str = Field(description="metric that tables show first")
    n: int = Field(description="answers that are scored, of one seed; a probe may test an utterance in several folds")
    groups: int = Field(description="groups that the intervals rest on")
    metrics: dict[str, Score] = Field(description="metric: pooled over folds for each seed, then the mean of seeds")
    by_seed: dict[str, list[float | None]] = Field(description="metric: its pooled value for each seed")
    file: File = Field(description="Parquet of the predictions")


class Files(Section):
    predictions: File = Field(description="Parquet of the predictions")
    vectors: File | None = Field(
        default=None,
        description="Parquet of the pooled features (columns standardised) and first-layer outputs, float16",
    )
    facts: File | None = Field(
        default=None,
        description="Parquet of what the corpus tells of each test utterance besides the columns of the predictions: "
        "intensity, style, session, sentence, age, accent, race, ethnicity; null where it tells none, and in records "
        "from before there was this key",
    )
    held_out: File | None = Field(
        default=None,
        description="Parquet of what the head predicted for training and dev utterances that it was not fitted on: id, "
        "fold, seed, target, score:<class>; null for values, where nothing was held out, and in records from before "
        "there was this key",
    )

    @property
    def all(self) -> list[File]:
        """Every file that there is."""
        return [file for file in (self.predictions, self.vectors, self.facts, self.held_out) if file]


class Record(Section):
    schema_version: Annotated[int, Field(ge=1, le=SCHEMA_VERSION)] = Field(description="version of this schema")
    created: str = Field(description="when it was written, UTC, ISO 8601")
    cell: Cell = Field(description="which cell this is")
    marks: list[str] = Field(description="what a reader must be warned of: union of all marks, sorted")
    scores: Scores = Field(description="all that follows from the predictions")
    chosen: Chosen = Field(description="what the head chose, on training and dev speakers")
    task: Task = Field(description="what was asked")
    upstream: Upstream = Field(description="who answered")
    downstream: Downstream = Field(description="how it was read")
    run: Run = Field(description="where and how fast")
    files: Files = Field(description="what lies beside it")
    further: dict[str, Further] = Field(
        default={}, description="of heads of several targets: figures of each further target, and of probes"
    )
    earlier_runs: list[Run] = Field(
        default=[],
        description="runs that gave some of the seeds, where they differ from `run` in more than times and memory",
    )
    contributor: str | None = Field(
        default=None, description="who brought the record to this board; null: it was measured into these results"
    )
    checksum: str | None = Field(
        default=None, description="sha256 of all the rest, as ASCII JSON with sorted keys and no spaces"
    )
