"""The teacher: the exponential moving average of the student's encoder."""

from __future__ import annotations

import copy

import torch

from upstreams.emotion2vec.model import Emotion2vec

SHARED = ("local_encoder", "project_features", "decoder")  # not averaged: the student's own


def teacher_of(student: Emotion2vec) -> Emotion2vec:
    """A copy that gets no gradients; its local encoder, which hears for both, and its decoder are the student's."""
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
