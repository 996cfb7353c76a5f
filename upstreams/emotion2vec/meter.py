"""What the log says of a run: losses, variances, speed."""

from __future__ import annotations

import resource
import sys
import time

import torch
from torch import Tensor

from upstreams.emotion2vec.batches import MicroBatch, frames_of
from upstreams.emotion2vec.counting import step_flops
from upstreams.emotion2vec.matrix_peak import matrix_peak
from upstreams.emotion2vec.objective import spread
from upstreams.emotion2vec.recipe import Recipe
from upstreams.emotion2vec.runfolder import Position

Line = dict[str, float]  # of the log, by what it tells


class Sums:
    """What the processes add up after a step, in one tensor: each micro-batch's losses, and moments."""

    def __init__(self, micro_batches: int, dim: int, masked: int, utterances: int, device: torch.device) -> None:
        self.masked, self.utterances = masked, utterances  # frames, every clone counted; utterances, once each
        self.flat = torch.zeros(4 * micro_batches + 6 * dim, dtype=torch.float64, device=device)
        self.losses = self.flat[: 4 * micro_batches].view(-1, 4)  # as in objective.Terms, divided by the step's counts
        self.moments = self.flat[4 * micro_batches :].view(3, 2, dim)

    def add(self, number: int, losses: Tensor, moments: Tensor) -> None:
        self.losses[number] += losses.detach()
        self.moments += moments


class Meter:
    """Averages over the steps since the last line of the log."""

    def __init__(self, recipe: Recipe, device: torch.device, processes: int) -> None:
        self.recipe, self.network, self.device = recipe, recipe.network, device
        self.peak = processes * matrix_peak(device, recipe.precision)
        self._begin()

    def line(
        self, at: Position, after: Position, step: list[MicroBatch], sums: Sums, moved: dict[str, float]
    ) -> Line | None:
        """The log's line after a step, every `log_every` steps; losses and speed since the last one."""
        self._losses.append(sums.losses.sum(0))
        self._frames += sum(int(frames_of(self.network, micro.samples).sum()) for micro in step)
        self._flops += step_flops(self.recipe, self.network, step)
        if after.step % self.recipe.log_every and after.step != self.recipe.optimiser.steps:
            return None
        frame, utterance, side, summary = torch.stack(self._losses).mean(0).tolist()
        seconds = time.perf_counter() - self._since
        loss, (targets, predictions, utterances) = self.recipe.loss, list(sums.moments)
        line = {
            "step": after.step,
            "epoch": at.epoch,
            "loss": loss.frame * frame + loss.alpha * utterance + loss.side * side + loss.summary * summary,
            "frame_loss": frame,
            "utterance_loss": utterance,
            **({"side_loss": side} if loss.side_targets else {}),
            **({"summary_loss": summary} if loss.summary else {}),
            "target_var": spread(targets, sums.masked),
            "prediction_var": spread(predictions, sums.masked),
            "utterance_target_var": spread(utterances, sums.utterances),
            **moved,
            "frames_per_second": self._frames / seconds,
            "share_of_peak": self._flops / seconds / self.peak,
            "memory_mb": peak_memory(self.device),
            "seconds": seconds,
        }
        self._begin()
        return {name: float(f"{v:.6g}") if isinstance(v, float) else v for name, v in line.items()}

    def _begin(self) -> None:
        self._losses: list[Tensor] = []
        self._frames, self._flops, self._since = 0, 0.0, time.perf_counter()


def peak_memory(device: torch.device) -> float:
    """MB: of the GPU, or resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
