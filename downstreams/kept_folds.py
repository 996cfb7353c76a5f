"""Results of folds as states on a shelf, with which a run that was killed goes on at the next fold."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from pydantic import JsonValue

from commons.corridors.fitted import Fitted
from commons.corridors.predictions import Choice
from commons.corridors.problem import Fold
from downstreams.assembly import FoldResult
from downstreams.shelf import State

RESULT = "result"  # the name of the state with which a fold and seed is done


def as_state(result: FoldResult) -> State:
    """A result as tensors and plain values."""
    fitted = result.fitted
    return {
        "choice": result.choice,
        "figure": result.figure,
        "probabilities": torch.as_tensor(result.probabilities),
        "outputs": torch.as_tensor(result.outputs),
        "layer_weights": result.layer_weights,
        "dev": None if result.dev is None else torch.as_tensor(result.dev),
        "facts": None if fitted is None else dict(fitted.facts),
        "arrays": {} if fitted is None else {name: torch.as_tensor(own) for name, own in fitted.arrays.items()},
        "more": result.more,
    }


def of_state(fold: Fold, seed: int, state: State) -> FoldResult:
    """The result of a fold and seed that such a state holds."""
    dev, facts = cast(torch.Tensor | None, state["dev"]), cast(dict[str, JsonValue] | None, state["facts"])
    arrays = {name: own.numpy() for name, own in cast(dict[str, torch.Tensor], state["arrays"]).items()}
    return FoldResult(
        fold,
        seed,
        cast(Choice, state["choice"]),
        cast(float, state["figure"]),
        _plain(state["probabilities"]),
        _plain(state["outputs"]),
        cast(list[float] | None, state["layer_weights"]),
        None if dev is None else dev.numpy(),
        None if facts is None else Fitted(fold.name, seed, facts, arrays),
        cast(State, state["more"]),
    )


def _plain(tensor: object) -> np.ndarray:
    return cast(torch.Tensor, tensor).numpy()
