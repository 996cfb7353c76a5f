"""Time emotion2vec base at batch one, ours against FunASR's package, and ours in batches.

    python studies/emotion2vec_inference.py [--funasr PYTHON] [--seconds 1 4 15] [--threads 1] [--rounds 9]

PYTHON is an interpreter with `funasr` (pip install funasr); without it ours is timed alone. The two take turns, each
in a process of its own with as many threads; the median of the rounds and of their ratios. Each takes a waveform to
the last frames, normalisation included; weights are random, which costs the same.
"""

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
THEIRS = Path(__file__).with_name("emotion2vec_funasr.py")


class Worker:
    """A process that answers how many seconds a batch took."""

    def __init__(self, python: str, script: Path, threads: int) -> None:
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": path}
        self.process = subprocess.Popen(
            [python, str(script), "--worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def __call__(self, batch: int, samples: int) -> float:
        assert self.process.stdin and self.process.stdout
        print(batch, samples, file=self.process.stdin, flush=True)
        for line in self.process.stdout:
            if line.startswith("took "):
                return float(line.split()[1])
        sys.exit(f"{self.process.args} ended with status {self.process.wait()}")


def work() -> None:
    """Ours, as a worker."""
    import time

    import torch

    from upstreams.emotion2vec.model import Emotion2vec

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    model = Emotion2vec().eval()
    for line in sys.stdin:
        batch, samples = map(int, line.split())
        waveforms = torch.randn(batch, samples)
        started = time.perf_counter()
        with torch.inference_mode():
            model(waveforms)
        print("took", time.perf_counter() - started, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--funasr", metavar="PYTHON")
    parser.add_argument("--seconds", type=float, nargs="+", default=[1, 4, 15])
    parser.add_argument("--batch", type=int, default=8, help="of ours in batches (default 8)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    ours = Worker(sys.executable, Path(__file__), options.threads)
    theirs = Worker(options.funasr, THEIRS, options.threads) if options.funasr else None
    print(f"{'audio':>8}{'ours':>10}{'FunASR':>10}{'ratio':>8}{f'ours, {options.batch} at once, each':>26}")
    for seconds in options.seconds:
        samples = round(seconds * 16000)
        rows = []
        for turn in range(options.rounds + 1):
            row = ours(1, samples), theirs(1, samples) if theirs else float("nan"), ours(options.batch, samples)
            rows += [row] if turn else []  # the first one warms up
        mine, other, many = (statistics.median(column) for column in zip(*rows, strict=True))
        ratio = statistics.median(row[1] / row[0] for row in rows)
        figures = f"{mine * 1e3:>7.0f} ms{other * 1e3:>7.0f} ms{ratio:>8.2f}{many / options.batch * 1e3:>23.0f} ms"
        print(f"{seconds:>6g} s{figures}")


if __name__ == "__main__":
    work() if "--worker" in sys.argv else main()
