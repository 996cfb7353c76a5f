"""Time pre-training steps of a recipe, count their operations, and compare with this machine's matrix products.

    python studies/pretraining_speed.py [small|base|FILE] [--device cuda] [--precision fp32 bf16] [--threads 2]
                                     [--repeats 5] [--profile] [--processor-time]
                                     [--set batch.seconds=20 batch.micro_batches=1 ...]

Whole steps are timed as `pretrain` runs them (masks, teacher, clones, backward, AdamW, average), on made-up audio of
2 to 8 s; precisions in turns. The matrix peak is measured beside each step. `--profile` shows where a step's time
goes by kind of operation: what is not in matrix products and convolutions keeps a step from the peak.
On a machine that others use too, `--processor-time --threads 1` counts the processor's time instead of the clock's.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import torch

from commons.device import peak_memory
from upstreams.emotion2vec.flops import parts
from upstreams.pretraining import recipe as recipes
from upstreams.pretraining.batches import SAMPLE_RATE, Position, batches
from upstreams.pretraining.meter import matrix_peak, synchronize
from upstreams.pretraining.method import Speech
from upstreams.pretraining.pack import Pack
from upstreams.pretraining.processes import Processes
from upstreams.pretraining.train import Trainer

PRODUCTS = ("mm", "bmm", "conv", "attention", "linear")
ROWS = 12


def made_up(hours: float) -> Pack:
    """Noise in utterances of 2 to 8 s."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(2 * SAMPLE_RATE, 8 * SAMPLE_RATE, round(hours * 720))
    noise = rng.integers(-3000, 3000, 8 * SAMPLE_RATE).astype("<i2")
    zeros = np.zeros(len(lengths), int)
    return Pack((noise,), ("noise",) * len(lengths), zeros, zeros, zeros, lengths, (Path("noise"),), {}, "noise")


def step_of(trainer: Trainer, work, clock=time.perf_counter) -> float:
    """Seconds of a step."""
    synchronize(trainer.device)
    started = clock()
    position, micro_batches, _ = work
    optimiser = trainer.recipe.optimiser
    sums = trainer.backward(position, micro_batches)
    trainer.clip_gradients(trainer.gradient_norm(), optimiser.clip)
    trainer.optimiser_step(optimiser.rate_at(position.step))
    trainer.learner.moved(position.step, micro_batches, sums.statistics)
    synchronize(trainer.device)
    return clock() - started


def profile(trainer: Trainer, work) -> None:
    cuda = trainer.device.type == "cuda"
    with torch.profiler.profile() as profiler:
        step_of(trainer, work)
    rows = [
        (e.self_device_time_total if cuda else e.self_cpu_time_total, e.key, e.count) for e in profiler.key_averages()
    ]
    total = sum(seconds for seconds, *_ in rows)
    products = sum(seconds for seconds, name, _ in rows if any(p in name.lower() for p in PRODUCTS))
    print(f"  {100 * products / total:.0f} % of the time in matrix products and convolutions; the longest:")
    for seconds, name, count in sorted(rows, reverse=True)[:ROWS]:
        print(f"    {100 * seconds / total:5.1f} %  {count:5d} x  {name[:80]}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("recipe", nargs="?", default="small")
    options.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    options.add_argument("--precision", nargs="+", default=["fp32", "bf16"], choices=["fp32", "bf16"])
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE")
    options.add_argument("--profile", action="store_true")
    options.add_argument("--processor-time", action="store_true")
    options = options.parse_args()
    torch.set_num_threads(options.threads)
    clock = time.process_time if options.processor_time else time.perf_counter
    if options.processor_time and (options.threads > 1 or options.device != "cpu"):
        raise SystemExit("--processor-time wants --threads 1 and a CPU: threads that wait for each other count as well")
    device, pack = torch.device(options.device), made_up(2.0)

    trainers = {}
    for precision in options.precision:
        recipe = recipes.load(options.recipe, [*options.set, f"precision={precision}"])
        if recipe.teacher_frames:
            raise SystemExit("there are no teacher's frames of made-up audio: a recipe with distil cannot be timed")
        trainers[precision] = Trainer.begin(recipe, Speech(pack), device, Processes())
    work = next(batches(recipe, pack.lengths, Position()))
    samples = np.concatenate([micro.samples for micro in work[1]])
    frames, operations = int(recipe.network.frames(samples).sum()), parts(recipe, recipe.network, samples)
    total = sum(operations.values())

    seconds: dict[str, list[float]] = {precision: [] for precision in trainers}
    peaks: dict[str, list[float]] = {precision: [] for precision in trainers}
    for repeat in range(options.repeats + 1):
        for precision, trainer in trainers.items():
            taken, peak = step_of(trainer, work, clock), matrix_peak.__wrapped__(device, precision, clock)
            if repeat:  # the first is to warm up
                seconds[precision].append(taken)
                peaks[precision].append(peak)

    parameters = sum(p.numel() for p in trainers[precision].learner.student.parameters())
    taken_in = f"{len(samples)} utterances, {samples.sum() / SAMPLE_RATE:.0f} s, {frames} frames"
    where = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {options.threads} threads"
    print(f"{options.recipe}, {parameters / 1e6:.1f} M parameters, {where}")
    print(f"a step: {taken_in} x {recipe.batch.clones} clones; median of {options.repeats}")
    shares = ", ".join(f"{name} {100 * count / total:.0f} %" for name, count in operations.items())
    print(f"  {total / 1e9:.0f} GFLOP: {shares}")
    for precision, trainer in trainers.items():
        taken, peak = statistics.median(seconds[precision]), statistics.median(peaks[precision])
        share = statistics.median(total / s / p for s, p in zip(seconds[precision], peaks[precision], strict=True))
        print(f"{precision}: {taken:.3f} s a step, {frames / taken:.0f} frames/s, {total / taken / 1e9:.0f} GFLOP/s, "
              f"{100 * share:.0f} % of the matrix peak ({peak / 1e9:.0f} GFLOP/s)")  # fmt: skip
        if options.profile:
            profile(trainer, work)
    print(f"memory at its highest, all precisions: {peak_memory(str(device)):.0f} MB")


if __name__ == "__main__":
    main()
