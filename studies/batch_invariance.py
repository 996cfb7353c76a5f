"""What batch mates do to an utterance's features: s3prl, transformers and emorep side by side, on the same weights.

    python studies/batch_invariance.py [FOLDER] [--files N]

The shortest of N files of FOLDER (default $EMOREP_DATA), alone and in a batch with the others. Full-size models with
random weights (seed 0); the waveform is normalised by itself before any of them sees it. Printed: the largest
difference in any layer and frame, in units of the layer's largest value; and the same of the time-means.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from extraction_speed import table
from s3prl_checkpoints import for_s3prl
from torch.nn.utils.rnn import pad_sequence

import upstreams
from upstreams.frozen import Frozen
from upstreams.huggingface import factories
from upstreams.huggingface.named_encoders import MODELS
from upstreams.inputs.audio import decode, segments

NAMES = ("wav2vec2_base", "hubert_base", "wavlm_base", "data2vec_base")
Batch = list[torch.Tensor]
Run = Callable[[Batch], torch.Tensor]  # the (L, T, D) of a batch's first utterance


def error(run: Run, batch: Batch) -> tuple[float, float]:
    """In frames and in time-means."""
    with torch.inference_mode():
        alone = run(batch[:1])
        among = run(batch)[:, : alone.shape[1]]
    frames = (among - alone).abs().amax((1, 2)) / alone.abs().amax((1, 2))
    means = (among.mean(1) - alone.mean(1)).abs().amax(1) / alone.mean(1).abs().amax(1)
    return float(frames.max()), float(means.max())


def ways(name: str, folder: Path) -> dict[str, Run]:
    """Each library's own way to run a batch of mixed lengths."""
    encoder = factories.random(name)
    module = encoder.build()
    mended = factories.random(name)
    expert = upstreams.load(for_s3prl(MODELS[name].family, module, folder / f"{name}.pt")).model.network()

    def transformers(masked: bool) -> Run:
        def run(batch: Batch) -> torch.Tensor:
            lengths = torch.tensor([len(wave) for wave in batch])
            mask = (torch.arange(int(lengths.max())) < lengths[:, None]).long() if masked else None
            output = module(pad_sequence(batch, True), attention_mask=mask, output_hidden_states=True)
            return torch.stack(output.hidden_states)[:, 0]

        return run

    ours = Frozen(mended, name)
    return {
        "s3prl": lambda batch: torch.stack(expert(batch)["hidden_states"])[:, 0],
        "transformers": transformers(False),
        "transformers, masked": transformers(True),
        "emorep": lambda batch: ours(batch)[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", default=os.environ.get("EMOREP_DATA"), type=Path)
    parser.add_argument("--files", type=int, default=6)
    arguments = parser.parse_args()
    if arguments.folder is None or not arguments.folder.is_dir():
        parser.error(f"no folder of audio: {arguments.folder}; give one, or set EMOREP_DATA")
    waves = [torch.from_numpy(decode(part, 16000)) for part in segments(table(arguments.folder, arguments.files))]
    batch = sorted(((wave - wave.mean()) / wave.std(correction=0) for wave in waves), key=len)
    print(f"{len(batch[0]) / 16000:.2f} s among {len(batch)} utterances of up to {len(batch[-1]) / 16000:.2f} s")
    print(f"{'':<16}{'':<22}{'frames':>10}{'time-means':>12}")
    with tempfile.TemporaryDirectory() as folder:
        for name in NAMES:
            for way, run in ways(name, Path(folder)).items():
                frames, means = error(run, batch)
                print(f"{name:<16}{way:<22}{frames:>10.1e}{means:>12.1e}", flush=True)


if __name__ == "__main__":
    main()
