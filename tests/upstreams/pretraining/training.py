"""Speech-like noise, a recipe small enough to train in a second, and runs of it, here or in a process of their own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import soundfile
import torch
import yaml

from tests.processes import ROOT, Forked
from upstreams.pretraining import checkpoints, recipe
from upstreams.pretraining.launch import prepare
from upstreams.pretraining.method import Speech
from upstreams.pretraining.processes import Processes
from upstreams.pretraining.recipe_sections import Recipe
from upstreams.pretraining.train import train

AUDIO = {"min_seconds": 0.3, "max_seconds": 1.2}
TINY: dict[str, object] = {
    "model": {
        "preset": "small", "conv_layers": [[16, 3, 1], [16, 3, 2]], "dim": 32, "heads": 4, "prenet_depth": 1,
        "depth": 2, "pos_depth": 1, "pos_groups": 4, "decoder_depth": 2, "decoder_dim": 16, "decoder_groups": 4,
        "tokens": 2,
    },
    "audio": AUDIO,
    "batch": {"seconds": 3.0, "micro_batches": 3, "clones": 2, "equal_lengths": False},
    "teacher": {"layers": 2, "decay": 0.9, "end_decay": 0.99},
    "optimiser": {"steps": 20, "rate": 3e-3},
    "collapse": {"target": 0, "prediction": 0},
    "precision": "fp32", "log_every": 5, "save_every": 10, "checkpoints": 2,
}  # fmt: skip
STILL = [f"model.{kind}=0" for kind in ("dropout", "attention_dropout", "post_mlp_dropout", "prenet_dropout",
                                        "decoder_dropout")]  # fmt: skip
PLUGIN = """
import torch

class Bands:
    sample_rate, hop, depth, width, min_samples, seen = 16000, 320, 1, 4, 400, SEEN

    def __call__(self, waveforms):
        return [wave.unfold(0, 400, 320)[:, :4].clone()[None] for wave in waveforms]
"""


def tiny(*changes: str) -> Recipe:
    """The recipe, with "section.key=value" set."""
    return recipe.check(recipe.apply(TINY, changes), "tiny")


def speech(folder: Path, number: int = 24) -> Path:
    """WAV files of 0.4 to 1 s: noise under an envelope, each of a colour of its own."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for index in range(number):
        n = int(rng.integers(6400, 16000))
        colour = np.convolve(rng.standard_normal(n), rng.standard_normal(8), "same")
        wave = 0.05 * colour * (1.1 + np.sin(np.arange(n) / rng.uniform(300, 1500)))
        soundfile.write(folder / f"{index:02}.wav", wave.astype(np.float32), 16000, subtype="FLOAT")
    return folder


def buzzes(folder: Path) -> Path:
    """Eight buzzes of 110 to 220 Hz that grow louder in a second and end in silence."""
    folder.mkdir()
    rise = 0.02 * 4 ** np.linspace(0, 1, 16000)
    for index, hertz in enumerate(np.linspace(110, 220, 8)):
        buzz = sum(np.sin(2 * np.pi * hertz * k * np.arange(16000) / 16000) / k for k in range(1, 12))
        wave = np.concatenate([rise * buzz, np.zeros(3200)])
        soundfile.write(folder / f"{index}.wav", wave.astype(np.float32), 16000, subtype="FLOAT")
    return folder


def unequal(folder: Path) -> Path:
    """An utterance of 1 s and one of 10 s."""
    folder.mkdir()
    rng = np.random.default_rng(3)
    for seconds in (1, 10):
        wave = 0.05 * rng.standard_normal(16000 * seconds) * (1.1 + np.sin(np.arange(16000 * seconds) / 900))
        soundfile.write(folder / f"{seconds:02}.wav", wave, 16000, subtype="PCM_16")
    return folder


def packed(folder: Path, recipe: Recipe | None = None) -> Speech:
    """The speech of a folder, decoded into the cache beside it."""
    return prepare(recipe or tiny(), [folder], folder.parent / "cache")


def run(recipe: Recipe, data: Path, folder: Path, stop_at: int | None = None) -> list[dict]:
    """Train in this process; the log."""
    cpu = torch.device("cpu")
    train(recipe, packed(data, recipe), folder, cpu, Processes(), lambda step, line: step == stop_at)
    log = folder / "log.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    """Whether they hold the same weights, bit for bit."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def start(
    data: Path,
    run: Path,
    *changes: str,
    settings: dict[str, object] = TINY,
    processes: int = 1,
    before: str = "",
    variables: dict[str, str] | None = None,
) -> Forked | subprocess.Popen[str]:
    """`python -m upstreams pretrain` of a recipe; `before`: Python that runs first, in the same process; `variables`:
    of the environment."""
    config = run.with_suffix(".yaml")
    config.write_text(yaml.safe_dump(settings))
    words = ["pretrain", str(config), "--data", str(data), "--run", str(run), "--cache", str(data.parent / "cache"),
             "--device", "cpu", *(["--set", *changes] if changes else [])]  # fmt: skip
    threads = torch.get_num_threads()  # sums are bit for bit alike only among as many threads as here
    if processes == 1:
        program = f"import torch; torch.set_num_threads({threads})\n{before}\n"
        program += "import sys; from upstreams.__main__ import main; sys.exit(main(sys.argv[1:]))"
        return Forked(program, *words, variables=variables)
    program = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m",
               "--", "upstreams"]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(ROOT), **(variables or {})}
    return subprocess.Popen(
        [*program, *words], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def free_port() -> int:
    """A port on which nobody listens, below those that the system gives to connections: it stays free meanwhile."""
    for port in range(20_000 + os.getpid() % 10_000, 32_000):
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def finish(process: Forked | subprocess.Popen[str]) -> str:
    """What a run prints that has to end well."""
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    return out


def weights(run: Path, step: int) -> dict[str, torch.Tensor]:
    return checkpoints.read(run / checkpoints.name_of(step)).weights
