"""Frames of another upstream for the packed speech: a teacher's, which a method learns to predict.

    CACHE/packs/<32 hex>.<12 hex>.frames   (frames, D), see shard_files.py

They are computed once and shared by runs whose teacher and layer are the same. A run takes what they hold besides their
place in the utterance (a third of the variance of Whisper's, which has embeddings of places; a student that gets a part
of an utterance cannot know it), along the axes along which utterances differ most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from commons import hashing
from commons.progress import Progress
from upstreams.errors import UpstreamError
from upstreams.facts import UNKNOWN
from upstreams.inputs.audio import AudioFormat, windows
from upstreams.pretraining.batches import SAMPLE_RATE, Framing, MicroBatch
from upstreams.pretraining.checkpoints import Teacher
from upstreams.pretraining.pack import Pack
from upstreams.pretraining.recipe_sections import TeacherFrames
from upstreams.pretraining.shard_files import mapped

if TYPE_CHECKING:
    from upstreams.frozen import Frozen

VERSION = 1  # of the files
TARGETS = 2  # raise it when something else is made of the same frames: runs of before are then others
LEAST = 1e-6  # share of a variance below which it is rounding
SAMPLE = 2000  # utterances, spread over the pack, whose frames tell means and axes
FEW = 20  # utterances that have to reach a place until its own mean counts as much as that of all frames


class GivenFrames:
    """The frames of a teacher for a pack, made once.

    Attributes:
        teacher: what checkpoints say of it.
        width: values in a frame.
        means: (longest, D) of the teacher's frames at each place in an utterance.
        axes: (D, width), those that are taken.
    """

    def __init__(
        self, pack: Pack, wanted: TeacherFrames, device: str = "cpu", progress: Progress | None = None
    ) -> None:
        """Raises UpstreamError: there is no such upstream or layer, its frames are not finite, or the disk is full;
        shards that are done are kept. Refused, UnknownName: the upstream's name is wrong."""
        model, self.teacher = _loaded(wanted, device)
        self._pack, self._layer = pack, self.teacher["layer"]
        self._shards = []
        self._start, self._counts = np.zeros(len(pack), int), np.zeros(len(pack), int)
        suffix = hashing.of_json([VERSION, model.fingerprint(), self._layer])[:12]
        for index, path in enumerate(pack.paths):
            rows = np.flatnonzero(pack.shard == index)
            made = (self._computed(model, int(row)) for row in rows)
            frames, counts = mapped(path.with_suffix(f".{suffix}.frames"), {}, model.width, len(rows), made)
            self._shards.append(frames)
            self._counts[rows], self._start[rows] = counts, np.cumsum(counts) - counts
            if progress:
                progress(int(rows[-1]) + 1 if len(rows) else 0, len(pack))
        self.width = min(wanted.width, model.width)
        some = np.unique(np.linspace(0, len(pack) - 1, SAMPLE).round().astype(int)).tolist()
        self.means = self._means(some)
        self.axes = self._axes_of(some)

    def of(self, micro: MicroBatch, framing: Framing) -> np.ndarray:
        """(B, T, width) float32: the teacher's frame at the middle of each frame, less the mean at its place, along the
        axes.

        The teacher's frames are taken to be spread evenly over the utterance.
        """
        frames = framing.frames(micro.samples)
        given = np.zeros((len(frames), frames.max(), self.width), np.float32)
        for row, (utterance, start, t) in enumerate(zip(micro.utterances, micro.starts, frames, strict=True)):
            middle = start + np.arange(t) * framing.hop + framing.min_samples / 2
            place = (middle / self._pack.lengths[utterance] * self._counts[utterance]).astype(int)
            own = self.frames(int(utterance))
            place = np.minimum(place, len(own) - 1)
            given[row, :t] = (own[place].astype(np.float32) - self.means[place]) @ self.axes
        return given

    def frames(self, utterance: int) -> np.ndarray:
        """(frames, D) float16: all that the teacher gives for an utterance."""
        start = self._start[utterance]
        shard: np.ndarray = self._shards[self._pack.shard[utterance]]
        return shard[start : start + self._counts[utterance]]

    def centred(self, utterance: int) -> np.ndarray:
        """(frames, D) float32: the same, less the mean at each place."""
        frames = self.frames(utterance)
        less: np.ndarray = frames - self.means[: len(frames)]
        return less

    def _means(self, some: list[int]) -> np.ndarray:
        """(longest, D): the mean of frames at each place in an utterance; where few utterances reach, nearly that of
        all frames."""
        width = self.frames(some[0]).shape[1]
        total, count = np.zeros((self._counts.max(), width)), np.zeros((self._counts.max(), 1))
        for utterance in some:
            frames = self.frames(utterance)
            total[: len(frames)] += frames
            count[: len(frames)] += 1
        means: np.ndarray = (total + FEW * total.sum(0) / count.sum()) / (count + FEW)
        return means.astype(np.float32)

    def _axes_of(self, some: list[int]) -> np.ndarray:
        """(D, width): the axes along which the means of utterances differ most, scaled so that frames vary by 1 along
        each: as with other side targets, none outweighs the others.

        The axes along which frames differ most are those of sounds (docs/pretraining.md compares both). As there may be
        more axes than utterances, a little of how frames differ decides where means do not.
        """
        width = self.means.shape[1]
        of_utterances, count, products = np.zeros((len(some), width)), 0, np.zeros((width, width))
        for row, utterance in enumerate(some):
            frames = self.centred(utterance).astype(np.float64)
            of_utterances[row] = frames.mean(0)
            count, products = count + len(frames), products + frames.T @ frames
        of_utterances -= of_utterances.mean(0)
        within, between = products / count, of_utterances.T @ of_utterances / len(some)
        axes: np.ndarray = np.linalg.eigh(between + LEAST * within)[1][:, ::-1][:, : self.width]
        variances = (within @ axes * axes).sum(0)
        if variances.max() <= 0:
            raise UpstreamError(f"{self.teacher['title']}: its frames are all alike; name another layer or upstream")
        scale = np.sqrt(variances.clip(min=LEAST * variances.max()))
        signs = np.sign(axes[np.abs(axes).argmax(0), np.arange(self.width)])
        return (axes * signs / scale).astype(np.float32)

    def _computed(self, model: Frozen, utterance: int) -> np.ndarray:
        """(frames, D) float16 of an utterance."""
        # Copied, as in extraction: rounding depends on where in memory a waveform begins.
        parts = [torch.tensor(part) for part in windows(self._pack.samples(utterance), model.audio)]
        frames = torch.cat([made[self._layer].float() for part in parts for made in model([part])])
        given = frames.cpu().numpy().astype("<f2")
        if not np.isfinite(given).all():
            raise UpstreamError(
                f"{model.name}: layer {self._layer} of {self._pack.names[utterance]} is not finite in half precision; "
                "name another layer"
            )
        return given


