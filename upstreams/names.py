"""A name of an upstream, understood: what it stands for, as plain values, and how records spell it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from commons.hashing import short
from upstreams.pretraining.checkpoints import of_a_run

USER_FILE = re.compile(r"(?P<file>.+\.py):(?P<object>[A-Za-z_]\w*)(?:@(?P<checkpoint>.+))?")


@dataclass(frozen=True)
class Named:
    """An upstream's name, understood. Its values are plain, so that it can go to another process as it is.

    Attributes:
        name: the canonical spelling; a path in it is relative where it lies beneath the working folder.
        label: the name that records carry; it holds no absolute path.
        target: "module:attribute", called with `arguments`; for a file of the user's "file.py:attribute".
        source, checkpoint: absolute paths of the user's file, and of the weights, that are hashed into the fingerprint.
        base: the upstream that it is a variant, a checkpoint or a random twin of; None: of none.
        ablation, variant: the ablation that it is a variant of, and which one.
        run, step: the pre-training run that it is a checkpoint of, as records spell it, and the step.
    """

    name: str
    label: str
    target: str
    arguments: tuple[str | int, ...] = ()
    source: str | None = None
    checkpoint: str | None = None
    base: str | None = None
    ablation: str | None = None
    variant: str | None = None
    run: str | None = None
    step: int | None = None


def label_of(name: str) -> str:
    """The form of a canonical name for records: enc.py:Enc~1a2b3c4d for /home/me/enc.py:Enc.

    Of a file outside the working folder it has the last part, which does not show anybody's home, and a hash of the
    whole path, which tells files of one name in two folders apart. A checkpoint of a run keeps the name of its run's
    folder, with a hash of that folder's path: emotion2vec@small~1a2b3c4d/step-00001000.safetensors. So all checkpoints
    of a run have the same beginning.
    """
    match = USER_FILE.fullmatch(name)
    paths = [match["file"], match["checkpoint"]] if match else [name.partition("@")[2], name.removeprefix("hf:")]
    outside = [path for path in paths if path and Path(path).is_absolute()]
    if len(outside) == 1 and of_a_run(run := Path(outside[0])):
        folder = f"{run.parent.name}~{short(str(run.parent))}"
        return name.replace(outside[0], f"{folder}/{run.name}")
    label = name
    for path in sorted(outside, key=len, reverse=True):  # one may be part of the other
        label = label.replace(path, Path(path).name)
    return f"{label}~{short(chr(0).join(outside))}" if outside else label
