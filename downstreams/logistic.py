"""Many multinomial logistic regressions on the same rows, solved together.

The problems of a fold (inner training sets x strengths) differ in the rows they train on, in the
standardisation these rows give and in the ridge; the matrix of features is the same. Standardisation is an
affine map of the coefficients, so one product of the matrix with the coefficients of all problems serves
them all. The optimiser is L-BFGS (Liu & Nocedal 1989), run on all problems in step; its initial inverse
Hessian is that of Boehning's bound on the softmax Hessian (Boehning 1992) in the eigenbasis of the feature
correlations, which keeps the steps few.

Where features are many times as many as rows (openSMILE's 6373 on a small corpus), each training set is solved in
coordinates of its own rows instead: no solution leaves their span, and along orthonormal axes of it the ridge is the
same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from downstreams.linear import Linear, moments, standardised
from downstreams.own_classes import within

MEMORY = 8  # pairs of steps and gradient changes that L-BFGS keeps
FLOOR = 1e-4  # the tolerance that rounding may impose
FLAT = 1e-10  # a Newton decrement, as a share of the objective, that float32 cannot tell from 0
STEPS = 1000  # a weak ridge on correlated features takes some 350
LARGEST_BASIS = 2048  # rows that suffice for a basis of very wide features
WIDE = 3  # features a row, beyond which the rows' span is the cheaper place to solve in
BLOCK = 16_000_000  # numbers in the largest array: bounds memory whatever the corpus


def fit(
    rows: torch.Tensor,
    targets: torch.Tensor,
    members: torch.Tensor,
    strengths: torch.Tensor,
    n_classes: int,
    tolerance: float = 1e-8,
    balanced: bool = True,
    factors: torch.Tensor | None = None,
    allowed: torch.Tensor | None = None,
) -> Linear:
    """Ridge logistic regression of every training set with every strength.

    Each problem minimises  1/2 |W|^2 + strength * sum_i w_i * cross-entropy_i  over its members i, with features
    standardised on them (a constant column becomes 0) and unpenalised intercepts. Balanced, w_i = n / (K n_class), K
    the classes present: scikit-learn's `LogisticRegression(C=strength, class_weight="balanced")` behind a
    `StandardScaler`; else w_i = 1. A class without members gets probability 0.

    Args:
        rows: (n, D) float32.
        targets: (n,) class indices, or (n, C) shares of classes: cross-entropy is then sum_c share_c -log p_c, and a
            class has as many members as its shares sum to.
        members: (Q, n) bool, the training sets.
        strengths: (S,) inverse ridge penalties.
        n_classes: C.
        tolerance: the Newton decrement at which a problem is solved, as a share of the first one (a strong ridge
            lowers the objective little) and of the objective (a weak one lowers it by orders of magnitude); at
            `FLAT` of the objective it is solved in any case.
        balanced: classes weigh alike, however many members they have.
        factors: (D,), by which standardised features are multiplied; None: 1.
        allowed: (n, C) bool, the classes that each row may have: its cross-entropy is over these. None: all.

    Returns:
        The logits of P = Q * S problems, strengths running fastest.
    """
    x, centre, scale = standardised(rows, factors)
    if x.shape[1] > WIDE * len(x):
        solved = [
            _in_the_span(
                x[part],
                targets[part],
                strengths,
                n_classes,
                tolerance,
                balanced,
                factors,
                None if allowed is None else allowed[part],
            )
            for part in members.unbind()
        ]
    else:
        basis = _basis(x)
        width = max(len(x), 3 * x.shape[1]) * n_classes * len(strengths)
        parts = members.split(max(1, BLOCK // width))
        solved = [
            _minimise(
                _batch(x, targets, part, moments(x, part, factors), strengths, n_classes, balanced, allowed, *basis),
                tolerance,
            )
            for part in parts
        ]
    theta = torch.cat([s[0] for s in solved], dim=-1)
    return Linear(theta[:-1], theta[-1], centre, scale, torch.cat([s[1] for s in solved]))


def _in_the_span(
    x: torch.Tensor,
    targets: torch.Tensor,
    strengths: torch.Tensor,
    n_classes: int,
    tolerance: float,
    balanced: bool,
    factors: torch.Tensor | None,
    allowed: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Coefficients (D + 1, C, S) of one training set of few rows x (n, D), and which strengths converged."""
    everyone = torch.ones(1, len(x), dtype=torch.bool, device=x.device)
    mean, inverse = moments(x, everyone, factors)
    axes, triangle = torch.linalg.qr(((x - mean.T) * inverse.T).T)  # (D, n), (n, n)
    y = triangle.T.contiguous()  # the standardised rows along these axes
    as_they_are = torch.zeros_like(y[:, :1]), torch.ones_like(y[:, :1])
    batch = _batch(y, targets, everyone, as_they_are, strengths, n_classes, balanced, allowed, *_basis(y))
    theta, converged = _minimise(batch, tolerance)
    weights = (axes @ theta[:-1].flatten(1)).view(-1, *theta.shape[1:]) * inverse[:, None]
    bias = theta[-1] - torch.einsum("d,dcp->cp", mean[:, 0], weights)
    return torch.cat([weights, bias[None]]), converged


