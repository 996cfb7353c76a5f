"""Where in an utterance there is speech, by Silero VAD, a network that its package brings along."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from upstreams.errors import UpstreamError
from upstreams.fingerprints import version

if TYPE_CHECKING:
    import torch

RATE = 16000  # Hz, of what the network takes
THRESHOLD, LEAST, GAP, MARGIN = 0.5, 250, 100, 30  # probability of speech; ms: shortest speech, shortest gap, margin


def rule() -> str:
    """What decides where there is speech. Raises UpstreamError: the package is not installed."""
    try:
        return f"silero-vad {version('silero-vad')}; {THRESHOLD}, {LEAST}, {GAP}, {MARGIN} ms; 1"
    except ModuleNotFoundError:
        raise UpstreamError(
            "pooling: speech needs the package silero-vad, which is not installed; run: pip install -e .[speech]"
        ) from None


def speech(samples: np.ndarray, rate: int) -> np.ndarray:
    """(n,) bool: the samples in which there is speech. It is computed on the CPU, for one utterance at a time."""
    import torch

    own = samples
    if rate != RATE:
        import soxr

        own = soxr.resample(samples, rate, RATE, quality="HQ")
    chosen = np.zeros(len(samples), dtype=np.bool_)
    for start, end in _detector()(torch.from_numpy(np.ascontiguousarray(own, dtype=np.float32))):
        chosen[round(start * rate / RATE) : round(end * rate / RATE)] = True
    return chosen


@lru_cache(maxsize=1)
def _detector() -> Callable[[torch.Tensor], list[tuple[int, int]]]:
    """A function that gives the first sample of each part with speech, and the one after its last."""
    import torch

    threads = torch.get_num_threads()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the package's own calls
        import silero_vad

        torch.set_num_threads(threads)  # the package sets one thread for the whole process
        network = silero_vad.load_silero_vad()
    lock = Lock()  # the network holds the state of one utterance

    def parts(samples: torch.Tensor) -> list[tuple[int, int]]:
        with lock:
            made = silero_vad.get_speech_timestamps(
                samples,
                network,
                threshold=THRESHOLD,
                sampling_rate=RATE,
                min_speech_duration_ms=LEAST,
                min_silence_duration_ms=GAP,
                speech_pad_ms=MARGIN,
            )
        return [(part["start"], part["end"]) for part in made]

    return parts
