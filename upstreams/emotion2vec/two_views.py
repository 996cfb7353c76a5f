"""Utterance-level objectives over two views of an utterance: two crops of it, each louder or softer. Not of the paper.

contrastive: of all views in the micro-batch, the network has to find the other view of the same utterance (SimCLR, Chen
    et al. 2020).
distillation: from one view, the student predicts what the teacher gives for the other view, as a distribution over
    learned prototypes; the teacher's is centred and sharpened (DINO, Caron et al. 2021). `apart` keeps utterances of a
    micro-batch at a distance from each other, else small batches collapse (KoLeo, as in DINOv2).

Either makes the time-mean of the last layer independent of the crop and its level. `statistics` works against that: the
same mean also has to predict the mean and deviation of the view's own energy, pitch and voicing.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upstreams.emotion2vec.config import ModelConfig
from upstreams.emotion2vec.model import Emotion2vec
from upstreams.emotion2vec.objective import time_mean
from upstreams.emotion2vec.recipe import Recipe, Views
from upstreams.emotion2vec.sides import statistics
from upstreams.pretraining.batches import SAMPLE_RATE, MicroBatch, Stream, generator
from upstreams.pretraining.meter import moments
from upstreams.pretraining.method import Speech

EPS = 1e-6
TRACKS = 3  # log F0, voicing, log energy; of each a mean and a deviation


@dataclass(frozen=True)
class ViewInputs:
    """Two views of each of B utterances: the first views of all, then the second. `None`: nothing is padded."""

    waveforms: Tensor  # (2 B, n)
    lengths: Tensor  # (2 B,) samples
    valid: Tensor | None  # (2 B, T) True for frames that are no padding
    wanted: Tensor | None  # (2 B, 6) mean and deviation of the tracks; None: they are not predicted

    def to(self, device: torch.device) -> ViewInputs:
        moved = {name: None if t is None else t.to(device, non_blocking=True) for name, t in vars(self).items()}
        return ViewInputs(**moved)


class ViewTerms(NamedTuple):
    """Sums over a micro-batch, not yet divided by the counts of the step."""

    view: Tensor  # over utterances
    statistics: Tensor  # over utterances
    sums: Tensor  # (sizes,) float64: moments of the embeddings; for distillation, the sum of the teacher's scores


def draw(micro: MicroBatch, lengths: np.ndarray, recipe: Recipe, views: Views) -> tuple[MicroBatch, np.ndarray]:
    """Both views of the utterances of a micro-batch, and what each is multiplied by.

    lengths: (B,) samples of the whole utterances: a view may lie outside the part that the other losses take.
    """
    samples = np.minimum(lengths, round(views.seconds * SAMPLE_RATE))
    starts, factors = np.zeros((2, len(lengths)), int), np.ones((2, len(lengths)), np.float32)
    for row, (utterance, spare) in enumerate(zip(micro.utterances, lengths - samples, strict=True)):
        drawn = generator(Stream.VIEWS, recipe.seed, micro.epoch, int(utterance))
        starts[:, row] = drawn.integers(0, spare + 1, 2)
        factors[:, row] = 10 ** (drawn.uniform(-views.gain_db, views.gain_db, 2) / 20)
    both = MicroBatch(micro.epoch, np.tile(micro.utterances, 2), starts.ravel(), np.tile(samples, 2))
    return both, factors.ravel()


def load(speech: Speech, micro: MicroBatch, recipe: Recipe, network: ModelConfig, views: Views) -> ViewInputs:
    """The views of a micro-batch: their audio, and the statistics that they have to predict."""
    both, factors = draw(micro, speech.pack.lengths[micro.utterances], recipe, views)
    frames = network.frames(both.samples)
    valid = torch.from_numpy(np.arange(frames.max()) < frames[:, None])
    wanted = None
    if views.statistics and speech.tracks is not None:
        tracks = torch.from_numpy(speech.tracks.of(both, network, factors))
        wanted = statistics(tracks, valid)[:, : 2 * TRACKS]  # without the mean change
    waveforms = torch.from_numpy(speech.waveforms(both, factors))
    return ViewInputs(waveforms, torch.from_numpy(both.samples), None if valid.all() else valid, wanted)


class Head(nn.Module):
    """Time-mean of the last layer -> embedding of length 1; for distillation, -> a score for each prototype."""

    def __init__(self, views: Views, dim: int) -> None:
        super().__init__()
        self.projector = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, views.width))
        if views.kind == "distillation":
            self.prototypes = nn.Parameter(torch.randn(views.prototypes, views.width))

    def forward(self, means: Tensor) -> Tensor:
        return F.normalize(self.projector(means).float(), dim=-1)

    def scores(self, embedding: Tensor) -> Tensor:
        """(N, prototypes): cosine of the embedding with each prototype."""
        return embedding @ F.normalize(self.prototypes, dim=-1).T


class ViewHeads(nn.Module):
    """What only these objectives use; no checkpoint holds it. The teacher's head is an average, as the teacher is."""

    def __init__(self, views: Views, dim: int) -> None:
        super().__init__()
        self.student = nn.ModuleDict({"head": Head(views, dim)})
        if views.statistics:
            self.student["statistics"] = nn.Linear(dim, 2 * TRACKS)
        if views.kind == "distillation":
            self.teacher = copy.deepcopy(self.student["head"]).requires_grad_(False)
            self.register_buffer("centre", torch.zeros(views.prototypes))

    @torch.no_grad()
    def follow(self, decay: float, momentum: float, mean: Tensor) -> None:
        """Move the teacher's head after the student's, and the centre towards the mean of the teacher's scores."""
        torch._foreach_lerp_(list(self.teacher.parameters()), list(self.student["head"].parameters()), 1 - decay)
        self.centre.lerp_(mean.to(self.centre.dtype), 1 - momentum)


