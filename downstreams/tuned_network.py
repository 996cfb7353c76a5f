"""The network that fine-tuning trains: an upstream's encoder and a head on its frames."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Literal, cast

import numpy as np
import torch
from torch import Tensor

from commons.bf16 import autocast
from commons.corridors.features import Live
from commons.device import bf16_pays
from downstreams import chance, schedule
from downstreams.branches import Form, OfSymbols
from downstreams.class_loss import ClassLoss
from downstreams.frame_head import FrameHead, OnFrames, mean_of, norms_anew, padded
from downstreams.multi_task import Losses, MultiTaskHead
from downstreams.room import Room
from downstreams.settings import FineTune, FineTuneSpeechEq
from downstreams.shelf import State

# Seconds of audio, or characters of text, with padding, that are computed at once where memory holds them. A character
# costs about as much as 5 ms of audio: four of them are a word piece, and 50 frames a second.
AT_ONCE = {"audio": {"cpu": 60.0, "cuda": 400.0}, "text": {"cpu": 12_000.0, "cuda": 80_000.0}}


@dataclass(frozen=True)
class Batch:
    """Some utterances of one step, and their loss; a head of several targets has `Losses`."""

    rows: np.ndarray
    loss: ClassLoss | Losses

    @property
    def mixes(self) -> bool:
        """Whether its utterances are mixed with each other."""
        return (self.loss.of_classes if isinstance(self.loss, Losses) else self.loss).mixup > 0


class TunedNetwork:
    """An encoder, of which all but the convolutional front end, or adapters alone, are trained, and a head.

    The encoder runs as in evaluation: without dropout, layer drop or masking, and with the statistics that its batch
    norms have. So the features of an utterance do not depend on the others of its batch, and one seed gives one result.
    """

    def __init__(
        self,
        live: Live,
        classes: int,
        settings: FineTune,
        draws: torch.Generator,
        device: str,
        forms: Sequence[Form] = (),
    ) -> None:
        """`forms`: of the branches of a head of several targets."""
        self.live, self.settings, self.device = live, settings, torch.device(device)
        self.encoder = live.network()
        if settings.lora is not None:
            live.adapt(self.encoder, settings.lora, draws)
        for parameter in live.front(self.encoder):
            parameter.requires_grad_(False)
        self._checkpointed = settings.checkpointing
        if self._checkpointed:
            live.checkpoint(self.encoder)
        self.encoder.to(self.device)
        depth = live.depth if settings.layers == "weighted" else 1
        self.head = _head(depth, live.width, classes, settings, draws, forms).to(self.device)
        self.longest = settings.longest if live.modality == "audio" else None
        self.costs, self._whole_costs = live.costs(self.longest), live.costs()
        self.precision = precision_on(settings, self.device)
        most = AT_ONCE[live.modality]["cpu" if self.device.type == "cpu" else "cuda"]
        self._room, self._in_passes = Room(most), Room(most)  # passes without gradients take less memory

    def trained(self) -> dict[str, torch.nn.Parameter]:
        """The parameters of the encoder that are trained, by name."""
        return {name: own for name, own in self.encoder.named_parameters() if own.requires_grad}

    def changed(self) -> dict[str, Tensor]:
        """The weights of the encoder that training changes, by name: the trained ones, or the matrices with adapters
        added to them."""
        if self.settings.lora is None:
            return dict(self.trained())
        plain = dict(self.live.merged(self.encoder).named_parameters())
        adapted = {name.partition(".lora_")[0] for name in self.trained()}
        return {f"{name}.weight": plain[f"{name}.weight"] for name in sorted(adapted)}

    def groups(self) -> list[dict[str, object]]:
        """The parameters of the encoder and of the head, for an optimiser."""
        return [{"params": list(self.trained().values())}, {"params": list(self.head.parameters())}]

    def size(self) -> int:
        """How many values are trained."""
        parameters = [*self.trained().values(), *(own for own in self.head.parameters() if own.requires_grad)]
        return sum(own.numel() for own in parameters)

    def weights(self) -> State:
        """All that training changes: a copy, on the CPU."""
        encoder = {name: own.detach().cpu().clone() for name, own in self.trained().items()}
        return {"encoder": encoder, "head": copy.deepcopy({k: v.cpu() for k, v in self.head.state_dict().items()})}

    def load(self, weights: State) -> None:
        """Set all that training changes."""
        encoder, head = weights["encoder"], weights["head"]
        assert isinstance(encoder, dict) and isinstance(head, dict)
        self.load_encoder(encoder)
        self.head.load_state_dict(head)

    def load_encoder(self, values: Mapping[str, Tensor]) -> None:
        """Set values of the encoder, by their names."""
        known = dict(self.encoder.named_parameters())
        with torch.no_grad():
            for name, own in values.items():
                known[name].copy_(own)

    def moved(self, before: TunedNetwork) -> float:
        """How far the weights of the encoder that training changes are from those of another: relative L2."""
        pairs = zip(self.changed().values(), before.changed().values(), strict=True)
        with torch.no_grad():
            squares = [(float((a - b).square().sum()), float(b.square().sum())) for a, b in pairs]
        away, whole = (sum(part) for part in zip(*squares, strict=True))
        return (away / whole) ** 0.5 if whole else 0.0

    def backward(self, batch: Batch, draws: torch.Generator | None) -> float:
        """Set the gradients to those of a batch; returns its loss, the mean over its utterances.

        The batch is computed in parts: smaller ones, all anew, where the GPU's memory runs out. Where these would not
        help the costliest utterance, gradients are checkpointed from then on.

        Raises:
            DownstreamError: it does not hold a single utterance.
        """
        self.head.train()
        costs = self.costs[batch.rows]
        state, statistics = draws and draws.get_state(), [own.clone() for own in self.head.buffers()]
        while True:
            self.encoder.zero_grad()
            self.head.zero_grad()
            parts = self._room.parts(np.arange(len(batch.rows)), costs)
            do = partial(self._backward, batch, parts, draws)
            loss = self._room.tried(do, [costs[part] for part in parts], self._checkpoint)
            if loss is not None:
                return loss
            if draws is not None and state is not None:
                draws.set_state(state)
            for own, before in zip(self.head.buffers(), statistics, strict=True):
                own.copy_(before)

    def _checkpoint(self) -> bool:
        """Keep the inputs of blocks alone from now on; False: that was done before. Errors as of Live."""
        if self._checkpointed:
            return False
        self.live.checkpoint(self.encoder)
        self._checkpointed = True
        return True

    def _backward(self, batch: Batch, parts: list[np.ndarray], draws: torch.Generator | None) -> float:
        """Add the gradients of all parts; returns the loss.

        What takes all utterances at once, a batch norm of the head or mixup, takes the whole batch: then the frames of
        all parts are computed first, and again for their gradients.
        """
        if len(parts) > 1 and (self.head.norms() or batch.mixes):
            return self._backward_whole(batch, parts, draws)
        total = 0.0
        for part in parts:
            loss = self._loss(self.frames(batch.rows[part], self.longest), batch, part, draws)
            loss.backward()
            total += float(loss.detach())
        return total

    def _backward_whole(self, batch: Batch, parts: list[np.ndarray], draws: torch.Generator | None) -> float:
        order = np.concatenate(parts)
        with torch.no_grad():
            held = [one for part in parts for one in self.frames(batch.rows[part], self.longest)]
        leaves = [one.clone().requires_grad_() for one in held]
        loss = self._loss(leaves, batch, order, draws)
        loss.backward()
        start = 0
        for part in parts:
            again = self.frames(batch.rows[part], self.longest)
            torch.autograd.backward(again, [leaf.grad for leaf in leaves[start : start + len(part)]])
            start += len(part)
        return float(loss.detach())

    def _loss(self, frames: list[Tensor], batch: Batch, part: np.ndarray, draws: torch.Generator | None) -> Tensor:
        x, valid = padded(frames)
        if isinstance(batch.loss, Losses):
            assert isinstance(self.head, MultiTaskHead)
            return batch.loss(self.head, x, valid, batch.rows[part], draws, batch.rows)
        mix = batch.loss.mix(len(part), draws)
        return batch.loss(self.head(x, valid, draws, mix)[0], batch.rows[part], mix) / len(batch.rows)

    def frames(self, rows: Sequence[int] | np.ndarray, longest: float | None = None) -> list[Tensor]:
        """Frames (T_i, L', D) float32 of some utterances, of the layers that the head reads."""
        with self._autocast():
            outputs = self.live.frames(self.encoder, [int(row) for row in rows], longest)
        layers = slice(None) if self.settings.layers == "weighted" else slice(-1, None)
        return [output[layers].transpose(0, 1).float() for output in outputs]

    @torch.no_grad()
    def predict(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits (n, C), and vectors (n, P) before the classifier, of whole utterances."""
        self.head.eval()
        made = self._in_passes.each(rows, self._whole_costs, lambda part: self.head(*padded(self.frames(part))))
        ordered, outputs = zip(*made, strict=True)
        place = np.argsort(np.concatenate(ordered), kind="stable")[np.argsort(np.argsort(rows, kind="stable"))]
        logits, vectors = (torch.cat(own).cpu().numpy()[place] for own in zip(*outputs, strict=True))
        return logits, vectors

    @torch.no_grad()
    def decoded(self, own: OfSymbols, rows: np.ndarray) -> list[np.ndarray]:
        """The symbols that a branch of the head gives for whole utterances."""
        head = self.head.eval()
        assert isinstance(head, MultiTaskHead)
        made: dict[int, np.ndarray] = {}
        for part, symbols in self._in_passes.each(
            rows, self._whole_costs, lambda part: own.decoded(head.each_projected(*padded(self.frames(part))))
        ):
            made |= dict(zip(part.tolist(), symbols, strict=True))
        return [made[row] for row in rows.tolist()]

    @torch.no_grad()
    def last_layer(self, rows: np.ndarray) -> dict[int, np.ndarray]:
        """Frames (T_i, 1, D) float16 of the last layer, of the utterances `rows`."""
        made: dict[int, np.ndarray] = {}
        for part, several in self._in_passes.each(rows, self._whole_costs, self.frames):
            for row, own in zip(part, several, strict=True):
                made[int(row)] = own[:, -1:].cpu().numpy().astype(np.float16)
        return made

    def norms_anew(self, rows: np.ndarray, draws: torch.Generator) -> None:
        """Make the statistics of the head's batch norms anew, over one pass of the training utterances `rows`."""
        batches = schedule.one_pass(rows, self.settings.batch, draws)
        whole = (self._in_passes.each(one, self.costs, lambda part: self.frames(part, self.longest)) for one in batches)
        norms_anew(self.head, (padded([own for _, frames in parts for own in frames]) for parts in whole))

    def _autocast(self) -> AbstractContextManager[None]:
        # Without torch's cache of weights in bf16, which all threads share: a fold that leaves autocast empties it for
        # those beside it, whose gradients are then added up in another order, and no run would give the same bits.
        return autocast(self.device.type, self.precision == "bf16", cache=False)


def _head(
    depth: int, width: int, classes: int, settings: FineTune, draws: torch.Generator, forms: Sequence[Form]
) -> OnFrames:
    """The head that the settings name. Random numbers of branches come after all others, each from its own seed."""
    if not isinstance(settings, FineTuneSpeechEq):
        return FrameHead(settings.aggregator, depth, width, classes, settings, draws)
    start = draws.initial_seed()
    return MultiTaskHead(depth, width, classes, settings, forms, draws, lambda name: chance.generator(name, start))


def precision_on(settings: FineTune, device: torch.device) -> Literal["bf16", "fp32"]:
    """The precision that the settings ask for, on a device."""
    return faster(device) if settings.precision == "auto" else settings.precision


def faster(device: torch.device) -> Literal["bf16", "fp32"]:
    """The precision that pays on a device."""
    return "bf16" if bf16_pays(device.type) else "fp32"


def average(several: Iterable[State]) -> State:
    """The mean of the weights of several trainings' states; of statistics too, which are made anew after it."""
    states = list(several)
    mean: State = {}
    for part in ("encoder", "head"):
        own = [state[part] for state in states]
        mean[part] = mean_of(cast(list[dict[str, Tensor]], own))
    return mean


def draws_of(fold: str, seed: int, what: str) -> torch.Generator:
    """Random numbers for one purpose of a fold and seed, the same whenever a training goes on."""
    return chance.generator(f"{fold}\n{what}", seed)
