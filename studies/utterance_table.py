"""How long a large utterance table takes once its audio is known: 100,000 utterances of MSP-Podcast's layout.

    python studies/utterance_table.py [--utterances N] [--folder DIR]

The tree (tiny files that all differ) is written and read once; each run after that is a process of its own.
"""

from __future__ import annotations

import argparse
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LOAD = """
import resource, sys, time
from pathlib import Path
started = time.perf_counter()
import tasks
task = tasks.load("msp_podcast", tasks.Options(Path(sys.argv[1]), Path(sys.argv[2])))
seconds = time.perf_counter() - started
print(len(task.utterances), seconds, time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def wav(number: int) -> bytes:
    """A WAV of eight samples that no other number has."""
    samples = struct.pack("<8h", *((number >> shift) % 8 for shift in range(0, 24, 3)))
    facts = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 16000, 32000, 2, 16)
    body = b"WAVE" + facts + struct.pack("<4sI", b"data", len(samples)) + samples
    return b"RIFF" + struct.pack("<I", len(body)) + body


def write(data: Path, utterances: int) -> None:
    """The tree of a release: seven tenths train, one dev, two test, a speaker every fifty utterances."""
    audio, labels = data / "MSP-Podcast" / "Audios", data / "MSP-Podcast" / "Labels"
    audio.mkdir(parents=True)
    labels.mkdir()
    lines = ["FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set"]
    for number in range(utterances):
        name = f"MSP-PODCAST_{number // 1000:04d}_{number % 1000:04d}.wav"
        (audio / name).write_bytes(wav(number))
        part = (["Train"] * 7 + ["Development", "Test1", "Test1"])[number // 50 % 10]
        lines.append(f"{name},{'ASHUFDCN'[number % 8]},4.0,{1 + number % 7}.0,4.0,{number // 50},Female,{part}")
    (labels / "labels_consensus.csv").write_text("\n".join(lines) + "\n")


def run(data: Path, cache: Path) -> tuple[int, float, float, float]:
    """Utterances, seconds, seconds of computing (with its start) and peak memory (MB) of one load by itself."""
    command = [sys.executable, "-c", LOAD, str(data), str(cache)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return int(out[0]), float(out[1]), float(out[2]), float(out[3])


def main() -> None:
    """Writes the tree, reads it once, then measures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--utterances", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="where the tree is written (default: a temporary folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        data, cache = Path(folder) / "data", Path(folder) / "cache"
        started = time.perf_counter()
        write(data, options.utterances)
        print(f"written in {time.perf_counter() - started:.1f} s")
        print("first time  {} utterances, {:.1f} s ({:.1f} s computing), {:.0f} MB".format(*run(data, cache)))
        again = [run(data, cache) for _ in range(3)]
        seconds, computing = (statistics.median(row[i] for row in again) for i in (1, 2))
        most = max(row[3] for row in again)
        print(f"after that  {seconds:.2f} s ({computing:.2f} s computing), medians of 3, {most:.0f} MB")


if __name__ == "__main__":
    main()
