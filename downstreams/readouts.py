"""What one training of an encoder gives, by name: average, best and last, or what its second stage made of it."""

from __future__ import annotations

from commons import hashing
from downstreams.settings import FineTune

OF_STAGE = ("then_rates", "then_epochs")  # settings of a second stage alone


def read_out(settings: FineTune) -> str:
    """Which of what a training gives is the cell's."""
    return second_stage(settings) or settings.readout


def second_stage(settings: FineTune) -> str:
    """The name of the second stage, with a hash of its rates and epochs where these are not the usual; "" without one.

    Stages that differ may share one first stage, and must not be taken for each other.
    """
    if settings.then == "nothing":
        return ""
    own = {name: getattr(settings, name) for name in OF_STAGE}
    usual = {name: FineTune.model_fields[name].default for name in OF_STAGE}
    return settings.then if own == usual else f"{settings.then} {hashing.of_json(own)[:8]}"
