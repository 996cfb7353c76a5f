"""How fast upstreams turn audio into features: hours of audio an hour, where time goes, memory, one worker and two.

    python studies/extraction_speed.py [FOLDER] [--files N] [--upstreams NAME ...] [--repeats N]

FOLDER (default $EMOREP_DATA) is searched for audio; N files are taken evenly from it. Every measurement is a process
of its own with an empty store, so start-up is included; one and two workers take turns; the median is printed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import soundfile

import upstreams
from commons import places

UPSTREAMS = ["fbank", "mfcc", "prosody", "opensmile", "random:wav2vec2_base"]
SUFFIXES = {".wav", ".flac", ".opus", ".ogg", ".mp3"}
PHASES = ("decode", "forward", "write")


def table(folder: Path, files: int) -> pd.DataFrame:
    """Utterances of a folder, one a file."""
    audio = sorted(path.resolve() for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    chosen = [audio[i * len(audio) // files] for i in range(files)] if len(audio) > files else audio
    facts = {
        "path": [str(path) for path in chosen],
        "sha256": [hashlib.sha256(path.read_bytes()).hexdigest() for path in chosen],
        "duration": [soundfile.info(path).duration for path in chosen],
    }
    return pd.DataFrame(facts, index=pd.Index([str(i) for i in range(len(chosen))], name="id"))


def measure(name: str, utterances: pd.DataFrame, jobs: int) -> dict[str, float]:
    """Cold and second extraction in this process: seconds by phase, and peak memory in MB."""
    with tempfile.TemporaryDirectory() as cache:
        identity = upstreams.identify(upstreams.resolve(name, places.of_environment()))
        options = upstreams.Extraction(Path(cache), "cpu", jobs)
        cold = upstreams.extract(identity, utterances, {"pooled"}, options)
        started = time.perf_counter()
        upstreams.extract(identity, utterances, {"pooled"}, options)
        again = time.perf_counter() - started
    own, worker = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {**cold.seconds, "again": again, "audio": cold.audio_seconds, "memory": max(own, worker) / 1024}


def in_a_process(name: str, pickled: Path, jobs: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", name, str(pickled), str(jobs)]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    done = subprocess.run(command, env={**os.environ, **threads}, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", default=os.environ.get("EMOREP_DATA"), type=Path)
    parser.add_argument("--files", type=int, default=256)
    parser.add_argument("--upstreams", nargs="+", default=UPSTREAMS)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        name, pickled, jobs = arguments.measure
        print(json.dumps(measure(name, pd.read_pickle(pickled), int(jobs))))
        return
    if arguments.folder is None or not arguments.folder.is_dir():
        parser.error(f"no folder of audio: {arguments.folder}; give one, or set EMOREP_DATA")
    utterances = table(arguments.folder, arguments.files)
    if utterances.empty:
        parser.error(f"{arguments.folder} holds no audio ({', '.join(sorted(SUFFIXES))})")
    print(f"{len(utterances)} files, {utterances['duration'].sum() / 60:.1f} minutes; median of {arguments.repeats}")
    print(
        f"{'upstream':<22}{'workers':>8}{'h/h':>8}{'s':>8}"
        f"{'decode':>8}{'forward':>8}{'write':>7}{'MB':>7}{'again s':>9}"
    )
    with tempfile.TemporaryDirectory() as folder:
        pickled = Path(folder) / "utterances.pkl"
        utterances.to_pickle(pickled)
        for name in arguments.upstreams:
            report(name, pickled, arguments.repeats)


def report(name: str, pickled: Path, repeats: int) -> None:
    """One upstream, with one and two workers in turn."""
    measured: dict[int, list[dict[str, float]]] = {1: [], 2: []}
    for repeat in range(repeats):
        for jobs in (1, 2) if repeat % 2 == 0 else (2, 1):
            measured[jobs].append(in_a_process(name, pickled, jobs))
    for jobs, runs in measured.items():
        middle = {fact: statistics.median(run[fact] for run in runs) for fact in runs[0]}
        busy = sum(middle[phase] for phase in PHASES)
        shares = [f"{middle[phase] / busy:.0%}" for phase in PHASES]
        print(
            f"{name:<22}{jobs:>8}{middle['audio'] / middle['total']:>8.1f}{middle['total']:>8.1f}"
            f"{shares[0]:>8}{shares[1]:>8}{shares[2]:>7}{middle['memory']:>7.0f}{middle['again']:>9.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
