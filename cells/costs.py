"""What jobs cost: seconds of one core, bytes that are kept. Constants come from earlier records, else are defaults.

The defaults were measured on one core of an AMD EPYC with AVX-512 (docs/scale.md). An estimate may be wrong by a factor
of three: it is made for packing jobs and for a look ahead.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from statistics import mean, median
from typing import TYPE_CHECKING

import downstreams
from cells.components import components
from cells.jobs import Extract, Job, Late, Measure, Pretrain, Train

if TYPE_CHECKING:
    from commons.corridors.record import Record
    from tasks.task import Task
    from upstreams import Identity

# Seconds of a core for a second of audio, or for a text.
EXTRACTION = {"fbank": 0.001, "mfcc": 0.001, "loudness": 0.001, "prosody": 0.008, "opensmile": 0.015,
              "opensmile_compare": 0.02, "text_ngrams": 0.0002}  # fmt: skip
UNKNOWN = 0.01  # of upstreams that are no networks
NETWORK = 2.5e-9  # of a network, for each of the 12 L D^2 values that L layers of width D have
DECODING = 0.002
TEXT_SECONDS = 1.0  # a text costs a network about what this many seconds of audio do
# Of a head, for every fold, seed and utterance: seconds, and seconds for each value that is read of the utterance.
HEADS = {"probe": (1e-4, 1e-6), "probe_stats": (1e-4, 2e-6), "last_four": (1e-4, 1e-6), "selected": (1e-2, 2e-5),
         "superb": (7e-4, 1e-6),
         "emotion2vec": (2e-2, 0.0), "attentive": (5e-2, 0.0), "speecheq": (1e-1, 0.0),
         "ecapa": (2e-1, 0.0), "mscnn": (2e-1, 0.0),
         "context_gru": (5e-3, 1e-6),
         "recent_gru": (5e-3, 1e-6), "dialogue_rnn": (2.6e-2, 1e-6), "no_context": (3e-3, 1e-6)}  # fmt: skip
OTHER_HEAD = (1e-2, 1e-6)
REFERENCE = 3e-4
TRAINING = 3.0  # times the cost of a forward pass: what a step of a network costs
PRETRAINING = 3600.0  # s of a variant of an ablation, of which nothing is known: a parcel of its own
CELL = 0.1  # s that a cell costs whatever is in it: opening features, scoring, writing
GPU = 50.0  # times as fast as a core a GPU is taken to be for packing jobs; not measured


@dataclass(frozen=True)
class Size:
    """How large a task is.

    Attributes:
        utterances: their number; seconds: of audio, 0 where there is none; folds: their number, over all draws.
        corpus: tasks with the same value share audio files.
        files: distinct utterances with the seconds of each; what two tasks share is extracted once.
        trained: utterances that training parts hold, which is what a head costs by; None: all.
        each: utterances that a fold trains on, in the mean; None: all.
    """

    utterances: int
    seconds: float
    folds: int
    corpus: str = ""
    files: Mapping[str, float] | None = None
    trained: int | None = None
    each: int | None = None

    @property
    def trains(self) -> int:
        """Utterances by which a head costs."""
        return self.utterances if self.trained is None else self.trained


def size(task: Task) -> Size:
    """The size of a task."""
    table, problem = task.utterances, task.problem
    durations = table["duration"].tolist() if "duration" in table else [0.0] * len(table)
    names = table["samples_sha256"].tolist() if "samples_sha256" in table else [f"{task.name} {i}" for i in table.index]
    if "perturbation" in table:  # changed audio is extracted beside the clean one
        changes = table["perturbation"].fillna("")
        names = [name if not change else f"{name}~{change}" for name, change in zip(names, changes, strict=True)]
    files = dict(zip(names, durations, strict=True))
    trained = len(set().union(*(fold.train.tolist() for fold in problem.folds)))  # changed audio is tested alone
    each = round(mean(len(fold.train) for fold in problem.folds))
    return Size(len(table), sum(durations), len(problem.folds), files=files, trained=trained, each=each)


@dataclass(frozen=True)
class Estimate:
    """What a job costs.

    Attributes:
        seconds: of one core.
        gpu: whether a GPU would do it, if there is one.
        kept: bytes of files that stay.
    """

    seconds: float
    gpu: bool = False
    kept: float = 0.0


class Costs:
    """Constants of the model, and what earlier records say of them."""

    def __init__(self) -> None:
        self._extraction: dict[str, list[float]] = defaultdict(list)  # seconds for a second of audio
        self._heads: dict[str, list[float]] = defaultdict(list)  # times what the defaults say
        self._shared: dict[tuple[str, tuple[str, ...]], tuple[int, float]] = {}  # of tasks after others, see _more
        self.records = 0

    def learn(self, records: Iterable[Record]) -> None:
        """Take the times of earlier records for those of the same upstreams and heads."""
        for record in records:
            self.records += 1
            faster = 1.0 if record.run.device == "cpu" else GPU  # estimates are of a core
            upstream, spent, counts = record.upstream, record.run.seconds, record.scores.counts
            phases = sum(spent.get(phase, 0.0) for phase in ("decode", "forward", "write"))
            whole = not upstream.counts.get("reused") and upstream.counts.get("computed")
            if whole and upstream.audio_seconds and phases:
                self._extraction[_base(record.cell.upstream)].append(faster * phases / upstream.audio_seconds)
            # Records of changed audio name the time of the training that they share.
            if "evaluate" in spent and upstream.depth and upstream.width and not record.cell.training:
                values = upstream.depth * upstream.width
                guess = _evaluation(record.cell.downstream, counts.folds * counts.seeds * counts.n, values)
                self._heads[record.cell.downstream].append(spent["evaluate"] / max(guess, 1e-9))

    def known(self, upstream: str) -> bool:
        """Whether a record says how long this upstream takes."""
        return bool(self._extraction.get(_base(upstream)))

    def extraction(self, upstream: Identity) -> float:
        """Seconds of a core that an upstream takes for a second of audio, or for a text; a fusion what its parts do."""
        if upstream.parts:
            return sum(map(self.extraction, upstream.parts))
        name = _base(upstream.named.record_name)
        if own := self._extraction.get(name):
            return median(own)
        text = upstream.modality == "text"
        if name in EXTRACTION:
            return EXTRACTION[name]
        if not upstream.movable:
            return UNKNOWN
        network = NETWORK * 12 * upstream.depth * upstream.width**2
        return network * TEXT_SECONDS if text else network + DECODING

    def of(self, jobs: Iterable[Job], sizes: Mapping[str, Size]) -> dict[str, Estimate]:
        """The estimate of every job, by its id. What several extractions of an upstream share counts once."""
        estimates: dict[str, Estimate] = {}
        before: dict[tuple[str, str], list[str]] = defaultdict(list)  # tasks extracted, by upstream and kind
        jobs = list(jobs)
        trainings = {job.id for job in jobs if isinstance(job, Train)}
        for job in jobs:
            if isinstance(job, Extract):
                estimates[job.id] = self._extract(job, sizes, before)
            elif isinstance(job, Late):
                estimates[job.id] = Estimate(CELL + 1e-5 * sizes[job.task].utterances * len(job.seeds), kept=2e4)
            elif isinstance(job, Train):
                estimates[job.id] = Estimate(self._training(job.of, job.fits, sizes[job.task]), gpu=True)
            elif isinstance(job, Pretrain):
                estimates[job.id] = Estimate(PRETRAINING, gpu=True)
            else:
                estimates[job.id] = self._cell(job, sizes[job.task], trained=not trainings.isdisjoint(job.after))
        return estimates

    def _extract(self, job: Extract, sizes: Mapping[str, Size], before: dict[tuple[str, str], list[str]]) -> Estimate:
        who, amounts, kept = job.upstream, [0.0], 0.0
        for kind in job.needs:
            earlier = before[who.fingerprint, kind]
            order = job.task, tuple(earlier)
            if order not in self._shared:  # most upstreams are planned on the same tasks in the same order
                self._shared[order] = _more(job.task, earlier, sizes)
            utterances, seconds = self._shared[order]
            earlier.append(job.task)
            amounts.append(utterances if who.modality == "text" else seconds)
            kept += _stored(who, kind, utterances, seconds)
        part = 1 / job.parts
        return Estimate(part * (self.extraction(who) * max(amounts)), who.movable, part * kept)

    def _training(self, job: Measure, fits: int, own: Size) -> float:
        """Seconds of the long trainings of a cell's head, `fits` of them, with their second stages."""
        assert job.upstream is not None
        each = TEXT_SECONDS if job.upstream.modality == "text" else own.seconds / max(1, own.utterances)
        utterances, untrained = own.utterances if own.each is None else own.each, job.upstream.seen == {}
        steps = sum(
            downstreams.uses(job.reader, utterances, part.depth - 1, untrained) * self.extraction(part)
            for part in job.upstream.parts or (job.upstream,)
        )
        then = downstreams.second_head(job.reader)
        return fits * (steps * each * TRAINING + (_evaluation(then, own.trains, 0) if then else 0.0))

    def _cell(self, job: Measure, own: Size, trained: bool) -> Estimate:
        """`trained`: its long trainings are jobs of their own."""
        kept = 2e4 + 60.0 * own.utterances * len(job.seeds)  # record and predictions
        if job.upstream is None:
            return Estimate(CELL + REFERENCE * own.utterances * own.folds, kept=kept)
        fits = own.folds * len(job.seeds)
        if job.reader.resumes:
            return Estimate(CELL + (0.0 if trained else self._training(job, fits, own)), not trained, kept)
        factor = median(self._heads.get(job.reader.name) or [1.0])
        values = job.upstream.depth * job.upstream.width
        kept += 2.0 * own.utterances * job.upstream.width  # vectors for pictures
        guess = _evaluation(job.reader.head, fits * own.trains, values)
        return Estimate(CELL + factor * guess, not job.reader.deterministic, kept)


