"""Frame scores of folders of speech, and pictures of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

import numpy as np
import torch

from commons.progress import Progress
from upstreams.pretraining.batches import MEL_BINS, SAMPLE_RATE
from upstreams.pretraining.pack import Pack
from upstreams.pretraining.scores import Scored, hash_of, offsets
from upstreams.strength.model import HOP, StrengthNet, colour, log_mel, times


@torch.inference_mode()
def frames(network: StrengthNet, waveform: torch.Tensor, speaker: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(T,) times in seconds and (T,) scores of a waveform at 16 kHz; `speaker`: (80,) the speaker's `colour`."""
    mel = log_mel(waveform) - speaker
    scores = network(mel[None], torch.tensor([len(mel)])).frames[0]
    return times(len(mel)).numpy(), scores.numpy()


def of_pack(network: StrengthNet, pack: Pack, progress: Progress | None = None) -> Iterator[Scored]:
    """Scores of every file of a pack; parts of a long file are scored one by one.

    Who speaks is not known of a pack: energies are relative to all files of the same folder.
    """
    digests, before = hash_of(pack), offsets(pack)
    speakers = colours(pack)
    parts: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for utterance, name in enumerate(pack.names):
        at, scores = frames(network, torch.from_numpy(pack.samples(utterance)), speakers[PurePath(name).parent])
        parts.setdefault(name, []).append((at + before[utterance] / SAMPLE_RATE, scores))
        if progress:
            progress(utterance + 1, len(pack))
    for name, several in parts.items():
        at, scores = (np.concatenate(column) for column in zip(*several, strict=True))
        yield Scored(name, digests[name], at, scores)


def colours(pack: Pack) -> dict[PurePath, torch.Tensor]:
    """Folder, below the one that was named, -> (80,) the mean of its files' log-mel energies."""
    folders: dict[PurePath, list[int]] = {}
    for utterance, name in enumerate(pack.names):
        folders.setdefault(PurePath(name).parent, []).append(utterance)
    return {
        folder: colour(log_mel(torch.from_numpy(pack.samples(one))) for one in several)
        for folder, several in folders.items()
    }


def draw(path: Path, waveform: torch.Tensor, scored: Scored) -> None:
    """Write a picture of the scores over the spectrogram."""
    from matplotlib.figure import Figure

    mel, shown = log_mel(waveform).T.numpy(), len(waveform) / SAMPLE_RATE
    figure = Figure(figsize=(8, 3), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(
        mel, origin="lower", aspect="auto", cmap="Greys", extent=(0, mel.shape[1] * HOP / SAMPLE_RATE, 0, MEL_BINS)
    )
    axes.set(xlabel="s", ylabel="mel band", title=scored.id, xlim=(0, shown))
    score = axes.twinx()
    within = scored.times <= shown
    score.plot(scored.times[within], scored.scores[within], color="tab:red")
    score.set_ylabel("strength", color="tab:red")
    figure.savefig(path, dpi=120)


def pictures(folder: Path, pack: Pack, scored: Sequence[Scored], number: int) -> None:
    """Pictures of files spread over the pack, FOLDER/1.png ...; of a long file its first part."""
    folder.mkdir(parents=True, exist_ok=True)
    first = {name: utterance for utterance, name in reversed(list(enumerate(pack.names)))}
    for index, place in enumerate(np.unique(np.linspace(0, len(scored) - 1, number).round().astype(int)), start=1):
        one = scored[place]
        draw(folder / f"{index}.png", torch.from_numpy(pack.samples(first[one.id])), one)
