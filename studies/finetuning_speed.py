"""How long a step of fine-tuning takes, side by side in one run, and what padding does to its loss.

    python studies/finetuning_speed.py random:wav2vec2_base --utterances 32 --repeats 3

ours: `finetune` in parts of like length; ours, top 3: the same of the last three blocks, on what those below gave
once; plain: a transformers loop that pads the whole batch, with the library's own model (for names of wav2vec 2.0's
kind). All have AdamW, a frozen convolutional front end and no dropout, and fp32 where bf16 is not named. Times are
processor time of one core, which other programs disturb less than the clock. Utterances are noise, of lengths like
EmoDB's.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

import upstreams
from downstreams.class_loss import ClassLoss
from downstreams.settings import FineTune
from downstreams.tuned_network import Batch, TunedNetwork, draws_of
from upstreams.frozen import Frozen
from upstreams.inputs.audio import Segment
from upstreams.live import Live

CLASSES, TOP = 7, 3
PEAK = 1536  # rows and columns of the matrices by which the peak is measured


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    upstream = upstreams.load(options.upstream)
    with tempfile.TemporaryDirectory() as folder:
        segments = _noise(Path(folder), options.utterances)
        live = Live(upstream, segments)
        rows = np.arange(options.utterances)
        targets = torch.arange(options.utterances) % CLASSES
        print(
            f"{options.upstream}: {options.utterances} utterances, {live.lengths.sum():.0f} s of audio; one core, fp32"
        )
        whole = _network(live)
        loss = ClassLoss(targets)
        steps = {"ours": _step(whole, Batch(rows, loss))}
        steps["ours, bf16"] = _step(_network(live, "bf16"), Batch(rows, loss))
        if upstream.depth > TOP:
            top = _network(live.top(TOP))
            steps[f"ours, top {TOP}"] = _step(top, Batch(rows, loss))
        if (plain := _plain(upstream, segments, targets)) is not None:
            steps["plain transformers loop"] = plain[0]
        with FlopCounterMode(display=False) as counter:
            steps["ours"]()
        peak, seconds = _peak(), {name: _timed(step, options.repeats) for name, step in steps.items()}
        for name, own in seconds.items():
            print(f"  {name}: {own:.2f} s a step")
        share = counter.get_total_flops() / seconds["ours"] / peak
        print(f"  ours: {share:.0%} of the peak of matrix products ({peak / 1e9:.0f} GFLOP/s)")
        _padding("ours", lambda one: whole.backward(Batch(one, loss), None), rows)
        if plain is not None:
            _padding("plain transformers loop", plain[1], rows)


def _options() -> argparse.Namespace:
    here = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here.add_argument("upstream", nargs="?", default="random:wav2vec2_base")
    here.add_argument("--utterances", type=int, default=32)
    here.add_argument("--repeats", type=int, default=3)
    return here.parse_args()


def _noise(folder: Path, count: int) -> list[Segment]:
    """Files of noise; lengths have EmoDB's mean, 2.8 s, and its spread."""
    draws, made = np.random.default_rng(0), []
    for i in range(count):
        seconds = float(np.clip(draws.lognormal(np.log(2.6), 0.37), 1.2, 9.0))
        path = folder / f"{i}.wav"
        soundfile.write(path, 0.1 * draws.standard_normal(int(seconds * 16000)), 16000)
        made.append(Segment(str(path), hashlib.sha256(path.read_bytes()).hexdigest(), None, None, None, seconds))
    return made


def _network(live: Live, precision: str = "fp32") -> TunedNetwork:
    settings = FineTune.model_validate({"precision": precision})
    return TunedNetwork(live, CLASSES, settings, draws_of("study", 0, "head"), "cpu")


def _step(network: TunedNetwork, batch: Batch) -> Callable[[], object]:
    optimiser = torch.optim.AdamW(network.groups(), 1e-5)

    def step() -> None:
        network.backward(batch, None)
        optimiser.step()

    return step


def _plain(
    upstream: Frozen, segments: list[Segment], targets: torch.Tensor
) -> tuple[Callable[[], object], Callable[[np.ndarray], float]] | None:
    """A step of the plain loop, and its loss on some utterances; None where the library has no such model."""
    import transformers

    make = getattr(upstream.model, "build", None)
    if make is None or not hasattr(make(), "feature_extractor"):
        return None
    module = make().requires_grad_(True)  # as the library makes it: padding is not kept out of its norms
    module.feature_extractor._freeze_parameters()
    extractor = transformers.Wav2Vec2FeatureExtractor(return_attention_mask=True)
    classifier = torch.nn.Linear(upstream.width, CLASSES)
    optimiser = torch.optim.AdamW([*module.parameters(), *classifier.parameters()], 1e-5)
    waves = [soundfile.read(segment.path, dtype="float32")[0] for segment in segments]

    def loss(rows: np.ndarray) -> torch.Tensor:
        batch = extractor([waves[row] for row in rows], sampling_rate=16000, padding=True, return_tensors="pt")
        hidden = module(batch["input_values"], attention_mask=batch["attention_mask"]).last_hidden_state
        kept = module._get_feature_vector_attention_mask(hidden.shape[1], batch["attention_mask"])[..., None]
        return cross_entropy(classifier((hidden * kept).sum(1) / kept.sum(1)), targets[rows])

    def step() -> None:
        optimiser.zero_grad()
        loss(np.arange(len(waves))).backward()
        optimiser.step()

    return step, lambda rows: float(loss(rows).detach())


def _timed(step: Callable[[], object], repeats: int) -> float:
    """Processor time of a step, s: the median."""
    step()
    spent = []
    for _ in range(repeats):
        started = time.process_time()
        step()
        spent.append(time.process_time() - started)
    return statistics.median(spent)


def _peak() -> float:
    """FLOP/s of a product of two square matrices: the best of five."""
    a, b = torch.randn(PEAK, PEAK), torch.randn(PEAK, PEAK)
    return max(2 * PEAK**3 / _timed(lambda: a @ b, 1) for _ in range(5))


def _padding(name: str, loss: Callable[[np.ndarray], float], rows: np.ndarray) -> None:
    """By how much the loss of a batch differs from the mean loss of its utterances alone."""
    together, alone = loss(rows), statistics.fmean(loss(rows[i : i + 1]) for i in range(len(rows)))
    print(f"  {name}: the loss of the padded batch differs from its utterances' alone by {abs(together - alone):.1e}")


if __name__ == "__main__":
    main()
