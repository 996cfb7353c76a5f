"""What SUPERB's emotion head costs here, and what s3prl pays for the same head.

    python studies/superb_cost.py [--head] [--rates 1 3] [--share 1] [--threads 2]
                                [--step] [--repeats 3] [--from-nothing TASK]

--head: the whole of `superb` on made-up features of IEMOCAP's size (5531 x 13 x 768, 5 folds, 30,000 steps, one seed),
or a --share of its steps.
--step: one optimiser step of s3prl's emotion downstream, which runs the frozen upstream (wav2vec2-base, random weights)
on 8 times 4 utterances, against one of ours on the time-means of the same 32; they take turns, the medians count.
--from-nothing: the command on a task with an empty feature store, against the processor time of s3prl's steps; wants a
corpus under $EMOREP_DATA.
Without flags: --head --step. On a machine that others use, processor time is the one to read.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from made_up_features import features

import downstreams
from commons.corridors.features import Features
from commons.corridors.problem import Fold, Problem
from downstreams import chance, superb, weighted_sum
from downstreams.settings import Superb

UTTERANCES, LAYERS, WIDTH, CLASSES, SESSIONS, PROJECTED = 5531, 13, 768, 4, 5, 256
SECONDS = np.linspace(1.5, 7.5, 32)  # 4.5 s on average, as IEMOCAP's


def iemocap(rows: np.ndarray) -> tuple[Features, Problem]:
    """Features and a problem of its size and split: a session out, a fifth of the rest to choose on."""
    draws = np.random.default_rng(0)
    targets, session = draws.integers(0, CLASSES, len(rows)), draws.integers(0, SESSIONS, len(rows))
    rows[:, 0] += 0.05 * draws.standard_normal((CLASSES, *rows.shape[2:]), dtype=np.float32)[targets]
    folds = []
    for k in range(SESSIONS):
        known = draws.permutation(np.flatnonzero(session != k))
        train, dev = np.split(known, [int(0.8 * len(known))])
        folds.append(Fold(name=f"session {k + 1}", train=train, dev=dev, test=np.flatnonzero(session == k)))
    ids, sessions = np.arange(len(rows)).astype(str), session.astype(str)
    return features(ids, rows), Problem(
        ids=ids,
        kind="classification",
        classes=tuple("abcd"),
        targets=targets,
        folds=tuple(folds),
        groups=sessions,
        speaker=sessions,
        select_on="WA",
    )


def whole(rates: list[float], share: float) -> tuple[float, float]:
    """Wall and processor seconds of a share of the whole head at IEMOCAP's size, one seed."""
    draws = np.random.default_rng(1)
    frozen, problem = iemocap(draws.standard_normal((UTTERANCES, 1, LAYERS, WIDTH), dtype=np.float32))
    own = downstreams.resolve("superb")
    changed = {name: max(1, round(own.settings[name] * share)) for name in ("steps", "epochs", "evaluations")}
    shorter = replace(own, settings=own.settings | changed | {"rates": rates})
    started, busy = time.perf_counter(), time.process_time()
    downstreams.evaluate(shorter, frozen, problem, [0])
    return time.perf_counter() - started, time.process_time() - busy


class Theirs:
    """s3prl's featurizer and emotion downstream over a frozen wav2vec2-base with random weights."""

    def __init__(self, waveforms: list[torch.Tensor]) -> None:
        from upstreams.torchaudio_repair import repair

        repair()
        from s3prl.downstream.model import UtteranceLevel
        from s3prl.upstream.interfaces import Featurizer
        from transformers import Wav2Vec2Config, Wav2Vec2Model

        class Upstream(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.model = Wav2Vec2Model(Wav2Vec2Config()).eval()

            def forward(self, wavs: list[torch.Tensor]) -> dict:
                padded = torch.nn.utils.rnn.pad_sequence(wavs, batch_first=True)
                return {"hidden_states": self.model(padded, output_hidden_states=True).hidden_states}

            def get_downsample_rates(self, key: str) -> int:
                return 320

        self.waveforms, self.upstream = waveforms, Upstream()
        self.featurizer = Featurizer(self.upstream, upstream_device="cpu")
        self.projector = torch.nn.Linear(WIDTH, PROJECTED)
        self.model = UtteranceLevel(PROJECTED, CLASSES, pooling="MeanPooling")
        modules = (self.featurizer, self.projector, self.model)
        self.parameters = [parameter for module in modules for parameter in module.parameters()]
        self.optimiser = torch.optim.Adam(self.parameters, lr=1e-4)

    def step(self) -> None:
        for start in range(0, len(self.waveforms), 4):
            four = self.waveforms[start : start + 4]
            with torch.no_grad():
                hidden = self.upstream(four)
            features = self.featurizer(four, hidden)
            lengths = torch.tensor([len(feature) for feature in features])
            padded = torch.nn.utils.rnn.pad_sequence(features, batch_first=True)
            logits, _ = self.model(self.projector(padded), lengths)
            (torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 3])) / 8).backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad()


