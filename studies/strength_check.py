"""Check a strength model on RAVDESS, which it never saw: normal against strong intensity, and beside loudness alone.

    python studies/strength_check.py RAVDESS [--model strength.safetensors] [--table emotions.csv] [--limit N]

RAVDESS's speech has 672 pairs: one actor, sentence, repetition and emotion, normal and strong. Printed are the share of
pairs that are ordered right, by the model and by loudness, and their difference, each a mean over actors with its 95 %
interval (bootstrap over actors); and, over frames less their utterance's mean, how the score goes with energy, alone
and with log F0 and voicing held constant. A model whose frames follow energy is an energy tracker; one that orders no
better than loudness may be replaced by it. The model takes energies relative to the speaker: all this is printed for
energies relative to the actor's files of all pairs, and for those relative to the actor's neutral files.

With --table, the table that the model was learnt from, the same share is printed of the ranking that made its targets,
and of one without the functionals of loudness, flux and slope, most of which follow the level: the mean of its linear
functions of openSMILE's functionals, each divided by its deviation in the table. What the ranking tells and the network
does not is lost in the network.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
import soxr
import torch

import upstreams
from commons import places
from commons.errors import EmorepError
from upstreams.extraction import Extraction
from upstreams.prosody import Prosody
from upstreams.strength import model, scoring, training
from upstreams.strength import table as tables
from upstreams.strength.ranking import learnt
from upstreams.strength.settings import SHIPPED

RATE = 16000
NEUTRAL = "01"  # has no strong form
LEVEL = ("loudness", "soundlevel", "spectralflux", "slopev", "slopeuv")  # in names of functionals
DRAWS = 10_000  # of the bootstrap


def pairs(root: Path) -> list[tuple[str, str, Path, Path]]:
    """(emotion, actor, normal, strong) of each pair, by the parts of RAVDESS's file names."""
    files: dict[tuple[str, ...], dict[str, Path]] = defaultdict(dict)
    for path in sorted(root.rglob("*")):
        parts = path.stem.split("-")
        if len(parts) == 7 and parts[0] == "03" and parts[1] == "01" and parts[2] != NEUTRAL:
            files[(parts[2], *parts[4:])][parts[3]] = path
    return [(key[0], key[-1], two["01"], two["02"]) for key, two in files.items() if {"01", "02"} <= set(two)]


def waveform(path: Path) -> np.ndarray:
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(1)
    return mono if rate == RATE else soxr.resample(mono, rate, RATE)


def references(root: Path, several: list[tuple[str, str, Path, Path]]) -> dict[str, dict[str, torch.Tensor]]:
    """What energies are relative to -> actor -> (80,) the mean of every band; without neutral files only the first."""
    paired: dict[str, list[Path]] = defaultdict(list)
    calm: dict[str, list[Path]] = defaultdict(list)
    for _, actor, *both in several:
        paired[actor] += both
    for path in sorted(root.rglob(f"03-01-{NEUTRAL}-*")):
        calm[path.stem.split("-")[-1]].append(path)
    made = {"the actor's files of all pairs": paired}
    if set(paired) <= set(calm):
        made["the actor's neutral files"] = {actor: calm[actor] for actor in paired}
    return {
        what: {actor: model.colour(model.log_mel(torch.from_numpy(waveform(path))) for path in own)
               for actor, own in of.items()}
        for what, of in made.items()
    }  # fmt: skip


def measured(network: model.StrengthNet, path: Path, speakers: list[torch.Tensor]) -> tuple[np.ndarray, float]:
    """(R, T, 4) of its frames with each reference: score, log energy, log F0, voicing; and its loudness in dB."""
    wave = waveform(path)
    prosody, made = Prosody().frames(wave), []
    for speaker in speakers:
        times, scores = scoring.frames(network, torch.from_numpy(wave), speaker)
        rows = np.minimum(np.rint(times * 100).astype(int), len(prosody) - 1)
        made.append(np.column_stack([scores, prosody[rows, 2], prosody[rows, 0], prosody[rows, 1]]))
    return np.array(made), float(10 * np.log10(np.mean(np.square(wave)) + 1e-10))


def partial(frames: np.ndarray) -> float:
    """Correlation of columns 0 and 1 after the others are regressed out of both."""
    others = frames[:, 2:]
    left = frames[:, :2] - others @ np.linalg.lstsq(others, frames[:, :2], rcond=None)[0]
    return float(np.corrcoef(left.T)[0, 1])


