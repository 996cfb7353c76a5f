"""What one training of an encoder gives, by name: average, best and last, or what its second stage made of it."""

from __future__ import annotations

from commons import hashing
from downstreams.settings import SIZES, FineTune, PlainSettings

THEN = ("then_rates", "then_epochs", "then_averaged")
OF_STAGE = (*THEN, *SIZES)  # what the network of a second stage, and its training, are made by
AFTER_TRAINING = ("readout", "then", *THEN)


def read_out(settings: FineTune) -> str:
    """Which of what a training gives is the cell's."""
    return second_stage(settings) or settings.readout


def second_stage(settings: FineTune) -> str:
    """The name of the second stage, with a hash of its own settings where these are not the usual; "" without one.

    Stages that differ may share one first stage, and must not be taken for each other.
    """
    if settings.then == "nothing":
        return ""
    own = {name: getattr(settings, name) for name in OF_STAGE}
    usual = {name: FineTune.model_fields[name].default for name in OF_STAGE}
    return settings.then if own == usual else f"{settings.then} {hashing.of_json(own)[:8]}"


def of_training(settings: PlainSettings) -> PlainSettings:
    """The settings on which a long training depends: not what is made of it, nor sizes that its head does not have."""
    unused = (*AFTER_TRAINING, *SIZES) if settings.get("aggregator") == "mean" else AFTER_TRAINING
    return {name: value for name, value in settings.items() if name not in unused}
