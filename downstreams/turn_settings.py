"""The settings of heads of conversations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, JsonValue

from downstreams.settings import Batch, Epochs, Grid, Pooling, Size, Trained


class _Turns(Trained, Pooling):
    """What the heads of conversations share: one schedule for all, so that they differ in the network alone."""

    later: ClassVar[tuple[str, ...]] = (*Pooling.later, *Trained.later)
    context: bool = True
    projector: Size = 100
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    batch: Batch = 8
    rates: Grid = Field(default=[3e-4, 1e-3, 3e-3])
    decay: Annotated[float, Field(ge=0)] = 1e-3
    epochs: Epochs = 60


class Gru(_Turns):
    """Of `context_gru` and `no_context`."""

    network: Literal["gru"] = "gru"
    hidden: Size = 100


class RecentGru(_Turns):
    """Of `recent_gru`."""

    network: Literal["recent_gru"] = "recent_gru"
    hidden: Size = 100
    layers: Annotated[int, Field(ge=1, le=8)] = 2
    turns: Annotated[int, Field(ge=1, le=100)] = 6  # the turn itself is the last of them


class DialogueRnn(_Turns):
    """Of `dialogue_rnn`: sizes as in DialogueRNN's published code for MELD (train_MELD.py of conv-emotion)."""

    network: Literal["dialogue_rnn"] = "dialogue_rnn"
    global_: Size = Field(default=150, alias="global")
    party: Size = 150
    emotion: Size = 100
    hidden: Size = 100


OfTurns = Gru | RecentGru | DialogueRnn


def of_conversation(settings: Mapping[str, JsonValue]) -> OfTurns:
    """The settings of a head of conversations, by the network that they name. Raises pydantic's ValidationError."""
    models: dict[str, type[OfTurns]] = {"recent_gru": RecentGru, "dialogue_rnn": DialogueRnn}
    return models.get(str(settings.get("network")), Gru).model_validate(settings)