def sizes(views: Views) -> tuple[int, int]:
    """How many values of `ViewTerms.sums` are moments, and how many are scores."""
    return 2 * views.width, views.prototypes if views.kind == "distillation" else 0


def terms(student: Emotion2vec, teacher: Emotion2vec, heads: ViewHeads, inputs: ViewInputs, views: Views) -> ViewTerms:
    """The losses of a micro-batch of views."""
    features, _ = student.local(inputs.waveforms, inputs.lengths)
    means = pooled(student, features, inputs.valid)
    embedding = heads.student["head"](means)
    sums = moments(embedding * views.width**0.5).flatten()  # a spread of about 1 where embeddings fill their space
    if views.kind == "contrastive":
        loss = contrastive(embedding, views.temperature)
    else:
        with torch.no_grad():
            scores = heads.teacher.scores(heads.teacher(pooled(teacher, features.detach(), inputs.valid)))
        predicted = heads.student["head"].scores(embedding)
        loss = distillation(predicted, scores - heads.centre, views.temperature, views.teacher_temperature)
        loss = loss + views.apart * crowding(embedding)
        sums = torch.cat([sums, scores.sum(0, dtype=torch.float64)])
    error = torch.zeros((), device=means.device)
    if inputs.wanted is not None:
        error = (heads.student["statistics"](means).float() - inputs.wanted).square().mean(1).sum() / 2
    return ViewTerms(loss, error, sums)


def pooled(network: Emotion2vec, features: Tensor, valid: Tensor | None) -> Tensor:
    """(N, D): the time-mean of the last layer, of local features (N, T, D) of which none is masked."""
    positions = torch.arange(features.shape[1], device=features.device)[None]
    last = network.encode(network.positioned(features, valid), positions, valid).hidden[-1]
    return last.mean(1) if valid is None else time_mean(last, valid)


def contrastive(embedding: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of finding the other view among all others of the micro-batch, summed over utterances.

    embedding: (2 B, D) of length 1, the first views of all utterances, then the second.
    """
    count = len(embedding)
    likeness = embedding @ embedding.T / temperature
    likeness = likeness.masked_fill(torch.eye(count, dtype=torch.bool, device=embedding.device), -torch.inf)
    other = torch.arange(count, device=embedding.device).roll(count // 2)
    return F.cross_entropy(likeness, other, reduction="sum") / 2


def crowding(embedding: Tensor) -> Tensor:
    """How close each utterance is to its nearest neighbour: -log of the distance, averaged over both views, summed over
    utterances (KoLeo, Sablayrolles et al. 2019; DINOv2 uses it too). Without it, small batches soon collapse.
    """
    total = torch.zeros((), device=embedding.device)
    if len(embedding) < 4:  # one utterance has no neighbour
        return total
    for view in embedding.chunk(2):
        with torch.no_grad():
            likeness = (view @ view.T).fill_diagonal_(-1)
        nearest = view[likeness.argmax(1)]
        total = total - (F.pairwise_distance(view, nearest) + EPS).log().sum() / 2
    return total


def distillation(predicted: Tensor, given: Tensor, temperature: float, teacher_temperature: float) -> Tensor:
    """Cross-entropy between the teacher's distribution for one view and the student's for the other, summed over
    utterances; both are (2 B, prototypes) scores, those of the teacher already centred."""
    target = (given / teacher_temperature).softmax(1).roll(len(given) // 2, 0)
    return -(target * (predicted / temperature).log_softmax(1)).sum() / 2
