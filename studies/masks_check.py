"""Where Mockingjay's masks lie: in loud frames, or in silence?

    python studies/masks_check.py scores.parquet --data SPEECH [--cache DIR] [--utterances 2000]

For each kind of mask, over utterances (at most 6 s of each) spread over the speech: the share of frames that is masked;
frames masked without a break; the energy of masked frames, in deviations from the utterance's mean; the share of them
that is silent, 30 dB or more below the utterance's loud frames (95th percentile); and how far their spectrum, of which
each band is normalised over the utterance, is from 0 (L1): what a network loses that predicts nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

import numpy as np
import torch

from commons import places
from commons.errors import EmorepError
from upstreams.mockingjay.masks import draw, log_energy, stretches
from upstreams.mockingjay.recipe import MaskKind
from upstreams.pretraining import recipe as recipes
from upstreams.pretraining.batches import SAMPLE_RATE
from upstreams.pretraining.launch import prepare

SILENT = 30 / 10 * np.log(10)  # 30 dB of power
COLUMNS = ("masked", "stretch", "energy", "silent", "from 0")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("scores", type=Path)
    options.add_argument("--data", dest="speech", nargs="+", type=Path, required=True, metavar="DIR")
    options.add_argument("--utterances", type=int, default=2000)
    places.add_to(options, "cache")
    options = options.parse_args()
    recipe = recipes.load("mockingjay_small", ["masking.kind=intensity_equal", f"scores={options.scores}"])
    speech, framing = prepare(recipe, options.speech, places.chosen(options).cache), recipe.network.acoustic
    rows: dict[str, list[tuple[float, ...]]] = {kind: [] for kind in get_args(MaskKind)}
    everything = []
    for utterance in np.unique(np.linspace(0, len(speech.pack) - 1, options.utterances).astype(int)):
        wave = speech.pack.samples(int(utterance))[: round(recipe.audio.crop_seconds * SAMPLE_RATE)]
        scores = speech.scores.of(int(utterance), 0, len(wave), framing)
        energy = log_energy(wave, framing.min_samples, framing.hop)
        silent, level = energy < np.percentile(energy, 95) - SILENT, (energy - energy.mean()) / (energy.std() + 1e-9)
        size = framing.measure(torch.from_numpy(wave)).abs().mean(1).numpy()
        for kind, several in rows.items():
            rng = np.random.default_rng(int(utterance))
            guide = energy if kind == "energy" else scores
            covered = draw(recipe.masking.model_copy(update={"kind": kind}), len(scores), rng, guide).covered
            length = covered.sum() / len(stretches(covered))
            several.append(
                (covered.mean(), length, level[covered].mean(), silent[covered].mean(), size[covered].mean())
            )
        everything.append((1.0, np.nan, 0.0, silent.mean(), size.mean()))
    print(f"{len(everything)} utterances; mean over utterances")
    print(" " * 16 + "".join(f"{name:>9}" for name in COLUMNS))
    for kind, several in {"all frames": everything, **rows}.items():
        print(f"{kind:16}" + "".join(f"{value:9.3f}" for value in np.mean(several, axis=0)))


if __name__ == "__main__":
    try:
        main()
    except EmorepError as error:
        raise SystemExit(str(error)) from None
