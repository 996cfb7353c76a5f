"""What the name of an upstream stands for, as plain values, and how records spell it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from commons.hashing import short
from upstreams.pretraining.checkpoints import of_a_run

RANDOM_FOLDER = re.compile(r"(?P<random>random:[^@]+)@(?P<folder>.*?\D.*?)(?:@(?P<seed>\d+))?")
GIVEN = "features:"  # begins the name of features that were extracted elsewhere
LATE = "late:"  # begins the name of a late fusion, which has predictions and no features: no upstream
USER_FILE = re.compile(r"(?P<file>.+\.py):(?P<object>[A-Za-z_]\w*)(?:@(?P<checkpoint>.+))?")


@dataclass(frozen=True)
class Named:
    """What a name stands for. Its values are plain, so that it can go to another process as it is.

    Attributes:
        name: the canonical spelling; a path in it is relative where it lies beneath the working folder.
        record_name: the spelling in records and tables; it holds no absolute path.
        target: "module:attribute", called with `arguments`; for a file of the user's "file.py:attribute".
        source, checkpoint: absolute paths of the user's file, and of the weights, that are hashed into the fingerprint.
        base: the upstream that it is a variant, a checkpoint or a random twin of; None: of none.
        draw: the seed of random weights; None: they are not random.
        ablation, variant: the ablation that it is a variant of, and which one.
        run, step: the pre-training run that it is a checkpoint of, as records spell it, and the step.
        group_of_runs: what pre-training runs that differ in the seed alone have in common; None: no run, or not known.
        cite: BibTeX keys of its papers, as `registry.Entry` has them; empty where none are known.
        parts: what it is made of, where it is a fusion of several upstreams or, with `layer`, one layer of another.
        layer: from 0, of its one part.
        given: absolute path of the features themselves, where they were extracted elsewhere.
    """

    name: str
    record_name: str
    target: str
    arguments: tuple[str | int, ...] = ()
    source: str | None = None
    checkpoint: str | None = None
    base: str | None = None
    draw: int | None = None
    ablation: str | None = None
    variant: str | None = None
    run: str | None = None
    step: int | None = None
    group_of_runs: str | None = None
    cite: tuple[str, ...] = ()
    parts: tuple[Named, ...] = ()
    layer: int | None = None
    given: str | None = None


def record_name_of(name: str) -> str:
    """The form of a canonical name for records: enc.py:Enc~1a2b3c4d for /home/me/enc.py:Enc.

    A file outside the working folder is given by its last part, which shows nobody's home, and a hash of its path,
    which tells files of one name in two folders apart. A checkpoint of a run keeps the name of its run's folder, with
    a hash of that folder's path: emotion2vec@small~1a2b3c4d/step-00001000.safetensors. All checkpoints of a run begin
    alike. Of random weights the folder of their tokenizer is left out.
    """
    if match := RANDOM_FOLDER.fullmatch(name):
        return match["random"] + (f"@{match['seed']}" if match["seed"] else "")
    match = USER_FILE.fullmatch(name)
    plain = name.removeprefix("hf:").removeprefix(GIVEN)
    paths = [match["file"], match["checkpoint"]] if match else [name.partition("@")[2], plain]
    outside = [path for path in paths if path and Path(path).is_absolute()]
    if len(outside) == 1 and of_a_run(run := Path(outside[0])):
        folder = f"{run.parent.name}~{short(str(run.parent))}"
        return name.replace(outside[0], f"{folder}/{run.name}")
    shown = name
    for path in sorted(outside, key=len, reverse=True):  # one may be part of the other
        shown = shown.replace(path, Path(path).name)
    return f"{shown}~{short(chr(0).join(outside))}" if outside else shown