def teacher_of(wanted: TeacherFrames) -> Teacher:
    """What checkpoints say of a teacher. Errors as of GivenFrames, but for those of its frames."""
    return _loaded(wanted, "cpu")[1]


def _loaded(wanted: TeacherFrames, device: str) -> tuple[Frozen, Teacher]:
    """The teacher, and what checkpoints say of it.

    Raises UpstreamError: it gives no frames of 16 kHz audio, or has no such layer; otherwise as upstreams.load.
    """
    import upstreams

    model = upstreams.load(wanted.upstream, device)
    takes = model.takes
    if not isinstance(takes, AudioFormat) or takes.one_frame or takes.sample_rate != SAMPLE_RATE:
        raise UpstreamError(f"{model.name} gives no frames of speech at 16 kHz; name another upstream as teacher")
    layer = model.depth - 1 if wanted.layer is None else wanted.layer
    if layer >= model.depth:
        raise UpstreamError(f"{model.name} has layers 0 to {model.depth - 1}, and no layer {layer}")
    return model, {
        "title": model.title or upstreams.resolve(wanted.upstream).record_name,
        "layer": layer,
        "fingerprint": model.fingerprint(),
        "targets": TARGETS,
        "seen": {UNKNOWN: "audio"} if isinstance(model.seen, str) else dict[str, str](model.seen),
    }
