"""SUPERB's emotion head, many of them at once, exactly and from time-means alone.

The head of Yang et al. (2021, SUPERB) and s3prl's `downstream/emotion`: a softmax-weighted sum of the layers,
Linear(D, P), the mean over time, Linear(P, C), no activation. Every map up to the mean is affine, so the mean may be
taken first: from the time-mean of each layer the head gives the same logits and the same gradients as from frames.
With nothing between them, the two Linears act as their product M = W2 W1 (C x D), and with G = dLoss/dM their gradients
are dW1 = W2' G and dW2 = G W1': a step never multiplies a batch with W1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields

import numpy as np
import torch


@dataclass(frozen=True)
class Heads:
    """R x Q heads: Q problems, each with R learning rates. The R heads of a problem see the same batches.

    Attributes:
        layers: (R, Q, L) logits of the layer weights.
        projector, projector_bias: (R, Q, P, D), (R, Q, P).
        classifier, classifier_bias: (R, Q, C, P), (R, Q, C).
    """

    layers: torch.Tensor
    projector: torch.Tensor
    projector_bias: torch.Tensor
    classifier: torch.Tensor
    classifier_bias: torch.Tensor

    def __iter__(self) -> Iterator[torch.Tensor]:
        return (getattr(self, field.name) for field in fields(self))

    def problem(self, q: int) -> Heads:
        """The R heads of one problem, as views (R, 1, ...)."""
        return Heads(*(tensor[:, q : q + 1] for tensor in self))

    def arrays(self, r: int) -> dict[str, np.ndarray]:
        """Head r of the first problem, by the names of its parts."""
        return {field.name: getattr(self, field.name)[r, 0].cpu().numpy().copy() for field in fields(self)}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray], device: str) -> Heads:
        """One head (1, 1, ...) of such arrays."""
        return cls(*(torch.tensor(arrays[field.name], device=device)[None, None] for field in fields(cls)))

    def sums(self, x: torch.Tensor) -> torch.Tensor:
        """The weighted sum of the layers (R, Q, n, D) of rows (Q, n, L, D)."""
        weights = self.layers.softmax(-1).transpose(0, 1)[:, None]
        return (weights @ x).permute(2, 0, 1, 3)

    def product(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Both Linears as one: weights (R, Q, C, D) and bias (R, Q, C)."""
        bias = (self.classifier @ self.projector_bias[..., None])[..., 0] + self.classifier_bias
        return self.classifier @ self.projector, bias

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """(R, Q, n, C) of rows (Q, n, L, D)."""
        weights, bias = self.product()
        return self.sums(x) @ weights.mT + bias[..., None, :]

    def projected(self, x: torch.Tensor) -> torch.Tensor:
        """What the first Linear gives (R, Q, n, P) of rows (Q, n, L, D), mean over time."""
        return self.sums(x) @ self.projector.mT + self.projector_bias[..., None, :]

    def gradients(
        self,
        x: torch.Tensor,
        targets: torch.Tensor,
        clip: float = math.inf,
        factors: torch.Tensor | None = None,
        allowed: torch.Tensor | None = None,
        loss: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> Heads:
        """Gradients of the mean cross-entropy, each head's scaled down to the norm `clip` where it is above.

        Args:
            x: (Q, n, L, D), a batch of each problem.
            targets: (Q, n) class indices.
            factors: (Q, n) of the utterances' losses; None: 1.
            allowed: (Q, n, C) bool, the classes that each may have; None: all.
            loss: another loss of logits (R, Q, n, C), in place of the cross-entropy with all that is said of it.
        """
        weights, bias = self.product()
        sums = self.sums(x)
        logits = sums @ weights.mT + bias[..., None, :]
        if loss is not None:
            logits.requires_grad_()
            (residual,) = torch.autograd.grad(loss(logits), logits)
        else:
            residual = _residual(logits, targets, factors, allowed)

        d_weights, d_bias = residual.mT @ sums, residual.sum(2)
        share = self.layers.softmax(-1)
        d_share = ((residual @ weights).permute(1, 2, 0, 3) @ x.mT).sum(1).transpose(0, 1)
        d_layers = share * (d_share - (share * d_share).sum(-1, keepdim=True))
        d_classifier = d_weights @ self.projector.mT + d_bias[..., None] * self.projector_bias[..., None, :]
        d_projector_bias = (d_bias[..., None, :] @ self.classifier)[..., 0, :]

        # |W2' G|^2 from two C x C products, before that matrix is made.
        gram = (self.classifier @ self.classifier.mT) * (d_weights @ d_weights.mT)
        small = (d_layers, d_projector_bias, d_classifier.flatten(2), d_bias)
        norm = (gram.sum((-2, -1)) + sum(part.square().sum(-1) for part in small)).clamp_min(0).sqrt()
        scale = (clip / (norm + 1e-6)).clamp_max(1)[..., None]  # as torch.nn.utils.clip_grad_norm_
        return Heads(
            d_layers * scale,
            self.classifier.mT @ (d_weights * scale[..., None]),
            d_projector_bias * scale,
            d_classifier * scale[..., None],
            d_bias * scale,
        )


def _residual(
    logits: torch.Tensor, targets: torch.Tensor, factors: torch.Tensor | None, allowed: torch.Tensor | None
) -> torch.Tensor:
    """The gradient of the mean cross-entropy by the logits (R, Q, n, C), which it writes over."""
    if allowed is not None:
        logits = logits.masked_fill_(~allowed, -math.inf)
    residual = logits.softmax(-1)
    chosen = targets[None, ..., None].expand(len(residual), -1, -1, 1)
    residual.scatter_add_(-1, chosen, residual.new_full((), -1.0).expand_as(chosen)).div_(logits.shape[2])
    return residual if factors is None else residual.mul_(factors[None, ..., None])


def initial(
    generators: list[torch.Generator], rates: int, depth: int, width: int, projected: int, n_classes: int
) -> Heads:
    """Heads as torch.nn.Linear and s3prl's featurizer start them; those of one problem start alike.

    Args:
        generators: one for each of the Q problems, on the CPU.
        rates: R.
    """
    drawn = [
        (*linear(projected, width, generator), *linear(n_classes, projected, generator)) for generator in generators
    ]
    parts = [torch.zeros(len(generators), depth), *(torch.stack(part) for part in zip(*drawn, strict=True))]
    return Heads(*(part.expand(rates, *part.shape).contiguous() for part in parts))


def linear(outputs: int, inputs: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights (outputs, inputs) and bias (outputs,) as torch.nn.Linear draws them: uniform to 1 / sqrt(inputs)."""
    bound = 1 / math.sqrt(inputs)

    def draw(*shape: int) -> torch.Tensor:
        return torch.empty(shape).uniform_(-bound, bound, generator=generator)

    return draw(outputs, inputs), draw(outputs)
