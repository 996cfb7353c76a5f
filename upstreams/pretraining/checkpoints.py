"""Checkpoints of pre-training runs: their names, their files, their average, and a smaller file to be passed on.

A checkpoint is a safetensors file. Its header says which method made it, the network's configuration and where the
weights come from. Imports torch only where weights are read or written.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NotRequired, TypedDict

from commons import files, hashing
from commons.errors import Notice, NotThere, Refused, some
from upstreams.errors import UpstreamError
from upstreams.pretraining.recipe_sections import FREE, SCORES

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

STEP = re.compile(r"step-(\d+)(\.[a-z]+)?\.safetensors")  # with a part's name: not what RUN/* names
AVERAGE = re.compile(r"average-last-\d+\.safetensors")
HEADER = "emorep"  # the one key of metadata, since safetensors writes several in any order
LONGEST = 1 << 20  # bytes of a header that is read without the weights
ANEW = "make or download it again"


class Teacher(TypedDict):
    """Of which upstream a network learnt to predict the frames."""

    title: str
    layer: int
    fingerprint: str
    targets: NotRequired[int]  # the way in which targets are made of its frames; not there: the first one
    seen: dict[str, str]  # as of checkpoints; "unknown" among its corpora: others as well, which nobody names


class Facts(TypedDict, total=False):
    """Where a checkpoint comes from; nothing is computed from it."""

    step: int  # of the run
    part: str  # which of a method's networks, such as student or teacher
    recipe: dict[str, object]
    hours: float  # of speech
    audio: str  # hash of the speech
    scores: str  # hash of the file of frame scores
    teacher: Teacher  # absent where no other upstream taught it
    seen: dict[str, str]  # corpora of the benchmark among the speech -> "audio"; of fine-tuned weights also "labels"
    began_with: Facts  # of the weights with which this training began; absent where they were random, or do not say
    tuned_from: str  # title of the upstream of which these are fine-tuned weights
    licence: str  # of that one
    average_of: list[str]  # names of checkpoints
    released_from: str  # name of a checkpoint
    imported: str  # name of an official file
    sha256: str  # of that file


@dataclass(frozen=True)
class Stored:
    """What a file holds: the method's name, the network's configuration as JSON has it, float32 weights, and facts."""

    method: str
    config: dict[str, object]
    weights: dict[str, Tensor] = field(repr=False)
    facts: Facts = field(default_factory=Facts)


# names


def step_of(path: Path) -> int | None:
    """The step of a run's checkpoint, of whichever part, by its file name; None for another file."""
    match = STEP.fullmatch(path.name)
    return int(match[1]) if match else None


def of_a_run(path: Path) -> bool:
    """Whether a file has the name of a run's checkpoint, or of an average of some."""
    return bool(STEP.fullmatch(path.name) or AVERAGE.fullmatch(path.name))


def checkpoints(run: Path) -> list[Path]:
    """The checkpoints of a run, the earliest first. Raises UpstreamError where there is none."""
    steps = sorted(
        (int(match[1]), path) for path in run.iterdir() if (match := STEP.fullmatch(path.name)) and not match[2]
    )
    if not steps:
        raise UpstreamError(
            f"{run} holds no checkpoint of a run; expected step-00001000.safetensors or the like, which "
            "`python -m upstreams pretrain` writes as it goes"
        )
    return [path for _, path in steps]


def name_of(step: int, part: str = "") -> str:
    """The file name of a run's checkpoint; `part` is empty for the one that is the run's upstream."""
    return f"step-{step:08d}{'.' if part else ''}{part}.safetensors"


# files


def written_by(method: str) -> str:
    """What the header says under `format`."""
    return f"{method} 1"


def header(path: Path, method: str) -> tuple[Mapping[str, object], Facts] | None:
    """Configuration and facts, without torch; None where the file is no whole checkpoint of that method.

    Then reading it says what is wrong.
    """
    try:
        with open(path, "rb") as opened:
            size = int.from_bytes(opened.read(8), "little")
            metadata = json.loads(opened.read(size))["__metadata__"] if size <= LONGEST else {}
        content = json.loads(metadata[HEADER])
        config, facts = content["config"], content["facts"]
        if content["format"] == written_by(method) and _is_whole(content):
            return (config, Facts(**facts)) if isinstance(config, dict) and isinstance(facts, dict) else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    return None


def facts_of(path: Path, method: str) -> Facts | None:
    """Where a checkpoint comes from, without torch; None where the file is no whole checkpoint of that method."""
    known = header(path, method)
    return known[1] if known else None


