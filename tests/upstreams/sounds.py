"""Audio files, utterance tables and small upstreams for the tests of this room."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

import upstreams
from commons.corridors.features import Features
from commons.progress import Progress
from upstreams import Extraction
from upstreams.extraction import chunk_jobs, pooling
from upstreams.extraction.models import Models
from upstreams.extraction.store import Kept, Store
from upstreams.frozen import Frozen
from upstreams.inputs.audio import segments

ROOT = Path(__file__).resolve().parents[2]

# The time-domain energy of every hop, in two layers: exact, fast, and additive over windows.
ENERGY = """
import torch

class Energy:
    sample_rate, hop, depth, width = 16000, 160, 2, 3
    min_samples = 160

    def __call__(self, waveforms):
        frames = torch.stack([w[: len(w) // 160 * 160].reshape(-1, 160) for w in waveforms])
        values = torch.stack([frames.square().mean(2), frames.abs().mean(2), frames[..., 0]], dim=-1)
        return list(torch.stack([values, 10 * values], dim=1))
"""

# A network of one layer, 10 ms a frame.
SOUND = """
import torch


class Sound(torch.nn.Module):
    sample_rate, hop, depth, width, min_samples, seen = 16000, 160, 1, 4, 160, {}

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.layer = torch.nn.Linear(160, 4)

    def forward(self, waveforms):
        return [self.layer(w.unfold(0, 160, 160))[None] for w in waveforms]
"""

# wav2vec 2.0 with two blocks of width 32, called by a name as users' files are.
TINY = """
from upstreams.huggingface.factories import random

def tiny():
    return random("wav2vec2_base", small=True)
"""


def before_frames(line: str) -> str:
    """ENERGY with a line of its own in the call."""
    return ENERGY.replace("        frames =", f"        {line}\n        frames =")


def with_init(line: str) -> str:
    """ENERGY with a constructor, `def __init__(self...): ...`."""
    return ENERGY.replace("    min_samples", f"    {line}\n    min_samples")


SLOW = before_frames("import time; time.sleep(0.02)")


def noise(seconds: float, seed: int = 0, rate: int = 16000) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.05, round(seconds * rate)).astype(np.float32)


def tone(hertz: float, seconds: float = 1.0, rate: int = 16000) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def table(paths: list[Path], **columns: list) -> pd.DataFrame:
    """Utterances as the tasks' room hands them over: one a path, ids u0, u1, ..."""
    facts = {
        "path": [str(path) for path in paths],
        "sha256": [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths],
        "duration": [soundfile.info(path).duration for path in paths],
    }
    index = pd.Index([f"u{i}" for i in range(len(paths))], name="id")
    return pd.DataFrame({**facts, **columns}, index=index)


def write(path: Path, waveform: np.ndarray, rate: int = 16000) -> Path:
    """A float WAV file whose bytes depend on the samples alone: libsndfile stamps the time into its PEAK chunk."""
    soundfile.write(path, waveform, rate, subtype="FLOAT")
    content = bytearray(path.read_bytes())
    stamp = content.index(b"PEAK") + 12  # after the chunk's name, size and version
    content[stamp : stamp + 4] = bytes(4)
    path.write_bytes(content)
    return path


def speak(folder: Path, waveforms: list[np.ndarray], rate: int = 16000) -> pd.DataFrame:
    """Write waveforms (samples,) or (samples, channels) as float WAV files and give their table."""
    return table([write(folder / f"{number}.wav", waveform, rate) for number, waveform in enumerate(waveforms)])


def words(texts: list[str]) -> pd.DataFrame:
    """Utterances of a corpus without audio: texts alone."""
    return pd.DataFrame({"text": texts}, index=pd.Index([f"u{i}" for i in range(len(texts))], name="id"))


def plugin(folder: Path, source: str, name: str = "Energy") -> str:
    """Write an upstream's file and give its name."""
    path = folder / f"{name.lower()}.py"
    path.write_text(source)
    return f"{path}:{name}"


def extract(
    name: str,
    utterances: pd.DataFrame,
    needs: Iterable[str],
    cache: Path,
    device: str = "cpu",
    jobs: int = 1,
    precision: str = "fp32",
    progress: Progress | None = None,
    models: Models | None = None,
    chunk: int = 0,
) -> Features:
    """Features of a name's upstream, as it is now."""
    identity = upstreams.identify(upstreams.resolve(name), precision, models)
    return upstreams.extract(identity, utterances, needs, Extraction(cache, device, jobs, chunk), progress, models)


def extract_in_batches(
    name: str,
    utterances: pd.DataFrame,
    kind: str,
    cache: Path,
    limits: chunk_jobs.Limits,
    upstream: Frozen | None = None,
) -> Features:
    """Features made in one job with batches of such a size, whatever the device.

    upstream: what runs in place of the name's upstream, and stores its features under that upstream's fingerprint.
    """
    identity = upstreams.identify(upstreams.resolve(name))
    who = identity
    kept = Kept(who.named.name, who.fingerprint, who.precision, kind, who.depth, who.width, pooling.rule(kind))
    Store(cache, kept).prepare()
    job = chunk_jobs.Job(tuple(segments(utterances)), (kept,))
    chunk_jobs.run(job, upstream or upstreams.load(name), cache, limits=limits)
    features = upstreams.extract(identity, utterances, {kind}, Extraction(cache, "cpu", 1))
    assert features.counts["computed"] == 0
    return features