def _basis(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Eigenvectors (D, r) and eigenvalues (r,) of the covariance of standardised rows, from the smaller side."""
    n, d = x.shape
    if d <= LARGEST_BASIS and d <= n:
        eigenvalues, vectors = torch.linalg.eigh(x.T @ x / n)
        return vectors, eigenvalues.clamp_min(0)
    x = x[torch.linspace(0, n - 1, min(n, LARGEST_BASIS), device=x.device).long()]
    eigenvalues, left = torch.linalg.eigh(x @ x.T / len(x))
    keep = eigenvalues > 1e-6 * eigenvalues[-1]
    eigenvalues, left = eigenvalues[keep], left[:, keep]
    return x.T @ left / (eigenvalues * len(x)).sqrt(), eigenvalues


@dataclass(frozen=True)
class _Batch:
    """P problems on the same rows, and what their objectives, gradients and curvatures need.

    Coefficients theta are (D + 1, C, P), for features standardised on each problem's own members; the last row is
    the intercept.
    """

    x: torch.Tensor  # (n, D)
    targets: torch.Tensor  # (n, 1, 1) class indices, or (n, C, 1) shares
    basis: torch.Tensor  # (D, r)
    mean: torch.Tensor  # (D, P)
    inverse: torch.Tensor  # (D, P), 1 / standard deviation
    weight: torch.Tensor  # (n, P)
    absent: torch.Tensor  # (C, P), -inf for classes without members
    total: torch.Tensor  # (P,), sum of weights: the data's curvature against the ridge's 1
    shrink: torch.Tensor  # (r, P), inverse curvature in the basis, less that outside it
    allowed: torch.Tensor | None  # (n, C) bool, the classes that a row may have; None: all

    def select(self, index: torch.Tensor) -> _Batch:
        """The problems at `index`."""
        names = ("mean", "inverse", "weight", "absent", "total", "shrink")
        return replace(self, **{name: getattr(self, name)[..., index] for name in names})

    def coefficients(self, theta: torch.Tensor) -> torch.Tensor:
        """The same functions as coefficients (D + 1, C, P) of `x` itself."""
        weights = theta[:-1] * self.inverse[:, None]
        return torch.cat([weights, (theta[-1] - torch.einsum("dp,dcp->cp", self.mean, weights))[None]])

    def logits(self, theta: torch.Tensor) -> torch.Tensor:
        """(n, C, P); linear in theta, so that of a step is the step of that."""
        raw = self.coefficients(theta)
        return (self.x @ raw[:-1].flatten(1)).view(len(self.x), *theta.shape[1:]).add_(raw[-1])

    def objective(self, logits: torch.Tensor, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Objectives (P,) and the residuals (n, C, P) that their gradients are made of."""
        log_p = within(logits + self.absent, self.allowed).log_softmax(1)
        penalty = 0.5 * theta[:-1].square().sum((0, 1))
        if self.targets.is_floating_point():
            likelihood = (self.weight * (self.targets * log_p.clamp_min(-1e30)).sum(1)).sum(0)
            return penalty - likelihood, (log_p.exp_() - self.targets).mul_(self.weight[:, None])
        target = self.targets.expand(-1, 1, log_p.shape[2])
        # A row outside a training set may be of a class absent from it: 0 times infinity must stay 0.
        likelihood = (self.weight * log_p.gather(1, target).squeeze(1).clamp_min(-1e30)).sum(0)
        residual = log_p.exp_()
        residual.scatter_add_(1, target, residual.new_full((), -1.0).expand_as(target))
        return penalty - likelihood, residual.mul_(self.weight[:, None])

    def gradient(self, residual: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
        """Gradients (D + 1, C, P) of the objectives at theta; the last row is that of the intercepts."""
        intercept = residual.sum(0)
        weights = (self.x.T @ residual.flatten(1)).view(-1, *theta.shape[1:])
        weights = (weights - self.mean[:, None] * intercept) * self.inverse[:, None] + theta[:-1]
        return torch.cat([weights, intercept[None]])

    def precondition(self, gradient: torch.Tensor) -> torch.Tensor:
        """The gradient times the inverse of Boehning's bound, total / 2 * covariance + 1."""
        inside = (self.basis.T @ gradient[:-1].flatten(1)).view(-1, *gradient.shape[1:]) * self.shrink[:, None]
        weights = gradient[:-1] + (self.basis @ inside.flatten(1)).view(-1, *gradient.shape[1:])
        return torch.cat([weights, (2 * gradient[-1] / self.total)[None]])


def _batch(
    x: torch.Tensor,
    targets: torch.Tensor,
    members: torch.Tensor,
    standards: tuple[torch.Tensor, torch.Tensor],
    strengths: torch.Tensor,
    n_classes: int,
    balanced: bool,
    allowed: torch.Tensor | None,
    basis: torch.Tensor,
    eigenvalues: torch.Tensor,
) -> _Batch:
    """The problems of the training sets `members`, each with every strength; `standards` are their mean and inverse
    deviation (D, Q)."""
    soft = targets.is_floating_point()
    onehot = targets.float() if soft else torch.nn.functional.one_hot(targets, n_classes).float()
    counts = onehot.T @ members.T.float()
    present = counts > 0
    per_class = (
        members.sum(1) / (present.sum(0) * counts.clamp_min(1e-3 if soft else 1))
        if balanced
        else torch.ones_like(counts)
    )
    balance = (onehot @ per_class) * members.T

    def spread(columns: torch.Tensor) -> torch.Tensor:
        return columns.repeat_interleave(len(strengths), 1)

    mean, inverse = map(spread, standards)
    weight = spread(balance) * strengths.repeat(len(members))
    total = weight.sum(0)
    absent = spread(torch.where(present, 0.0, -torch.inf))
    shrink = 1 / (0.5 * total * eigenvalues[:, None] + 1) - 1
    shaped = onehot[:, :, None] if soft else targets[:, None, None]
    return _Batch(x, shaped, basis, mean, inverse, weight, absent, total, shrink, allowed)


def _minimise(batch: _Batch, tolerance: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Raw coefficients (D + 1, C, P) of all problems, and which of them converged.

    A problem that is solved leaves the batch, so the hard ones alone pay for the last steps.
    """
    n_classes, p = batch.absent.shape
    theta = batch.x.new_zeros(batch.x.shape[1] + 1, n_classes, p)
    logits = batch.x.new_zeros(len(batch.x), n_classes, p)
    objective, residual = batch.objective(logits, theta)
    gradient = batch.gradient(residual, theta)
    direction = -batch.precondition(gradient)
    slope = first = (gradient * direction).sum((0, 1))
    history: list[tuple[torch.Tensor, torch.Tensor]] = []

    raw, converged = torch.empty_like(theta), torch.zeros(p, dtype=torch.bool, device=theta.device)
    open_ = torch.arange(p, device=theta.device)
    stuck = torch.zeros_like(converged)
    for step in range(STEPS + 1):
        # Where the features say nothing of the classes (each sentence in every emotion), the first is rounding alone.
        solved = -slope <= torch.maximum(tolerance * torch.minimum(-first, objective), FLAT * objective)
        leave = solved | stuck | (step == STEPS)
        if leave.any():
            stay = (~leave).nonzero()[:, 0]
            gone = leave.nonzero()[:, 0]
            part = batch.select(gone)
            raw[..., open_[gone]] = part.coefficients(theta[..., gone])
            raw[-1][:, open_[gone]] += part.absent
            # Where float32 allows no further descent, what is left is judged by a wider measure.
            near = -slope <= FLOOR * torch.minimum(-first, objective)
            converged[open_[gone]] = (solved | (stuck & near))[gone]
            if not len(stay):
                break
            batch, open_ = batch.select(stay), open_[stay]
            theta, logits, gradient, direction, objective, slope, first = (
                t[..., stay] for t in (theta, logits, gradient, direction, objective, slope, first)
            )
            history = [(s[..., stay], y[..., stay]) for s, y in history]
        length, logits, objective, residual, stuck = _search(batch, theta, direction, logits, objective, slope)
        move = length * direction
        theta = theta + move
        before, gradient = gradient, batch.gradient(residual, theta)
        history = [*history[-MEMORY + 1 :], (move, gradient - before)]
        direction = _direction(batch, gradient, history)
        slope = (gradient * direction).sum((0, 1))
    return raw, converged


def _direction(batch: _Batch, gradient: torch.Tensor, history: list[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
    """L-BFGS's two loops (Nocedal & Wright, algorithm 7.4) for every problem at once."""
    q, applied = gradient.clone(), []
    for s, y in reversed(history):
        curvature = (s * y).sum((0, 1))
        rho = torch.where(curvature > 0, 1 / curvature, 0.0)  # 0: the pair is lost in rounding, skip it
        alpha = rho * (s * q).sum((0, 1))
        q -= alpha * y
        applied.append((rho, alpha))
    q = batch.precondition(q)
    for (s, y), (rho, alpha) in zip(history, reversed(applied), strict=True):
        q += (alpha - rho * (y * q).sum((0, 1))) * s
    return -q


def _search(
    batch: _Batch,
    theta: torch.Tensor,
    direction: torch.Tensor,
    logits: torch.Tensor,
    objective: torch.Tensor,
    slope: torch.Tensor,
) -> tuple[torch.Tensor, ...]:
    """Backtracking until the objective falls (Armijo); the objective is convex, so that is all L-BFGS needs.

    Returns the lengths (P,), new logits, objectives and residuals, and which problems found no descent.
    """
    move = batch.logits(direction)
    length = torch.ones_like(slope)
    new_logits = logits + move
    new_objective, residual = batch.objective(new_logits, theta + direction)
    slack = 1e-6 * objective.abs()  # float32 cannot tell smaller differences of sums
    for _ in range(20):
        bad = (~(new_objective <= objective + 1e-4 * length * slope + slack)).nonzero()[:, 0]
        if not len(bad):
            break
        length[bad] *= 0.4
        new_logits[..., bad] = logits[..., bad] + length[bad] * move[..., bad]
        trial = theta[..., bad] + length[bad] * direction[..., bad]
        new_objective[bad], residual[..., bad] = batch.select(bad).objective(new_logits[..., bad], trial)
    stuck = ~(new_objective <= objective + 1e-4 * length * slope + slack)
    return length, new_logits, new_objective, residual, stuck