def all_seen(said: Mapping[str, str], facts: Facts, labels: Mapping[str, str]) -> dict[str, str]:
    """What a run's checkpoints have seen: what is said of its speech, what taught it, and what it began with.

    `labels`: corpora whose labels taught it, by whichever way.
    """
    of_teacher = facts["teacher"]["seen"] if "teacher" in facts else {}
    return facts.get("began_with", {}).get("seen", {}) | dict(said) | of_teacher | dict(labels)


def labels_of(facts: Facts | Teacher) -> dict[str, str]:
    """Corpus -> "labels" of those whose labels taught a checkpoint, or a teacher."""
    return {corpus: how for corpus, how in facts.get("seen", {}).items() if how == "labels"}


def warn_of_seen(path: Path, method: str, seen: Mapping[str, str] | None) -> None:
    """Warn where a checkpoint says other corpora than `seen`, which comes too late for it."""
    facts = facts_of(path, method)
    if seen is None or facts is None:
        return
    kept = facts.get("seen")
    if kept != all_seen(seen, facts, labels_of(facts)):
        says = "not known" if kept is None else some(sorted(kept)) or "none"
        warnings.warn(
            f"{path} was written before and keeps what it says of corpora of the benchmark that it has seen: {says}. "
            "With another --seen, train it anew in another folder",
            Notice,
            stacklevel=2,
        )


def recipes_behind(path: Path, method: str) -> Iterator[Mapping[str, object]]:
    """The recipe of the run that wrote a checkpoint, that of the weights with which it began, and so on; none where the
    file does not tell. Recipes are as `Recipe.origin` gives them."""
    yield from (recipe for facts in _behind(path, method) if isinstance(recipe := facts.get("recipe"), dict))


def _behind(path: Path, method: str) -> Iterator[Facts]:
    """Facts of a checkpoint, of the weights with which its run began, and so on; none where the file does not tell."""
    facts = facts_of(path, method)
    while isinstance(facts, dict):
        yield facts
        facts = facts.get("began_with")


def taught_by(teacher: Teacher) -> str:
    """What of a teacher decides a run."""
    return f"{teacher['fingerprint']}:{teacher.get('targets', 1)}"


def group_of_runs(path: Path, method: str) -> str | None:
    """What a checkpoint shares with those of runs that differ in seeds alone, hashed: recipe, audio, scores, step, part
    of the method, and facts of the weights with which the run began; of such a file without facts only its name.

    None where the file does not tell.
    """
    facts, *before = list(_behind(path, method)) or [Facts()]
    if not isinstance(facts.get("recipe"), dict):
        return None
    decides = _seedless(facts["recipe"])
    decides |= {"audio": facts.get("audio"), "step": facts.get("step"), SCORES: facts.get("scores")}
    if "teacher" in facts:
        decides["teacher"] = taught_by(facts["teacher"])
    if (named := STEP.fullmatch(path.name)) and named[2]:
        decides["part"] = named[2]
    if before:
        decides["began_with"] = [_deciding(one) for one in before]
    return f"{method}~{hashing.of_json(decides)[:12]}"


def _deciding(facts: Facts) -> dict[str, object]:
    """Facts of weights with which a run began, but for seeds and for what decides nothing."""
    unused = {"hours", "seen", "licence", "began_with"}
    kept = {key: value for key, value in facts.items() if key not in unused}
    if "teacher" in facts:
        kept["teacher"] = taught_by(facts["teacher"])
    recipe = kept.get("recipe")
    return kept | ({"recipe": _seedless(recipe)} if isinstance(recipe, dict) else {})


def _seedless(recipe: Mapping[str, object]) -> dict[str, object]:
    """What decides a run, but for its seed and its file of scores, of which the content counts."""
    return {key: value for key, value in recipe.items() if key not in FREE | {"seed", SCORES}}


