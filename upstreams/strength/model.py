"""The network: log-mel energies, convolutions, a BLSTM that scores frames; the utterance's strength is their mean."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upstreams.errors import UpstreamError
from upstreams.pretraining import checkpoints
from upstreams.pretraining.batches import MEL_BINS, SAMPLE_RATE
from upstreams.pretraining.checkpoints import Facts, Stored
from upstreams.pretraining.mel import mel_filters

NAME = "strength"  # in the header of its files
FFT, HOP = 512, 256  # samples, of the spectrum under a Hamming window
FLOOR, SCALE = 1e-6, 3.0


@dataclass(frozen=True)
class Config:
    """channels: of the four stages of three convolutions; after each, `dropped` of them are left out in training."""

    classes: tuple[str, ...]
    channels: tuple[int, ...]
    hidden: int = 128
    dropped: float = 0.0
    dropout: float = 0.0


class Output(NamedTuple):
    """Of B utterances of up to T frames."""

    frames: Tensor  # (B, T) scores
    strength: Tensor  # (B,) their means
    emotion: Tensor  # (B, classes) logits


class StrengthNet(nn.Module):
    """Log-mel energies (B, T, 80) and numbers of frames (B,) -> Output.

    Energies are taken relative to the speaker, less the speaker's `colour`. Nothing depends on padding.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.stages = nn.ModuleList()
        bins = MEL_BINS
        for width, channels in pairwise((1, *config.channels)):
            strides = ((1, 1), (1, 1), (1, 3))
            widths = (width, channels, channels)
            self.stages.append(
                nn.ModuleList(
                    nn.Conv2d(w, channels, 3, stride, padding=1) for w, stride in zip(widths, strides, strict=True)
                )
            )
            bins = (bins - 1) // 3 + 1
        features = config.channels[-1] * bins
        self.strength_rnn, self.emotion_rnn = (BothWays(features, config.hidden) for _ in range(2))
        self.dense, self.score = nn.Linear(2 * config.hidden, config.hidden), nn.Linear(config.hidden, 1)
        self.emotion = nn.Linear(2 * config.hidden, len(config.classes))
        for convolution in (one for one in self.modules() if isinstance(one, nn.Conv2d)):
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")  # twelve in a row keep their scale
            nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
        self.to(memory_format=torch.channels_last)  # in which its convolutions take three quarters of the time

    def forward(self, mel: Tensor, frames: Tensor) -> Output:
        valid = torch.arange(mel.shape[1], device=mel.device) < frames[:, None]
        x, kept = mel[:, None], valid[:, None, :, None]
        for stage in self.stages:
            for convolution in stage:  # type: ignore[union-attr]
                x = F.relu(convolution(x * kept))
            x = F.dropout2d(x, self.config.dropped, self.training)
        x = x.transpose(1, 2).flatten(2)
        score = self.score(self._dropped(F.relu(self.dense(self._dropped(self.strength_rnn(x, frames))))))
        rows = score[..., 0] * valid
        states = self._dropped(self.emotion_rnn(x, frames)) * valid[..., None]
        return Output(rows, rows.sum(1) / frames, self.emotion(states.sum(1) / frames[:, None]))

    def _dropped(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.config.dropout, self.training)


class BothWays(nn.Module):
    """A bidirectional LSTM, (B, T, D) -> (B, T, 2 H), in which padding behind the frames changes no state of a frame.

    torch's own leaves padding out by packed sequences, whose gradients on a CPU take time in the square of the length:
    half of a training step. Here the second LSTM reads every utterance from its own end.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.ahead, self.back = (nn.LSTM(width, hidden, batch_first=True) for _ in range(2))

    def forward(self, x: Tensor, frames: Tensor) -> Tensor:
        at, ends = torch.arange(x.shape[1], device=x.device), frames.to(x.device)[:, None]
        turned = torch.where(at < ends, ends - 1 - at, at)[..., None]
        back = self.back(x.gather(1, turned.expand_as(x)))[0]
        return torch.cat([self.ahead(x)[0], back.gather(1, turned.expand_as(back))], dim=2)


def log_mel(waveform: Tensor) -> Tensor:
    """(T, 80) log-mel energies every 16 ms, less their mean: the level of a recording says nothing of strength."""
    short = max(0, FFT - len(waveform))
    frames = F.pad(waveform.float(), (0, short)).unfold(0, FFT, HOP)
    power = torch.fft.rfft(frames * torch.hamming_window(FFT, device=waveform.device)).abs().square()
    energies = torch.log(power @ mel_filters().to(waveform.device) + FLOOR)
    return (energies - energies.mean()) / SCALE


def colour(mels: Iterable[Tensor]) -> Tensor:
    """(80,) the mean of every band over all frames of a speaker's utterances: that of the voice and the microphone.

    Strengths are relative to the speaker, so energies have to be, too.
    """
    total, frames = torch.zeros(MEL_BINS, dtype=torch.float64), 0
    for mel in mels:
        total += mel.double().sum(0)
        frames += len(mel)
    return (total / frames).float()


def times(frames: int) -> Tensor:
    """(frames,) seconds, the middle of each frame."""
    return (torch.arange(frames) * HOP + FFT / 2) / SAMPLE_RATE


def padded(mels: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """(B, T, 80) with zeros behind the shorter ones, and (B,) frames."""
    return nn.utils.rnn.pad_sequence(list(mels), batch_first=True), torch.tensor([len(mel) for mel in mels])


def save(path: Path, network: StrengthNet, facts: Facts) -> None:
    """Write a network, in half precision. Raises UpstreamError where it cannot be written."""
    checkpoints.write(path, Stored(NAME, asdict(network.config), network.state_dict(), facts), torch.float16)


def load(path: Path) -> tuple[StrengthNet, Facts]:
    """A network in eval mode, and where it comes from. Raises UpstreamError that names the file."""
    stored = checkpoints.read(path, NAME)
    try:
        config = Config(**{key: tuple(v) if isinstance(v, list) else v for key, v in stored.config.items()})  # type: ignore[arg-type]
        network = StrengthNet(config)
    except (TypeError, ValueError) as error:
        raise UpstreamError(f"{path}: the configuration in its header cannot be used ({error})") from error
    checkpoints.fill(network, stored.weights, path)
    return network.eval(), stored.facts
