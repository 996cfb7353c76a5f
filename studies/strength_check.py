"""Check a strength model on RAVDESS, which it never saw: normal against strong intensity, and beside loudness alone.

    python studies/strength_check.py strength.safetensors RAVDESS [--table emotions.csv] [--limit N]

RAVDESS's speech has 672 pairs: one actor, sentence, repetition and emotion, normal and strong. Printed are the share of
pairs that are ordered right, by the model and by loudness, and their difference, each a mean over actors with its 95 %
interval (bootstrap over actors); and, over frames less their utterance's mean, how the score goes with energy, alone
and with log F0 and voicing held constant. A model whose frames follow energy is an energy tracker; one that orders no
better than loudness may be replaced by it. With --table, the table that the model was learnt from, the same share is
printed of the ranking that made its targets, and of one without loudness: the mean of its linear functions of
openSMILE's functionals, each divided by its deviation in the table. What the ranking tells and the network does not is
lost in the network.
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
from upstreams.extraction import Extraction
from upstreams.prosody import Prosody
from upstreams.strength import model, scoring, training
from upstreams.strength import table as tables
from upstreams.strength.ranking import learnt

RATE = 16000
NEUTRAL = "01"  # has no strong form
LOUDNESS = ("loudness", "soundlevel")  # in names of functionals
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


def measured(network: model.StrengthNet, path: Path, speaker: torch.Tensor) -> tuple[float, float, np.ndarray]:
    """The utterance's score, its loudness in dB, and (T, 4) of its frames: score, log energy, log F0, voicing."""
    wave = waveform(path)
    times, scores = scoring.frames(network, torch.from_numpy(wave), speaker)
    prosody = Prosody().frames(wave)
    rows = np.minimum(np.rint(times * 100).astype(int), len(prosody) - 1)
    frames = np.column_stack([scores, prosody[rows, 2], prosody[rows, 0], prosody[rows, 1]])
    loudness = 10 * np.log10(np.mean(np.square(wave)) + 1e-10)
    return float(scores.mean()), float(loudness), frames - frames.mean(0)


def partial(frames: np.ndarray) -> float:
    """Correlation of columns 0 and 1 after the others are regressed out of both."""
    others = frames[:, 2:]
    left = frames[:, :2] - others @ np.linalg.lstsq(others, frames[:, :2], rcond=None)[0]
    return float(np.corrcoef(left.T)[0, 1])


def ranked(paths: list[Path], table: Path, cache: Path) -> dict[str, np.ndarray]:
    """(N,) the mean over emotions of what the ranking of a table gives for some files: of all functionals, and of those
    that loudness has no part in."""
    rows, options = tables.load([table]), Extraction(cache, "cpu", 1)
    known = training.functionals(training.audio_of(rows, 1), options)
    files = training.audio_of(pd.DataFrame({"path": [str(path) for path in paths]}), 1)
    values = training.functionals(files, options)
    names = upstreams.load(training.FUNCTIONALS).value_names() or []
    quiet = np.array([not any(word in name.lower() for word in LOUDNESS) for name in names])
    made = {}
    for what, kept in (("ranking", np.ones_like(quiet)), ("ranking without loudness", quiet)):
        ranking = learnt(known[:, kept], rows)
        scales = {emotion: own.std() for emotion, own in ranking.values(known[:, kept]).items()}
        own = ranking.values(values[:, kept])
        made[what] = np.mean([own[emotion] / scale for emotion, scale in scales.items()], axis=0)
    return made


def over_actors(right: np.ndarray, actors: list[str], places: str = ".1f") -> str:
    """Percent: the mean over actors of their means, and its 95 % interval."""
    own = np.array([100 * right[[one == actor for one in actors]].mean() for actor in sorted(set(actors))])
    drawn = np.random.default_rng(0).choice(own, (DRAWS, len(own))).mean(1)
    low, high = np.percentile(drawn, (2.5, 97.5))
    return f"{own.mean():{places}} [{low:{places}}, {high:{places}}]"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("model", type=Path)
    options.add_argument("ravdess", type=Path)
    options.add_argument("--table", type=Path, help="that the model was learnt from: its ranking is checked, too")
    places.add_to(options, "cache")
    options.add_argument("--limit", type=int, help="only so many pairs, spread over all")
    options = options.parse_args()
    network, facts = model.load(options.model)
    several = pairs(options.ravdess)
    if not several:
        raise SystemExit(f"{options.ravdess}: holds no pairs of RAVDESS's speech, such as 03-01-05-01-01-01-01.wav")
    if options.limit:
        several = [several[i] for i in np.linspace(0, len(several) - 1, options.limit).astype(int)]
    right: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    frames, actors = [], [actor for _, actor, _, _ in several]
    paths = {actor: [path for pair in several if pair[1] == actor for path in pair[2:]] for actor in set(actors)}
    speakers = {actor: model.colour(model.log_mel(torch.from_numpy(waveform(path))) for path in own)
                for actor, own in paths.items()}  # fmt: skip
    ordered = []
    for emotion, actor, *both in several:
        (low, quiet, first), (high, loud, second) = (measured(network, path, speakers[actor]) for path in both)
        ordered.append((high > low, loud > quiet))
        right[emotion].append(ordered[-1])
        frames += [first, second]
    everything = np.array(ordered).astype(float)
    learnt = ", ".join(facts.get("seen", {})) or "unknown corpora"
    print(f"{len(everything)} pairs of {len(set(actors))} actors; model learnt from {learnt}")
    model_right, loudness_right = everything.T
    print(f"ordered right, %: model {over_actors(model_right, actors)}, loudness {over_actors(loudness_right, actors)}")
    print(f"model minus loudness {over_actors(model_right - loudness_right, actors, '+.1f')}")
    if options.table:
        files = [path for _, _, *both in several for path in both]
        for what, values in ranked(files, options.table, places.chosen(options).cache).items():
            low, high = values.reshape(-1, 2).T
            print(f"ordered right, %: {what} {over_actors((high > low).astype(float), actors)}")
    same = (model_right == loudness_right).mean()
    print(f"model and loudness agree on {100 * same:.1f} % of pairs")
    for emotion, some in sorted(right.items()):
        shares = 100 * np.mean(some, axis=0)
        print(f"  emotion {emotion}: model {shares[0]:.1f} %, loudness {shares[1]:.1f} %, {len(some)} pairs")
    together = np.concatenate(frames)
    print(f"frames within utterances: correlation of score and log energy {np.corrcoef(together.T)[0, 1]:.3f}; "
          f"with log F0 and voicing held constant {partial(together):.3f}")  # fmt: skip


if __name__ == "__main__":
    main()