def read(path: Path, method: str | None = None) -> Stored:
    """A checkpoint that pre-training wrote, of this method, or (None) of any.

    Raises UpstreamError that names the file: damaged, of another program or method, or with NaN among its weights.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            content = json.loads((file.metadata() or {}).get(HEADER, "null"))
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise UpstreamError(f"{path}: no such file; expected a checkpoint") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise UpstreamError(f"{path} is damaged or not whole ({error}); {ANEW}") from error
    said = content.get("format") if isinstance(content, dict) else None
    name = said.removesuffix(" 1") if isinstance(said, str) else ""
    if not name or said != written_by(method or name):
        expected = f"{written_by(method)!r} under {HEADER!r}" if method else f"the key {HEADER!r}"
        raise UpstreamError(
            f"{path}: safetensors of another program or version; expected one that `python -m upstreams import` or "
            f"pre-training wrote ({expected} in its header)"
        )
    if not _is_whole(content) or content.get("weights", "") not in ("", _digest(stored)):
        raise UpstreamError(f"{path} is damaged: its content is not what its header's sha256 says; {ANEW}")
    config, facts = content.get("config"), content.get("facts")
    if not isinstance(config, dict) or not isinstance(facts, dict):
        raise UpstreamError(
            f"{path}: the configuration in its header cannot be read (expected JSON objects as config and facts)"
        )
    weights = {name: tensor.float() for name, tensor in stored.items()}
    refuse_nan(weights, path)
    return Stored(name, config, weights, Facts(**facts))  # type: ignore[typeddict-item]


def write(path: Path, content: Stored, dtype: torch.dtype | None = None) -> None:
    """A safetensors file, written aside and renamed; `dtype` None: float32.

    Raises UpstreamError where it cannot be written.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import save

    if not path.parent.is_dir():
        raise UpstreamError(f"{path}: the folder {path.parent} does not exist; make it, or name another place")
    kind = dtype or torch.float32
    whole = {name: tensor.detach().cpu().to(kind).contiguous() for name, tensor in content.weights.items()}
    about = {
        "format": written_by(content.method),
        "config": dict(content.config),
        "facts": dict(content.facts),
        "weights": _digest(whole),
    }
    metadata = {HEADER: json.dumps(about | {"sha256": hashing.of_json(about)})}
    try:
        files.write(path, save(whole, metadata))  # safetensors' own writer ignores the umask and does not flush
    except (OSError, SafetensorError) as error:
        raise UpstreamError(f"{path} cannot be written ({error}); make room, or name another place") from error


def refuse_nan(weights: Mapping[str, Tensor], path: Path) -> None:
    """Raises UpstreamError where weights are NaN or infinite."""
    if unfit := [name for name, tensor in weights.items() if not tensor.isfinite().all()]:
        raise UpstreamError(f"{path}: NaN or infinite weights in {some(unfit)}; take an earlier or whole file")


def fill(model: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    """Load weights into a network. Raises UpstreamError that names what is missing, surplus or of another shape."""
    if listed := misfit(model, weights):
        raise UpstreamError(f"{path} does not fit the network that its settings describe ({listed}); {ANEW}")
    model.load_state_dict(dict(weights))


def misfit(model: nn.Module, weights: Mapping[str, Tensor]) -> str:
    """Which weights of a network are missing, surplus or of another shape; "" where all fit."""
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    faults = {
        "missing": [name for name in shapes if name not in weights],
        "surplus": [name for name in weights if name not in shapes],
        "of another shape": [n for n, t in weights.items() if shapes.get(n, tuple(t.shape)) != tuple(t.shape)],
    }
    return "; ".join(f"{kind}: {some(names)}" for kind, names in faults.items() if names)


def _is_whole(content: Mapping[str, object]) -> bool:
    """Whether a header agrees with its own hash, or has none: those of older files have none."""
    said = content.get("sha256")
    try:
        return said is None or said == hashing.of_json({key: v for key, v in content.items() if key != "sha256"})
    except ValueError:
        return False


def _digest(weights: Mapping[str, Tensor]) -> str:
    """sha256 (hex) of tensors on the CPU, with their names, types and shapes."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


# what becomes of them


def average(run: Path, last: int) -> Path:
    """Write RUN/average-last-<last>.safetensors, the mean of the last checkpoints, and return its path.

    The mean of the last is often a better upstream than each of them (Morais et al., ICASSP 2022).

    Raises:
        Refused: `run` is no folder.
        UpstreamError: it holds fewer checkpoints.
    """
    import torch

    if run.is_file():
        raise Refused(f"{run} is a file; expected the folder of a run, such as {run.parent}")
    if not run.is_dir():
        raise NotThere("folder of a run", run)
    paths = checkpoints(run)
    if not 1 <= last <= len(paths):
        raise UpstreamError(f"{run} holds {len(paths)} checkpoints (step-*.safetensors); --last {last} is not possible")
    whole = [read(path) for path in paths[-last:]]
    mean = {name: torch.stack([c.weights[name].double() for c in whole]).mean(0) for name in whole[0].weights}
    path = run / f"average-last-{last}.safetensors"
    newest = whole[-1]
    facts: Facts = {**newest.facts, "average_of": [p.name for p in paths[-last:]]}
    write(path, Stored(newest.method, newest.config, mean, facts))
    return path


def release(path: Path, to: Path, smaller: Callable[[Stored], Stored]) -> None:
    """Write a checkpoint in half precision; `smaller` leaves out what only training uses.

    Raises UpstreamError for a file that is none, or where nothing can be written.
    """
    import torch

    part = smaller(read(path))
    facts: Facts = {**part.facts, "released_from": path.name}
    write(to, Stored(part.method, part.config, part.weights, facts), torch.float16)
