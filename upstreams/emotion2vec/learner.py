"""The networks that emotion2vec trains: a student, and a teacher that is the moving average of its encoder."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from commons.errors import some
from upstreams.emotion2vec import checkpoint, two_views
from upstreams.emotion2vec.flops import step_flops
from upstreams.emotion2vec.masked_batch import counts, load
from upstreams.emotion2vec.model import Emotion2vec
from upstreams.emotion2vec.objective import terms, utterance_weight
from upstreams.emotion2vec.recipe import Recipe
from upstreams.emotion2vec.sides import Heads
from upstreams.emotion2vec.two_views import ViewHeads
from upstreams.errors import UpstreamError
from upstreams.pretraining.batches import MicroBatch
from upstreams.pretraining.meter import spread
from upstreams.pretraining.method import Losses, Speech

FRESH = (".extra_tokens", ".decoder.")  # may be absent, or of another size, in the file a run begins with
SHARED = ("local_encoder", "project_features", "decoder")  # not averaged: the teacher uses the student's


class SelfDistillation:
    """emotion2vec's learner: see pretraining.method.Learner. A training state holds student, teacher and heads."""

    undecayed = ("alibi_scale",)

    def __init__(self, recipe: Recipe, speech: Speech, device: torch.device) -> None:
        """Before the first step. Raises UpstreamError where `init` names a file that does not fit."""
        self.recipe, self.speech, self.device = recipe, speech, device
        self.framing = recipe.network
        self.student = initial(recipe).to(device).train()
        width = speech.frames.width if speech.frames else 0
        self.heads = Heads(recipe.loss, self.framing.dim, width).to(device)
        self.teacher = teacher_of(self.student)
        self.trained = [self.student, self.heads]
        self.state = {"student": self.student, "teacher": self.teacher, "heads": self.heads}
        self.networks = {"teacher": self.teacher, "student": self.student}
        self.config = asdict(self.framing)
        self.statistics = 3 * 2 * self.framing.dim
        self.weights = weights_of(recipe)
        self.watched = {"target": recipe.collapse.target} if recipe.loss.from_average else {}
        if recipe.loss.frame:  # else nothing teaches the decoder
            self.watched["prediction"] = recipe.collapse.prediction
        self.views = recipe.loss.views
        if self.views:
            self.view_heads = ViewHeads(self.views, self.framing.dim).to(device)
            self.trained.append(self.view_heads.student)
            self.state["views"] = self.view_heads
            self.statistics += sum(two_views.sizes(self.views))
            if self.views.weight:  # else nothing teaches the embedding
                self.watched["view"] = self.views.least

    def losses(self, micro: MicroBatch, step: Sequence[MicroBatch]) -> Losses:
        """The losses of a micro-batch, divided by the masked frames or utterances of the whole step."""
        recipe = self.recipe
        inputs = load(self.speech, micro, recipe, self.framing).to(self.device)
        part = terms(self.student, self.teacher, self.heads, inputs, recipe)
        whole, own = counts(recipe, self.framing, step), counts(recipe, self.framing, [micro])
        of_utterances = utterance_weight(recipe.loss.weighting, whole.utterances, own.masked / whole.masked)
        every = {
            "frame_loss": (part.frame, 1 / whole.masked),
            "utterance_loss": (part.utterance, of_utterances),
            "side_loss": (part.side, 1 / whole.masked),
            "visible_loss": (part.visible, 1 / whole.kept),
            "summary_loss": (part.summary, of_utterances),
        }
        statistics = part.moments.flatten()
        if self.views:
            both = two_views.load(self.speech, micro, recipe, self.framing, self.views).to(self.device)
            pair = two_views.terms(self.student, self.teacher, self.view_heads, both, self.views)
            of_each = 1 / self._utterances(step)
            every |= {"view_loss": (pair.view, of_each), "view_statistics_loss": (pair.statistics, of_each)}
            statistics = torch.cat([statistics, pair.sums])
        sums, shares = zip(*(every[name] for name in self.weights), strict=True)
        return Losses(torch.stack(sums) * torch.tensor(shares, device=self.device), statistics)

    def moved(self, at: int, step: Sequence[MicroBatch], statistics: Tensor) -> dict[str, float]:
        """Move the teacher after the student."""
        decay = self.recipe.teacher.decay_at(at, self.recipe.optimiser.steps)
        follow(self.teacher, self.student, decay)
        if self.views and self.views.kind == "distillation":
            scores = statistics[-self.views.prototypes :]
            self.view_heads.follow(decay, self.views.centre, scores / (2 * self._utterances(step)))
        return {"ema_decay": decay}

    def figures(self, statistics: Tensor, step: Sequence[MicroBatch]) -> dict[str, float]:
        """How much targets and predictions differ between frames; utterance targets and embeddings of views, between
        utterances."""
        masked = counts(self.recipe, self.framing, step).masked
        own = 3 * 2 * self.framing.dim
        targets, predictions, utterances = statistics[:own].view(3, 2, -1)
        figures = {}
        if self.recipe.loss.from_average:
            figures["target_var"] = spread(targets, masked)
            if self.recipe.loss.decodes:
                figures["prediction_var"] = spread(predictions, masked)
            figures["utterance_target_var"] = spread(utterances, self._utterances(step))
        if self.views:
            embeddings = statistics[own : own + 2 * self.views.width].view(2, -1)
            figures["view_var"] = spread(embeddings, 2 * self._utterances(step))
        return figures

    def _utterances(self, step: Sequence[MicroBatch]) -> int:
        return sum(len(micro.utterances) for micro in step)

    def flops(self, step: Sequence[MicroBatch]) -> float:
        """Floating-point operations of a step."""
        return step_flops(self.recipe, self.framing, step)