def ranked(paths: list[Path], table: Path, cache: Path) -> dict[str, np.ndarray]:
    """(N,) the mean over emotions of what the ranking of a table gives for some files: of all functionals, and of those
    without LEVEL."""
    rows, options = tables.load([table]), Extraction(cache, "cpu", 1)
    known = training.functionals(training.audio_of(rows, 1), options)
    files = training.audio_of(pd.DataFrame({"path": [str(path) for path in paths]}), 1)
    values = training.functionals(files, options)
    names = upstreams.load(training.FUNCTIONALS).value_names() or []
    quiet = np.array([not any(word in name.lower() for word in LEVEL) for name in names])
    made = {}
    for what, kept in (("ranking", np.ones_like(quiet)), ("ranking without level", quiet)):
        ranking = learnt(known[:, kept], rows)
        scales = {emotion: own.std() for emotion, own in ranking.values(known[:, kept]).items()}
        own = ranking.values(values[:, kept])
        made[what] = np.mean([own[emotion] / scale for emotion, scale in scales.items()], axis=0)
    return made


def over_actors(right: np.ndarray, actors: list[str], form: str = ".1f") -> str:
    """Percent: the mean over actors of their means, and its 95 % interval."""
    own = np.array([100 * right[[one == actor for one in actors]].mean() for actor in sorted(set(actors))])
    drawn = np.random.default_rng(0).choice(own, (DRAWS, len(own))).mean(1)
    low, high = np.percentile(drawn, (2.5, 97.5))
    return f"{own.mean():{form}} [{low:{form}}, {high:{form}}]"


def show(
    several: list[tuple[str, str, Path, Path]], frames: list[tuple[np.ndarray, np.ndarray]], louder: np.ndarray
) -> None:
    """Print what the model does with one reference.

    Args:
        frames: (T, 4) of the normal and of the strong file of each pair.
        louder: (N,) whether the strong one is.
    """
    actors = [actor for _, actor, _, _ in several]
    right = np.array([high[:, 0].mean() > low[:, 0].mean() for low, high in frames])
    print(f"  ordered right, %: model {over_actors(right, actors)}; minus loudness "
          f"{over_actors(right.astype(float) - louder, actors, '+.1f')}; "
          f"agrees with loudness on {100 * (right == louder).mean():.1f} % of pairs")  # fmt: skip
    for emotion in sorted({emotion for emotion, *_ in several}):
        own = np.array([one == emotion for one, *_ in several])
        print(f"  emotion {emotion}: model {100 * right[own].mean():.1f} %, loudness {100 * louder[own].mean():.1f} %, "
              f"{own.sum()} pairs")  # fmt: skip
    together = np.concatenate([one - one.mean(0) for both in frames for one in both])
    print(f"  frames within utterances: correlation of score and log energy {np.corrcoef(together.T)[0, 1]:.3f}; "
          f"with log F0 and voicing held constant {partial(together):.3f}")  # fmt: skip


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("ravdess", type=Path)
    options.add_argument("--model", type=Path, default=SHIPPED, help="default: the one that ships")
    options.add_argument("--table", type=Path, help="that the model was learnt from: its ranking is checked, too")
    places.add_to(options, "cache")
    options.add_argument("--limit", type=int, help="only so many pairs, spread over all")
    options = options.parse_args()
    network, facts = model.load(options.model)
    several = pairs(options.ravdess)
    if not several:
        raise SystemExit(f"{options.ravdess}: holds no pairs of RAVDESS's speech, such as 03-01-05-01-01-01-01.wav")
    relative = references(options.ravdess, several)  # with --limit, too, to all of an actor's files
    if options.limit:
        several = [several[i] for i in np.linspace(0, len(several) - 1, options.limit).astype(int)]
    actors, files = [actor for _, actor, _, _ in several], [path for _, _, *both in several for path in both]
    measures = [
        measured(network, path, [of[actor] for of in relative.values()])
        for _, actor, *both in several for path in both
    ]  # fmt: skip
    loud = np.array([loudness for _, loudness in measures]).reshape(-1, 2)
    louder = loud[:, 1] > loud[:, 0]
    seen = ", ".join(facts.get("seen", {})) or "unknown corpora"
    print(f"{len(several)} pairs of {len(set(actors))} actors; model learnt from {seen}")
    print(f"ordered right, %: loudness {over_actors(louder, actors)}")
    if options.table:
        for what, values in ranked(files, options.table, places.chosen(options).cache).items():
            low, high = values.reshape(-1, 2).T
            print(f"ordered right, %: {what} {over_actors(high > low, actors)}")
    for number, what in enumerate(relative):
        print(f"energies relative to {what}:")
        own = [frames[number] for frames, _ in measures]
        show(several, list(zip(own[::2], own[1::2], strict=True)), louder)


if __name__ == "__main__":
    try:
        main()
    except EmorepError as error:
        raise SystemExit(str(error)) from None