def _evaluation(head: str, times: int, values: int) -> float:
    base, each = HEADS.get(head.partition("@")[0], OTHER_HEAD)
    return times * (base + each * values)


def _base(name: str) -> str:
    """The name without the draw of random weights and without a file: draws of one network cost the same."""
    return name.partition("@")[0]


def _more(task: str, earlier: list[str], sizes: Mapping[str, Size]) -> tuple[int, float]:
    """Utterances and seconds of audio of a task that earlier tasks do not have."""
    own = sizes[task]
    related = [sizes[name].files for name in earlier if sizes[name].corpus == own.corpus]
    if own.files is None or not related:
        return own.utterances, own.seconds
    left = [seconds for name, seconds in own.files.items() if not any(files and name in files for files in related)]
    return len(left), sum(left)


def _stored(upstream: Identity, kind: str, utterances: int, seconds: float) -> float:
    """Bytes that the store keeps of some utterances."""
    if kind.startswith("pooled"):
        return 8.0 * utterances * upstream.depth * upstream.width
    layers = upstream.depth if kind == "frames:all" else 1
    frames = seconds / upstream.step if upstream.step else 40.0 * utterances
    return 2.0 * max(frames, utterances) * layers * upstream.width


def joined(sizes: Mapping[str, Size]) -> dict[str, Size]:
    """The sizes with `corpus` set: the name of the first task with which a task shares audio, over any others."""
    first = {
        name: group[0] for group in components(list(sizes), lambda name: sizes[name].files or ()) for name in group
    }
    return {name: replace(own, corpus=first[name]) for name, own in sizes.items()}
