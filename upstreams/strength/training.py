"""From a table of emotions to a network that scores strength."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from commons import hashing
from commons.bf16 import autocast
from commons.device import bf16_pays
from upstreams.errors import UpstreamError
from upstreams.inputs.audio import Segment, decode
from upstreams.pretraining.batches import SAMPLE_RATE
from upstreams.pretraining.recipe_sections import Optimiser
from upstreams.strength.model import Config, Output, StrengthNet, colour, log_mel, padded
from upstreams.strength.settings import Settings
from upstreams.strength.table import NEUTRAL
from upstreams.strength.variation import varied

if TYPE_CHECKING:
    from upstreams.extraction import Extraction

CLIP = 5.0  # norm of the gradients
FUNCTIONALS = "opensmile"  # the upstream whose values are ranked


@dataclass(frozen=True)
class Epoch:
    """What an epoch ends with: the mean loss in training, and errors on speakers held out."""

    number: int
    loss: float
    error: float  # mean absolute error of utterances' strengths
    constant: float  # the same of the training mean, which is what guessing gives
    best_constant: float  # the same of their own median, which no guess knows
    accuracy: float  # of the emotion
    best: bool  # whether no epoch before it had as small an error


def audio_of(table: pd.DataFrame, jobs: int) -> pd.DataFrame:
    """The table as extraction takes it: with hashes and durations. Raises UpstreamError for a file that is no audio."""
    import soundfile

    def facts(path: str) -> tuple[str, float]:
        try:
            return hashing.of_file(Path(path)), float(soundfile.info(path).duration)
        except (OSError, soundfile.LibsndfileError) as error:
            raise UpstreamError(f"{path}: cannot be decoded ({error}); leave it out of the table") from error

    with ThreadPoolExecutor(jobs) as pool:
        digests, seconds = zip(*pool.map(facts, table["path"]), strict=True)
    whole = table.assign(sha256=digests, duration=seconds)
    return whole.set_index(pd.Index([str(i) for i in range(len(whole))], name="id"))


def functionals(audio: pd.DataFrame, options: Extraction) -> np.ndarray:
    """(N, 88) openSMILE's functionals of all utterances, which the store keeps."""
    from commons.places import Places
    from upstreams import registry
    from upstreams.extraction.extract import extract
    from upstreams.extraction.models import Models
    from upstreams.identity import identify

    models, named = Models(), registry.resolve(FUNCTIONALS, Places())
    identity = identify(named, *models.current(named, "fp32"))
    pooled = extract(identity, audio, ["pooled"], options, None, models).pooled
    assert pooled is not None  # it was asked for
    return np.asarray(pooled[:, 0, 0])


def spectra(audio: pd.DataFrame) -> list[torch.Tensor]:
    """Log-mel energies of every utterance relative to its speaker's neutral ones, or to all where there are none.

    All are kept in memory, in half precision.
    """
    rows = zip(audio["path"], audio["sha256"], strict=True)
    waveforms = (decode(Segment(path, sha256, None, None, None, 0.0), SAMPLE_RATE) for path, sha256 in rows)
    mels = [log_mel(torch.from_numpy(waveform)).half() for waveform in waveforms]
    neutral = (audio["emotion"] == NEUTRAL).to_numpy()
    for _, own in audio.reset_index().groupby("speaker").groups.items():
        mean = colour(mels[row] for row in own[neutral[own]].tolist() or own)
        for row in own:
            mels[row] = (mels[row].float() - mean).half()
    return mels


