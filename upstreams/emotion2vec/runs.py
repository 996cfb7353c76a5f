"""The checkpoints of a pre-training run: what can be named as an upstream. Imports no torch."""

from __future__ import annotations

import re
from pathlib import Path

from upstreams.errors import UpstreamError

STEP = re.compile(r"step-(\d+)\.safetensors")
FILE = re.compile(r"(step-\d+(\.teacher)?|average-last-\d+)\.safetensors")


def step_of(path: Path) -> int | None:
    """The step of a run's checkpoint, the student's or the teacher's, by its file name; None for another file."""
    match = re.fullmatch(r"step-(\d+)(\.teacher)?\.safetensors", path.name)
    return int(match[1]) if match else None


def of_a_run(path: Path) -> bool:
    """Whether a file has the name of a run's checkpoint, or of an average of some."""
    return FILE.fullmatch(path.name) is not None


def checkpoints(run: Path) -> list[Path]:
    """The checkpoints of a run, the earliest first. Raises UpstreamError where there is none."""
    steps = sorted((int(match[1]), path) for path in run.iterdir() if (match := STEP.fullmatch(path.name)))
    if not steps:
        raise UpstreamError(
            f"{run} holds no checkpoint of a run; expected step-00001000.safetensors or the like, which "
            "`python -m upstreams pretrain` writes as it goes"
        )
    return [path for _, path in steps]
