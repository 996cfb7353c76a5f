"""Features without an upstream, for programs that time heads."""

import numpy as np

from commons.corridors.features import Features, Frames


def features(ids: np.ndarray, pooled: np.ndarray | None = None, frames: Frames | None = None) -> Features:
    """Features of the utterances `ids` with these parts: pooled (N, S, L, D), or frames."""
    depth, width = (1, frames[0].shape[-1]) if pooled is None else pooled.shape[2:]
    return Features(
        ids=ids,
        upstream="made up",
        fingerprint="",
        precision="fp32",
        device="cpu",
        depth=depth,
        width=width,
        pooled=pooled,
        frames=frames,
        counts={},
        seconds={},
        audio_seconds=0.0,
        parameters=None,
    )