def fit(
    mels: list[torch.Tensor],
    wanted: np.ndarray,
    emotions: pd.Series,
    held_out: np.ndarray,
    settings: Settings,
    watch: Callable[[Epoch, StrengthNet], None],
) -> StrengthNet:
    """The network of the last epoch; with `patience`, of the one with the smallest error on held-out speakers.

    `watch` is called after each epoch, with the network as it is then. Raises UpstreamError where the training
    diverges.
    """
    torch.manual_seed(settings.seed)
    classes = tuple(sorted(set(emotions)))
    network = StrengthNet(Config(classes, settings.channels, dropped=settings.dropped, dropout=settings.dropout))
    optimiser = torch.optim.AdamW(network.parameters(), settings.rate, weight_decay=settings.decay)
    strength = torch.from_numpy(wanted).float()
    emotion = torch.tensor([classes.index(one) for one in emotions])
    train, dev = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    constant, best_constant = (
        float((strength[dev] - one).abs().mean()) for one in (strength[train].mean(), strength[dev].median())
    )
    best, smallest, since = copy.deepcopy(network.state_dict()), float("inf"), 0
    rng, rates = np.random.default_rng(settings.seed), _rates(settings, len(train))
    for number in range(1, settings.epochs + 1):
        losses = []
        for rows in _batches(train, mels, settings, number):
            whole = [mels[row].float() for row in rows]
            mel, frames = padded([varied(one, rng) for one in whole] if settings.varied else whole)
            with autocast("cpu", bf16_pays("cpu")):
                output = Output(*(own.float() for own in network.train()(mel, frames)))
            loss = _loss(output, frames, strength[rows], emotion[rows])
            if not loss.isfinite():
                raise UpstreamError(f"epoch {number}: the loss is no number; train with another --seed")
            optimiser.param_groups[0]["lr"] = next(rates)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
            optimiser.step()
            losses.append(loss.item())
        error, accuracy = _errors(network.eval(), dev, mels, strength, emotion, settings)
        since += 1
        if error < smallest:
            best, smallest, since = copy.deepcopy(network.state_dict()), error, 0
        watch(Epoch(number, float(np.mean(losses)), error, constant, best_constant, accuracy, since == 0), network)
        if since == settings.patience:
            break
    if settings.patience is not None:
        network.load_state_dict(best)
    return network.eval()


def _rates(settings: Settings, utterances: int) -> Iterator[float]:
    """The learning rate of each step: constant where patience ends the training, else a rise and half a cosine."""
    steps = settings.epochs * -(-utterances // settings.batch)
    if settings.patience is not None:
        return repeat(settings.rate, steps)
    return map(Optimiser(steps=steps, rate=settings.rate, warmup=0.1, schedule="cosine").rate_at, range(steps))


def _loss(output: Output, frames: torch.Tensor, strength: torch.Tensor, emotion: torch.Tensor) -> torch.Tensor:
    """MAE of utterances, MAE of frames against the utterance's strength, cross-entropy of the emotion: 1:1:1."""
    valid = torch.arange(output.frames.shape[1]) < frames[:, None]
    of_frames = ((output.frames - strength[:, None]).abs() * valid).sum(1) / frames
    return (output.strength - strength).abs().mean() + of_frames.mean() + F.cross_entropy(output.emotion, emotion)


@torch.inference_mode()
def _errors(
    network: StrengthNet, rows: np.ndarray, mels: list[torch.Tensor], strength: torch.Tensor, emotion: torch.Tensor,
    settings: Settings,
) -> tuple[float, float]:  # fmt: skip
    """Mean absolute error of strengths, and share of emotions that are right."""
    error, right = 0.0, 0
    for some in _batches(rows, mels, settings, 0):
        output = network(*padded([mels[row].float() for row in some]))
        error += float((output.strength - strength[some]).abs().sum())
        right += int((output.emotion.argmax(1) == emotion[some]).sum())
    return error / len(rows), right / len(rows)


def _batches(rows: np.ndarray, mels: list[torch.Tensor], settings: Settings, epoch: int) -> list[np.ndarray]:
    """Batches of utterances of about one length, in random order."""
    rng = np.random.default_rng((settings.seed, epoch))
    lengths = np.array([len(mels[row]) for row in rows]) * np.exp(0.05 * rng.standard_normal(len(rows)))
    ordered = rows[np.argsort(lengths)]
    several = [ordered[i : i + settings.batch] for i in range(0, len(ordered), settings.batch)]
    return [several[i] for i in rng.permutation(len(several))]
