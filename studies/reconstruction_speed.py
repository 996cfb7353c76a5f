"""Time pre-training steps of Mockingjay and NPC beside s3prl's own modules, on the same batch and sizes.

    python studies/reconstruction_speed.py [mockingjay_small|npc_small|mockingjay|npc] [--repeats 5] [--seconds 24]

A step is spectra of the waveforms, masks, forward, backward, clipping and the optimiser, on one thread; processor time,
steps in turns, medians. s3prl's step is composed of its extracter, its masks, its modules and its optimiser, as its
pre-training does it in fp32. Made-up audio of 2 to 8 s. The matrix peak is measured after each step.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from pretraining_speed import made_up, step_of

from upstreams.mockingjay.config import ModelConfig
from upstreams.npc.config import ModelConfig as NpcConfig
from upstreams.pretraining import recipe as recipes
from upstreams.pretraining.batches import MicroBatch, Position, batches
from upstreams.pretraining.meter import matrix_peak
from upstreams.pretraining.method import Speech
from upstreams.pretraining.processes import Processes
from upstreams.pretraining.train import Trainer
from upstreams.torchaudio_repair import repair_for_s3prl

CPU = torch.device("cpu")
CLIP = 5.0
Step = Callable[[], None]
Work = tuple[Position, list[MicroBatch], Position]


def waveforms(speech: Speech, micro: MicroBatch) -> list[torch.Tensor]:
    rows = zip(micro.utterances, micro.starts, micro.samples, strict=True)
    return [torch.from_numpy(speech.pack.samples(int(u))[start : start + n].copy()) for u, start, n in rows]


def their_mockingjay(config: ModelConfig, waves: list[torch.Tensor]) -> Step:
    """s3prl's step: pretrain/mockingjay, upstream/mockingjay, optimizers.py."""
    from s3prl.optimizers import get_AdamW_with_schedule
    from s3prl.pretrain.mockingjay.task import generate_masked_acoustic_model_data
    from s3prl.upstream.baseline.extracter import get_extracter
    from s3prl.upstream.mockingjay.model import TransformerConfig, TransformerModel, TransformerSpecPredictionHead

    audio = {"kaldi": {"feat_type": "fbank", "fbank": {"num_mel_bins": config.acoustic.bins}}, "delta": {"order": 2},
             "cmvn": {"use_cmvn": True}}  # fmt: skip
    extracter, width, _ = get_extracter(audio)
    of = TransformerConfig({
        "hidden_size": config.dim, "num_hidden_layers": config.layers, "num_attention_heads": config.heads,
        "hidden_act": "gelu", "intermediate_size": config.ffn, "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.attention_dropout, "initializer_range": 0.02, "layer_norm_eps": 1e-12,
        "share_layer": False, "pre_layer_norm": False,
    })  # fmt: skip
    model, head = TransformerModel(of, width), TransformerSpecPredictionHead(of, width)
    parameters = [*model.parameters(), *head.parameters()]
    optimiser = get_AdamW_with_schedule([model, head], total_steps=1000)
    task = {"position_encoding_size": config.dim, "mask_proportion": 0.15, "mask_consecutive_min": 7,
            "mask_consecutive_max": 7, "mask_allow_overlap": True, "mask_frequency": 0,
            "noise_proportion": 0}  # fmt: skip

    def step() -> None:
        spectra = torch.nn.utils.rnn.pad_sequence([extracter(wave) for wave in waves], batch_first=True)
        masked, places, labels, attention, target = generate_masked_acoustic_model_data((spectra,), task)
        last = model(masked, places.expand(len(masked), -1, -1), attention, output_all_encoded_layers=False)
        predicted, _ = head(last)
        loss = torch.nn.functional.l1_loss(predicted.masked_select(labels), target.masked_select(labels))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, CLIP)
        optimiser.step()
        optimiser.zero_grad()

    return step


def their_npc(config: NpcConfig, waves: list[torch.Tensor]) -> Step:
    """s3prl's step: pretrain/npc, upstream/npc, optimizers.py."""
    from s3prl.upstream.npc.audio import create_transform
    from s3prl.upstream.npc.npc import NPC

    audio = {"feat_type": "fbank", "feat_dim": config.acoustic.bins, "frame_length": 25, "frame_shift": 10}
    transform, width = create_transform(audio)
    vq = {"codebook_size": [config.codes] * config.groups, "code_dim": [config.dim // config.groups] * config.groups,
          "gumbel_temperature": 1.0}  # fmt: skip
    model = NPC(width, config.dim, config.blocks, config.dropout, True, config.kernel, config.mask, vq)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step() -> None:
        several = [transform(wave[None]) for wave in waves]
        spectra = torch.nn.utils.rnn.pad_sequence(several, batch_first=True)
        predicted, _ = model(spectra)
        apart = (predicted - spectra).abs()
        loss = sum(apart[i, : len(one)].mean(-1).sum() for i, one in enumerate(several)) / sum(map(len, several))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimiser.step()
        optimiser.zero_grad()

    return step


def anew(work: Work) -> Work:
    """The same work as a step that no learner has seen, so that it draws masks."""
    position, micro_batches, after = work
    return position, list(micro_batches), after


def timed(step: Step) -> float:
    started = time.process_time()
    step()
    return time.process_time() - started


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("recipe", nargs="?", default="mockingjay_small")
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--seconds", type=float, default=24.0, help="of audio in a batch, padding included")
    options = options.parse_args()
    torch.set_num_threads(1)
    repair_for_s3prl()
    speech, trainers = Speech(made_up(0.3)), {}
    changes = [f"batch.seconds={options.seconds}", "batch.micro_batches=1"]
    for precision in ("fp32", "bf16"):
        recipe = recipes.load(options.recipe, [*changes, f"precision={precision}"])
        trainers[precision] = Trainer.begin(recipe, speech, CPU, Processes())
    work = next(batches(recipe, speech.pack.lengths, Position()))
    learner, waves = trainers["fp32"].learner, waveforms(speech, work[1][0])
    theirs = (their_npc if recipe.method == "npc" else their_mockingjay)(recipe.network, waves)
    steps: dict[str, Step] = {
        "s3prl, fp32": theirs,
        **{f"ours, {name}": lambda t=trainer: step_of(t, anew(work)) for name, trainer in trainers.items()},
    }
    frames, operations = int(learner.framing.frames(work[1][0].samples).sum()), learner.flops(work[1])
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    shares: dict[str, list[float]] = {name: [] for name in steps}
    for repeat in range(options.repeats + 1):
        for name, step in steps.items():
            taken = timed(step)
            peak = matrix_peak.__wrapped__(CPU, name.rpartition(" ")[2], time.process_time)
            if repeat:  # the first is to warm up
                seconds[name].append(taken)
                shares[name].append(operations / taken / peak)
    count = sum(p.numel() for p in learner.trained[0].parameters())
    print(f"{options.recipe}, {count / 1e6:.1f} M parameters; a step: {len(waves)} utterances, {frames} frames, "
          f"{operations / 1e9:.0f} GFLOP; median of {options.repeats}")  # fmt: skip
    for name, several in seconds.items():
        taken, share = statistics.median(several), statistics.median(shares[name])
        print(f"  {name}: {taken:.3f} s a step, {frames / taken:.0f} frames/s, {100 * share:.0f} % of the matrix peak")


if __name__ == "__main__":
    main()
