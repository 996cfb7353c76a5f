"""Features of several upstreams side by side, read from each of them when they are indexed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt

from commons.corridors.features import Features, Frames, Index, Pooled, together
from upstreams.extraction.stored_features import axes
from upstreams.identity import Identity


def features(identity: Identity, parts: Sequence[Features], needs: frozenset[str]) -> Features:
    """The features of a fusion, or of one layer, from those of its parts."""
    number, depth = identity.named.layer, identity.depth
    layers = [
        [paired(layer, depth, part.depth) if number is None else number for layer in range(depth)] for part in parts
    ]
    frames = None
    pooled = {
        need: PooledParts([cast(Pooled, part.pooled_for([need])) for part in parts], layers)
        for need in sorted(needs)
        if need.startswith("pooled")
    }
    if wanted := {"frames:last", "frames:all"} & needs:
        kept = tuple(range(depth)) if "frames:all" in wanted else (depth - 1,)
        own = [[of[layer] for layer in kept] for of in layers]
        steps = [cast(float, part.step) for part in identity.parts] if len(parts) > 1 else [math.inf]
        frames = FrameParts([cast(Frames, part.frames) for part in parts], own, steps, kept)
    counts: dict[str, int] = {}
    if any(part.counts for part in parts):  # else the store has nothing of them: networks that are trained
        made, padded, windowed = (
            max(part.counts.get(name, 0) for part in parts) for name in ("computed", "padded", "windowed")
        )
        counts = {"computed": made, "reused": len(parts[0].ids) - made, "padded": padded, "windowed": windowed}
    return Features(
        ids=parts[0].ids,
        upstream=identity.named.name,
        fingerprint=identity.fingerprint,
        precision=identity.precision,
        device=max(parts, key=lambda part: part.device != "cpu").device,
        depth=depth,
        width=identity.width,
        pooled=pooled.pop("pooled", None),
        frames=frames,
        counts=counts,
        seconds={phase: sum(part.seconds.get(phase, 0.0) for part in parts) for phase in parts[0].seconds},
        audio_seconds=parts[0].audio_seconds,
        parameters=together((part.parameters, part.counts) for part in parts),
        parts=tuple(part.width for part in parts) if len(parts) > 1 else (),
        pooled_over=pooled,
    )


def paired(layer: int, depth: int, own: int) -> int:
    """The layer of a part with `own` layers at the relative depth of layer `layer` of `depth`."""
    return 0 if depth == 1 else (2 * layer * (own - 1) + depth - 1) // (2 * (depth - 1))


class PooledParts:
    """Pooled features of parts, (N, 2, L, sum of D), indexed like numpy; `layers` (parts, L) are those of each part."""

    dtype = np.dtype(np.float32)
    ndim = 4

    def __init__(self, parts: Sequence[Pooled], layers: Sequence[Sequence[int]]) -> None:
        self._parts, self._layers = parts, layers
        self.shape: tuple[int, ...] = (len(parts[0]), 2, len(layers[0]), sum(part.shape[3] for part in parts))

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)

    def __getitem__(self, index: Index) -> np.ndarray:
        """Rows: integer, slice, integer or boolean array; stat, layer and column: integers or slices."""
        rows, stat, layer, column = axes(index)
        chosen = range(self.shape[2])[layer]
        if isinstance(chosen, int):
            return self._layer(rows, stat, chosen)[..., column]
        return np.stack([self._layer(rows, stat, one) for one in chosen], axis=-2)[..., column]

    def _layer(self, rows: int | slice | np.ndarray, stat: int | slice, layer: int) -> np.ndarray:
        pairs = zip(self._parts, self._layers, strict=True)
        return np.concatenate([part[rows, stat, own[layer]] for part, own in pairs], axis=-1)


class FrameParts:
    """Frames of parts, each (T_i, L', sum of D) float16, aligned to the part with the longest step between frames.

    An utterance has as many frames as that part gives it, or the shortest of several parts with this step.
    """

    def __init__(
        self, parts: Sequence[Frames], layers: Sequence[Sequence[int]], steps: Sequence[float], kept: tuple[int, ...]
    ) -> None:
        """
        Args:
            layers: (parts, L') layers of each part, of all that it has.
            steps: seconds between frames of each part; infinite: one frame for each utterance.
            kept: the L' layers of the whole.
        """
        self.layers = kept
        self._parts, self._steps, self._step = parts, steps, max(steps)
        self._own = [[part.layers.index(one) for one in own] for part, own in zip(parts, layers, strict=True)]
        lengths = [np.diff(part.offsets) for part, step in zip(parts, steps, strict=True) if step == self._step]
        self.offsets = np.concatenate([[0], np.cumsum(np.min(lengths, axis=0))]).astype(np.int64)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> np.ndarray:
        count = int(self.offsets[index + 1] - self.offsets[index]) if index >= 0 else self._last(index)
        pieces = [
            aligned(part[index][:, own], step, self._step, count)
            for part, own, step in zip(self._parts, self._own, self._steps, strict=True)
        ]
        return np.concatenate(pieces, axis=-1)

    def _last(self, index: int) -> int:
        return int(np.diff(self.offsets)[index])


def aligned(fine: np.ndarray, step: float, longest: float, count: int) -> np.ndarray:
    """(count, L, D): for each frame of `longest` seconds the mean of the frames (T, L, D) whose centres lie within it.

    Where none does, after the end of the shorter one, the last frame.
    """
    if step == longest:
        return fine[:count]
    if math.isinf(longest):
        return fine.mean(axis=0, dtype=np.float64, keepdims=True).astype(fine.dtype)
    bounds = np.searchsorted(owners(len(fine), step, longest), np.arange(count + 1))
    sums = np.concatenate([np.zeros((1, *fine.shape[1:])), np.cumsum(fine, axis=0, dtype=np.float64)])
    sizes = np.diff(bounds)
    means = (sums[bounds[1:]] - sums[bounds[:-1]]) / np.maximum(sizes, 1)[:, None, None]
    return np.where((sizes > 0)[:, None, None], means, fine[-1]).astype(fine.dtype)


def owners(frames: int, step: float, longest: float) -> np.ndarray:
    """(frames,) int64: of frames `step` apart, the frame of `longest` seconds within which each has its centre."""
    if math.isinf(longest):
        return np.zeros(frames, dtype=np.int64)
    return np.floor((np.arange(frames) + 0.5) * step / longest + 1e-9).astype(np.int64)
