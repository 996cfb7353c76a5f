"""Frame scores of folders of speech, and pictures of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from commons.errors import cut
from commons.progress import Progress
from upstreams.errors import UpstreamError
from upstreams.pretraining.batches import MEL_BINS, SAMPLE_RATE
from upstreams.pretraining.pack import Pack
from upstreams.pretraining.scores import Scored, hash_of, offsets, parts_of
from upstreams.strength.model import HOP, StrengthNet, colour, log_mel, times
from upstreams.strength.table import Voice


@torch.inference_mode()
def frames(network: StrengthNet, waveform: torch.Tensor, speaker: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(T,) times in seconds and (T,) scores of a waveform at 16 kHz; `speaker`: (80,) the speaker's `colour`."""
    mel = log_mel(waveform) - speaker
    scores = network(mel[None], torch.tensor([len(mel)])).frames[0]
    return times(len(mel)).numpy(), scores.numpy()


def voices(pack: Pack, folders: Sequence[Path], known: Mapping[str, Voice]) -> list[Voice]:
    """Who speaks in each utterance of a pack of these folders: the voice of its file, or else the folder it lies in.

    Args:
        known: real path of a file -> its voice.
    """
    of_files: dict[str, Voice] = {}
    for name in dict.fromkeys(pack.names):
        file = next(folder / name for folder in folders if (folder / name).is_file())
        # A link's own folder: what links lead to may lie together, or each file in a folder of its own.
        of_files[name] = known.get(os.path.realpath(file)) or Voice(os.path.abspath(file.parent))
    return [of_files[name] for name in pack.names]


def of_pack(
    network: StrengthNet, pack: Pack, voices: Sequence[Voice], progress: Progress | None = None
) -> Iterator[Scored]:
    """Scores of every file of a pack; parts of a long file are scored one by one.

    Energies are relative to the neutral utterances of the same voice, as the network was trained; to all, where none is
    known to be neutral.
    """
    digests, before = hash_of(pack), offsets(pack)
    own = colours(pack, voices)
    for parts in parts_of(pack):
        times, scores = [], []
        for part in parts:
            at, values = frames(network, torch.from_numpy(pack.samples(part)), own[voices[part].name])
            times.append(at + before[part] / SAMPLE_RATE)
            scores.append(values)
        name = pack.names[parts[0]]
        yield Scored(name, digests[name], np.concatenate(times), np.concatenate(scores))
        if progress:
            progress(int(parts[-1]) + 1, len(pack))


def colours(pack: Pack, voices: Sequence[Voice]) -> dict[str, torch.Tensor]:
    """Name of a voice -> (80,) the mean of the log-mel energies of its neutral utterances, or else of all."""
    calm = {voice.name for voice in voices if voice.neutral}
    several: dict[str, list[int]] = {}
    for utterance, voice in enumerate(voices):
        if voice.neutral or voice.name not in calm:
            several.setdefault(voice.name, []).append(utterance)
    return {name: colour(log_mel(torch.from_numpy(pack.samples(one))) for one in own) for name, own in several.items()}


def draw(path: Path, waveform: torch.Tensor, scored: Scored) -> None:
    """Write a picture of the scores over the spectrogram."""
    from matplotlib.figure import Figure

    mel, shown = log_mel(waveform).T.numpy(), len(waveform) / SAMPLE_RATE
    figure = Figure(figsize=(8, 3), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(
        mel, origin="lower", aspect="auto", cmap="Greys", extent=(0, mel.shape[1] * HOP / SAMPLE_RATE, 0, MEL_BINS)
    )
    axes.set(xlabel="s", ylabel="mel band", title=cut(scored.id, 70), xlim=(0, shown))
    score = axes.twinx()
    within = scored.times <= shown
    score.plot(scored.times[within], scored.scores[within], color="tab:red")
    score.set_ylabel("strength", color="tab:red")
    figure.savefig(path, dpi=120)


def spread(pack: Pack, number: int) -> set[str]:
    """So many files, spread over the pack."""
    files = list(dict.fromkeys(pack.names))
    return {files[place] for place in np.linspace(0, len(files) - 1, number).round().astype(int)}


def noting(scored: Iterable[Scored], wanted: set[str], noted: list[Scored]) -> Iterator[Scored]:
    """The same scores; those of the files that are wanted are put into a list, too."""
    for one in scored:
        if one.id in wanted:
            noted.append(one)
        yield one


def pictures(folder: Path, pack: Pack, scored: Sequence[Scored]) -> None:
    """A picture of each, FOLDER/1.png ...; of a long file its first part. Raises UpstreamError: none can be made."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(scored, start=1):
        try:
            draw(folder / f"{number}.png", torch.from_numpy(pack.samples(pack.names.index(one.id))), one)
        except OSError as error:
            raise UpstreamError(f"{folder}: pictures cannot be written ({error.strerror or error})") from error
