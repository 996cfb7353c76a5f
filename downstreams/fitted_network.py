"""Fine-tuned networks that are kept: on the shelf of their training, as a fitted head, and applied again.

A read-out has two states on the shelf: its head, and the trained weights of its encoder. The second stage of
`finetune_ecapa` has a head of its own on the encoder of the average.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from pydantic import JsonValue
from torch import Tensor

from commons import files
from commons.corridors.features import Features
from commons.corridors.fitted import Answers, Fitted
from downstreams import branch_answers, readouts
from downstreams.course import Setup
from downstreams.errors import DownstreamError
from downstreams.frame_training import arrays_of, of_frames, state_of
from downstreams.held_frames import HeldFrames
from downstreams.multi_task import MultiTaskHead
from downstreams.second_stage import TunedFrames
from downstreams.settings import FineTune, of_finetuning
from downstreams.shelf import Shelf
from downstreams.tuned_network import TunedNetwork

HEAD, ENCODER = "head ", "encoder "  # before the name of a read-out
PREFIXES = (HEAD, ENCODER)
VALUES = "values.safetensors"  # of a folder: the trained values of an encoder that no upstream reads
TRAINED = "encoder."  # before the names of such values among a fitted head's arrays


def states_of(keep: Collection[str], settings: FineTune) -> set[str]:
    """Names of the states of these read-outs, as far as a training with these settings makes them."""
    names: set[str] = set()
    for readout in keep:
        first = readout in ("average", "best", "last")
        names.add(ENCODER + (readout if first else "average"))
        names |= {HEAD + readout} if first or readouts.second_stage(settings) == readout else set()
    return names


def put(shelf: Shelf, readout: str, network: TunedNetwork, kept: Collection[str]) -> None:
    """Put the head and the encoder of a read-out on the shelf, where these are among the states `kept`."""
    if ENCODER + readout in kept:
        shelf.put(ENCODER + readout, cast(dict[str, object], network.weights()["encoder"]))
    if HEAD + readout in kept:
        shelf.put(HEAD + readout, {name: torch.tensor(own) for name, own in arrays_of(network.head).items()})


def put_head(shelf: Shelf, readout: str, made: Fitted | None) -> None:
    """Put the head of a second stage on the shelf."""
    assert made is not None
    shelf.put(HEAD + readout, {name: torch.tensor(own) for name, own in made.arrays.items()})


def fitted(shelf: Shelf, setup: Setup, precision: str) -> Fitted:
    """The head of a fold and seed, whose weights the shelf has."""
    head = cast(dict[str, Tensor], shelf.get(HEAD + readouts.read_out(setup.settings)))
    arrays = {name: own.numpy() for name, own in head.items()}
    facts = {"precision": precision, **branch_answers.facts_of([label.form for label in setup.labels()])}
    return Fitted(setup.fold.name, setup.seed, facts, arrays, Encoder(shelf, setup))


@dataclass(frozen=True)
class Encoder:
    """The encoder of a fold and seed: what commons.corridors.fitted.TunedEncoder is."""

    shelf: Shelf
    setup: Setup

    def write(self, folder: Path, seen: Mapping[str, str]) -> str:
        """Write it into a new folder: as an upstream, or where there is no such form, the trained values alone.

        Raises:
            EmorepError: it cannot be written.
        """
        settings = self.setup.settings
        name = ENCODER + ("average" if readouts.second_stage(settings) else settings.readout)
        network = self.setup.network()
        network.load_encoder(cast(dict[str, Tensor], self.shelf.get(name)))
        live, plain = self.setup.live, settings.lora is None  # modules with old weight norms cannot be copied
        form = live.write(network.encoder if plain else live.merged(network.encoder), folder, seen)
        if not form:
            from safetensors.torch import save

            values = {name: own.detach().cpu().contiguous() for name, own in network.changed().items()}
            try:
                folder.mkdir(parents=True, exist_ok=True)
                files.write(folder / VALUES, save(values))
            except OSError as error:
                raise DownstreamError(f"{folder}: cannot be written ({error.strerror or error}); make room") from error
        return form


def with_values(own: Fitted, folder: Path) -> Fitted:
    """The fitted head with the trained values that a folder holds among its arrays; itself where it holds none."""
    path = folder / VALUES
    if not path.is_file():
        return own
    from safetensors.numpy import load_file

    values = {TRAINED + name: one for name, one in load_file(path).items()}
    return Fitted(own.fold, own.seed, own.facts, {**own.arrays, **values})


def apply(own: Fitted, settings: Mapping[str, JsonValue], features: Features, device: str) -> Answers:
    """The answers of a fine-tuned network, those of its branches among them.

    `features.live` is of the encoder that was written; where no upstream reads that, of the upstream as it was, and
    the trained values are put in their places.

    Raises:
        DownstreamError: an utterance has features that are not finite.
    """
    assert features.live is not None
    asked = of_finetuning(settings)
    values = {name[len(TRAINED) :]: torch.tensor(one) for name, one in own.arrays.items() if name.startswith(TRAINED)}
    live = features.live if asked.top is None else features.live.top(asked.top)  # blocks below are in fp32 always
    plain = {"top": None, "lora": None, "checkpointing": False, "precision": own.facts["precision"]}
    as_applied = of_finetuning({**asked.plain(), **plain})
    head, forms = state_of(own), branch_answers.forms_of(own)
    network = TunedNetwork(live, len(head["classifier.bias"]), as_applied, torch.Generator(), device, forms)
    network.load_encoder(values)
    if asked.then == "ecapa":
        every = np.arange(len(features.ids))
        frames = HeldFrames(TunedFrames(network, len(every), every), features.ids, device)
        return of_frames(own, asked.then, asked, frames)
    network.head.load_state_dict(head)
    rows = np.arange(len(features.ids))
    logits, vectors = network.predict(rows)
    if not np.isfinite(logits).all():
        bad = features.ids[~np.isfinite(logits).all(1)][0]
        raise DownstreamError(f"utterance '{bad}' has features that are not finite; replace its file")
    made = Answers(torch.as_tensor(logits).softmax(1).numpy())
    if not isinstance(network.head, MultiTaskHead):
        return made
    return replace(
        made,
        further=branch_answers.of_fitted(
            network.head, forms, vectors, network.device, lambda branch: network.decoded(branch, rows)
        ),
    )