def initial(recipe: Recipe) -> Emotion2vec:
    """The student before the first step, with random weights or those of a file. Raises UpstreamError for a misfit."""
    torch.manual_seed(recipe.seed)
    student = Emotion2vec(recipe.network)
    if recipe.init is None:
        return student
    path, own = Path(recipe.init).expanduser(), student.state_dict()
    given = checkpoint.read(path).weights
    fits = {name: tensor for name, tensor in given.items() if name in own and own[name].shape == tensor.shape}
    if lacking := [name for name in own if name not in fits and not any(part in name for part in FRESH)]:
        raise UpstreamError(
            f"init {path}: does not fit the recipe's model; missing or of another shape: {some(lacking)}"
        )
    student.load_state_dict(fits, strict=False)
    return student


def weights_of(recipe: Recipe) -> dict[str, float]:
    """Name of each loss that the recipe has -> its weight."""
    loss = recipe.loss
    weights = {}
    if loss.from_average and loss.decodes:
        weights["frame_loss"] = loss.frame
    if loss.from_average:
        weights["utterance_loss"] = loss.alpha
    if loss.side and loss.side_targets:
        weights["side_loss"] = loss.side
    if loss.visible:
        weights["visible_loss"] = loss.visible
    if loss.summary:
        weights["summary_loss"] = loss.summary
    if loss.views and loss.views.weight:
        weights["view_loss"] = loss.views.weight
    if loss.views and loss.views.statistics:
        weights["view_statistics_loss"] = loss.views.statistics
    return weights


def teacher_of(student: Emotion2vec) -> Emotion2vec:
    """A copy of the student that gets no gradients; both share the local encoder and the decoder."""
    teacher = copy.deepcopy(student).requires_grad_(False).eval()
    for name in SHARED:
        setattr(teacher.audio, name, getattr(student.audio, name))
    return teacher


def averaged(model: Emotion2vec) -> list[torch.nn.Parameter]:
    """The parameters that a teacher averages, in one order for student and teacher."""
    return [p for name, p in model.named_parameters() if not any(f".{part}." in name for part in SHARED)]


@torch.no_grad()
def follow(teacher: Emotion2vec, student: Emotion2vec, decay: float) -> None:
    """teacher <- decay * teacher + (1 - decay) * student, in float32."""
    torch._foreach_lerp_(averaged(teacher), averaged(student), 1 - decay)
