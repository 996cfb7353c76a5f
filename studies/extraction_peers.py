"""wav2vec2-base on real speech, end to end: emorep in fp32 and bf16 against s3prl and transformers doing the same.

    python studies/extraction_peers.py [FOLDER] [--files N] [--rounds N] [--model NAME] [--device cpu|cuda]
    python studies/extraction_peers.py [FOLDER] --memory N N [--model NAME]

The same for all: decode (soundfile, soxr), one utterance at a time, mean and standard deviation over time of every
layer, in host memory; emorep also writes its store; "plain" is without what upstreams/extraction/products.py does.
Same random weights, one thread. Each way is a process of its own
that has built its model and run one file before; they take turns, in another order each round. Printed: medians of
seconds by the clock and of the processor's, which others on a machine disturb less, and how many times faster than
s3prl (the median of the rounds' own ratios; both clocks). On a GPU emorep batches, as it does in extraction, and
transformers and s3prl still go one by one: their batches change features.

--memory: peak memory of an extraction (one process) of so many utterances.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
from extraction_speed import table

import upstreams
from upstreams.extraction import products
from upstreams.inputs.audio import Segment, decode, segments

PLAIN = "emorep fp32 plain"
WAYS = ("s3prl", "transformers", PLAIN, "emorep fp32", "emorep bf16")


def ours(name: str, precision: str, device: str) -> Callable[[list[Segment]], None]:
    from upstreams.extraction.chunk_jobs import Job, chunks, run
    from upstreams.extraction.memory import keep_memory
    from upstreams.extraction.store import Kept

    upstream = upstreams.load(name, precision=precision)
    if device == "cpu":
        keep_memory()  # as extraction does
    upstream.to(device)
    kept = (Kept(name, upstream.fingerprint(), precision, "pooled", upstream.depth, upstream.width),)

    def extract(parts: list[Segment]) -> None:
        with tempfile.TemporaryDirectory() as cache:
            kept[0].folder(Path(cache)).mkdir(parents=True)
            ordered = sorted(range(len(parts)), key=lambda row: -parts[row].seconds)
            for rows in chunks(ordered, parts):
                job = Job(tuple(parts[row] for row in rows), kept)
                run(job, upstream, Path(cache), threads=0 if device == "cpu" else os.cpu_count() or 1)

    return extract


def theirs(way: str, name: str, device: str) -> Callable[[list[Segment]], None]:
    import torch

    from upstreams.huggingface import factories
    from upstreams.huggingface.named_encoders import MODELS

    name = name.removeprefix("random:")
    module = factories.random(name).build()
    if way == "s3prl":
        from s3prl_checkpoints import for_s3prl

        with tempfile.TemporaryDirectory() as folder:
            named = for_s3prl(MODELS[name].family, module, Path(folder) / "checkpoint.pt")
            expert = upstreams.load(named).model.network().to(device)
    else:
        from transformers import Wav2Vec2FeatureExtractor

        module, prepare = module.to(device), Wav2Vec2FeatureExtractor()

    def hidden(samples):  # type: ignore[no-untyped-def]
        if way == "s3prl":
            return expert([torch.from_numpy(samples).to(device)])["hidden_states"]
        values = prepare(samples, sampling_rate=16000, return_tensors="pt").input_values.to(device)
        return module(values, output_hidden_states=True).hidden_states

    def extract(parts: list[Segment]) -> None:
        for part in parts:
            with torch.inference_mode():
                layers = torch.cat(list(hidden(decode(part, 16000))))
                torch.stack([layers.mean(1), layers.std(1, correction=0)]).cpu().numpy()

    return extract


def serve(way: str, name: str, device: str, pickled: str) -> None:
    """A process of one way: builds, tries one file, then answers each line with the seconds that all files took."""
    import torch

    torch.set_num_threads(1)
    parts = segments(pd.read_pickle(pickled))
    if way == PLAIN:
        products._gains = lambda: False
    extract = ours(name, way.split()[1], device) if way.startswith("emorep") else theirs(way, name, device)
    extract(parts[:1])
    print("ready", flush=True)
    for _ in sys.stdin:
        started, busy = time.perf_counter(), time.process_time()
        extract(parts)
        took = time.perf_counter() - started, time.process_time() - busy
        print(json.dumps([*took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]), flush=True)


def start(*arguments: str) -> subprocess.Popen[str]:
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", __file__, *arguments],
        env={**os.environ, **threads},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def answers(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout
    for line in process.stdout:
        if line.startswith(("ready", "[")):  # s3prl prints lines of its own
            yield line
    raise SystemExit("a process died; run its line with stderr open: see `start`")


def speed(pickled: Path, name: str, rounds: int, device: str) -> None:
    processes = {way: start("--serve", way, name, device, str(pickled)) for way in WAYS}
    lines = {way: answers(process) for way, process in processes.items()}
    for way in WAYS:
        next(lines[way])
    took: dict[str, list[tuple[float, float, float]]] = {way: [] for way in WAYS}
    for turn in range(rounds):
        for way in (*WAYS[turn % len(WAYS) :], *WAYS[: turn % len(WAYS)]):
            stdin = processes[way].stdin
            assert stdin
            stdin.write("go\n")
            stdin.flush()
            took[way].append(json.loads(next(lines[way])))
        print(f"round {turn + 1}: " + ", ".join("{} {:.1f} ({:.1f})".format(w, *took[w][-1]) for w in WAYS), flush=True)
    for process in processes.values():
        process.terminate()
    audio = float(pd.read_pickle(pickled)["duration"].sum())
    print(f"{'':<18}{'s':>8}{'cpu s':>8}{'h/h':>8}{'MB':>8}{'times s3prl':>13}{'by cpu':>8}")
    for way in WAYS:
        clock, cpu = (statistics.median(run[which] for run in took[way]) for which in (0, 1))
        ratios = [
            statistics.median(peer[which] / own[which] for peer, own in zip(took["s3prl"], took[way], strict=True))
            for which in (0, 1)
        ]
        print(
            f"{way:<18}{clock:>8.1f}{cpu:>8.1f}{audio / clock:>8.1f}{took[way][-1][2]:>8.0f}"
            f"{ratios[0]:>13.2f}{ratios[1]:>8.2f}"
        )


def peak(pickled: str, name: str, count: int) -> None:
    utterances = pd.read_pickle(pickled).sort_values("duration", ascending=False)
    utterances = utterances.iloc[:: max(1, len(utterances) // count)]  # the longest is always among them
    with tempfile.TemporaryDirectory() as cache:
        identity = upstreams.identify(upstreams.resolve(name))
        upstreams.extract(identity, utterances, {"pooled"}, upstreams.Extraction(Path(cache), "cpu", jobs=1))
    print(json.dumps([len(utterances), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", default=os.environ.get("EMOREP_DATA"), type=Path)
    parser.add_argument("--files", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", default="random:wav2vec2_base")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--memory", nargs=2, type=int, metavar="N")
    parser.add_argument("--serve", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(*arguments.serve)
        return
    if arguments.peak:
        pickled, name, count = arguments.peak
        peak(pickled, name, int(count))
        return
    if arguments.folder is None or not arguments.folder.is_dir():
        parser.error(f"no folder of audio: {arguments.folder}; give one, or set EMOREP_DATA")
    utterances = table(arguments.folder, max(arguments.memory or [arguments.files]))
    with tempfile.TemporaryDirectory() as folder:
        pickled = Path(folder) / "utterances.pkl"
        utterances.to_pickle(pickled)
        seconds = utterances["duration"]
        print(f"{arguments.model}, {len(utterances)} files of {seconds.min():.1f} to {seconds.max():.1f} s, ", end="")
        print(f"{seconds.sum() / 60:.1f} minutes")
        if not arguments.memory:
            speed(pickled, arguments.model, arguments.rounds, arguments.device)
            return
        for count in arguments.memory:
            answer = next(answers(start("--peak", str(pickled), arguments.model, str(count))))
            print("{:>6} utterances: {:.0f} MB".format(*json.loads(answer)))


if __name__ == "__main__":
    main()
