"""Keeps a row's softmax to the classes that it may have: those of its own corpus (`Problem.allowed`)."""

from __future__ import annotations

import numpy as np
import torch

from commons.corridors.problem import Problem


def of_rows(problem: Problem, rows: np.ndarray, device: torch.device | str) -> torch.Tensor | None:
    """(n, C) bool, the classes that some rows may have; None where all may have all."""
    return None if problem.allowed is None else torch.as_tensor(problem.allowed[rows], device=device)


def within(outputs: torch.Tensor, allowed: torch.Tensor | None) -> torch.Tensor:
    """Logits with -inf for the classes that a row may not have, as they are where `allowed` is None.

    A row may have classes that the training set lacks, all of them -inf already: then its own classes are alike.

    Args:
        outputs: (n, C) or (n, C, P).
        allowed: (n, C) bool.
    """
    if allowed is None:
        return outputs
    own = allowed.view(*allowed.shape, *[1] * (outputs.ndim - 2))
    bounded = outputs.masked_fill(~own, -torch.inf)
    lost = bounded.isneginf().all(1, keepdim=True)
    return torch.where(lost & own, 0.0, bounded)


def probabilities(logits: np.ndarray, problem: Problem, rows: np.ndarray) -> np.ndarray:
    """(n, C) softmax over each row's own classes, of logits (n, C); 0 for the others."""
    return within(torch.as_tensor(logits), of_rows(problem, rows, "cpu")).softmax(1).numpy()
