"""How the training of a fold and seed began: wherever it goes on, device and precision stay the same."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import cast

import numpy as np
import torch

from commons.errors import Notice
from downstreams.course import Setup
from downstreams.shelf import Shelf
from downstreams.tuned_network import precision_on

BEGUN = "begun"  # the state that says how; of trainings that earlier versions began it lacks


def as_begun(setup: Setup, shelf: Shelf, forget: Callable[[], None], keep: Collection[str] = ()) -> Setup:
    """The setup with the precision in which its training began, be it now.

    A training that began on a device of another kind, or in bf16 where that does not pay, begins anew.

    Args:
        shelf: of the fold and seed.
        forget: removes what the training has done.
        keep: the states of its weights that are to stay on the shelf.

    Raises:
        DownstreamError: it begins, and an utterance of dev or test has features that are not finite.
    """
    kind, usual = torch.device(setup.device).type, precision_on(setup.settings, torch.device(setup.device))
    state = shelf.get(BEGUN)
    if state is not None and (state["device"] != kind or state["precision"] not in ("fp32", usual)):
        warnings.warn(
            f"fold '{setup.fold.name}', seed {setup.seed}: its training began on {state['device']} in "
            f"{state['precision']}; here it would go on on {kind} in {usual}, so it begins anew",
            Notice,
            stacklevel=2,
        )
        forget()
        state = None
    if state is None:
        _look(setup)
        state = {"device": kind, "precision": usual, "keep": sorted(keep)}
        shelf.put(BEGUN, state)
    return replace(setup, settings=setup.settings.model_copy(update={"precision": state["precision"]}))


def to_be_kept(shelf: Shelf) -> set[str]:
    """The states of weights that a training which has begun and is not done is to leave on the shelf."""
    state = shelf.get(BEGUN) or {}
    return set(cast(list[str], state.get("keep", [])))


def _look(setup: Setup) -> None:
    """Raise the error for an utterance of dev or test whose features are not finite, before hours of training."""
    rows = np.unique(np.concatenate([setup.fold.dev, setup.fold.tested]))
    logits, _ = setup.network().predict(rows)
    bad = rows[~np.isfinite(logits).all(1)]
    if len(bad) and (fault := setup.fault(bad)):
        raise fault