class Ours:
    """The same head at one learning rate; rows of 32 come from a table of IEMOCAP's size."""

    def __init__(self) -> None:
        self.x = torch.randn(UTTERANCES, LAYERS, WIDTH)
        self.y = torch.randint(CLASSES, (UTTERANCES,))
        heads = weighted_sum.initial([chance.generator("", 0)], 1, LAYERS, WIDTH, PROJECTED, CLASSES)
        self.training = superb.Training(heads, [1e-4], 1.0)

    def step(self) -> None:
        rows = torch.randint(UTTERANCES, (1, 32))
        self.training.step(self.x.index_select(0, rows[0]).view(1, 32, LAYERS, WIDTH), self.y[rows])


def timed(step, times: int) -> np.ndarray:
    """Wall and processor seconds of one step."""
    started = np.array([time.perf_counter(), time.process_time()])
    for _ in range(times):
        step()
    return (np.array([time.perf_counter(), time.process_time()]) - started) / times


def steps(repeats: int) -> float:
    """Prints both steps and their ratio; returns s3prl's processor time, s."""
    theirs, ours = Theirs([torch.randn(int(16000 * s)) for s in SECONDS]), Ours()
    timed(ours.step, 50)
    pairs = [(timed(theirs.step, 1), timed(ours.step, 200)) for _ in range(repeats)]
    for clock, name in enumerate(("wall", "processor")):
        slow, fast = (statistics.median(part[clock] for part in side) for side in zip(*pairs, strict=True))
        times = f"s3prl {slow:.2f} s, here {1000 * fast:.2f} ms: {slow / fast:.0f} times"
        print(f"one step on 32 utterances of 4.5 s, {name} time: {times}", flush=True)
    return slow


def from_nothing(task: str, step: float) -> None:
    """Prints the wall time of the command on a task, and that of s3prl's steps, scaled to its seconds of audio."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["-u", "random:wav2vec2_base", "-t", task, "-d", "superb", "--seeds", "1"]
        started = time.perf_counter()
        subprocess.run(
            [
                sys.executable,
                "run_benchmark.py",
                *words,
                "--cache",
                f"{folder}/cache",
                "--results",
                f"{folder}/results",
            ],
            check=True,
        )
        seconds = time.perf_counter() - started
        record = json.loads((Path(folder) / f"results/random%3Awav2vec2_base/{task}/superb.json").read_text())
    n, folds = record["scores"]["counts"]["n"], record["scores"]["counts"]["folds"]
    audio = record["upstream"]["audio_seconds"] / n
    settings = Superb()
    # Train is what neither this fold nor its dev part (the next fold) holds.
    total = folds * len(settings.rates) * superb.schedule(round(n * (folds - 2) / folds), settings)[0]
    slow = total * step * audio / SECONDS.mean()
    heads = record["run"]["seconds"]["evaluate"]
    print(f"from nothing to a table, {task}: {seconds:.0f} s, of which the heads {heads:.0f} s")
    print(f"s3prl's {total} steps for the same: {slow / 86400:.1f} days, {slow / seconds:.0f} times as long")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--head", action="store_true")
    parser.add_argument("--rates", type=int, nargs="+", default=[1, 3], choices=[1, 3])
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--step", action="store_true")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--from-nothing", metavar="TASK")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    neither = not (options.head or options.step)
    if options.step or options.from_nothing or neither:
        step = steps(options.repeats)
        if options.from_nothing:
            from_nothing(options.from_nothing, step)
    if options.head or neither:
        for count in options.rates:
            rates = [1e-4] if count == 1 else Superb().rates
            wall, busy = whole(rates, options.share)
            size = f"{UTTERANCES} x {LAYERS} x {WIDTH}, {SESSIONS} folds, one seed"
            print(
                f"superb, {size}, {options.share:g} of 30,000 steps, rates {rates}, {options.threads} threads: ", end=""
            )
            print(f"{wall:.1f} s, of processor time {busy:.1f} s", flush=True)


if __name__ == "__main__":
    main()
