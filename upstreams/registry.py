"""Names of upstreams, and what each stands for. Targets are strings, so that listing them imports no model:

fbank                        a registered upstream
wav2vec2_base                an encoder of the hub; wav2vec2_base@FOLDER: its architecture with a folder's weights
emotion2vec_base@FILE        a published emotion2vec with weights of a file instead of the hub's
emotion2vec@RUN              the last checkpoint of a pre-training run; emotion2vec@RUN/*: all of them (see expand)
emotion2vec:losses/frame     a variant of an ablation, by its run (see emotion2vec.ablation)
hf:REPOSITORY@REVISION       any encoder of the hub (its newest revision without one); hf:FOLDER: a folder
s3prl:NAME                   an upstream of s3prl; s3prl:NAME@FILE: given a checkpoint
random:wav2vec2_base         a named encoder's architecture with random weights, seed 0; random:wav2vec2_base@7: seed 7
path/to/file.py:Class        a class (or function that returns an object) of the user's own
path/to/file.py:Class@FILE   the same, called with the path of a checkpoint

A user's file may import the modules beside it: see upstreams.neighbours.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from upstreams.contract import Frozen, describe_error
from upstreams.emotion2vec.official import MODELS as EMOTION2VEC
from upstreams.emotion2vec.runs import checkpoints, of_a_run
from upstreams.errors import LIST, NotThere, UnknownName, UpstreamError
from upstreams.huggingface.models import MODELS
from upstreams.neighbours import Neighbours
from upstreams.torchaudio_repair import repair


@dataclass(frozen=True)
class Entry:
    """A registered upstream: `target` is "module:factory", called with `arguments`.

    One with `weights` needs a copy of them, and takes name@checkpoint, the last argument; one with `runs` also the
    folder of a pre-training run.
    """

    name: str
    title: str
    about: str
    target: str
    weights: bool = False
    arguments: tuple[Any, ...] = ()
    runs: bool = False


ENTRIES = (
    Entry("fbank", "FBANK", "80 log-mel energies every 10 ms", "upstreams.spectral:Fbank"),
    Entry("mfcc", "MFCC", "13 cepstral coefficients, their deltas and delta-deltas", "upstreams.spectral:Mfcc"),
    Entry("prosody", "prosody", "F0, voicing, energy and their changes", "upstreams.prosody:Prosody"),
    Entry("opensmile", "eGeMAPSv02", "88 functionals of openSMILE", "upstreams.opensmile:egemaps"),
    Entry("opensmile_compare", "ComParE 2016", "6373 functionals of openSMILE", "upstreams.opensmile:compare"),
    *(
        Entry(
            name, model.title, f"{model.title}; {model.about}", "upstreams.huggingface.factories:named", True, (name,)
        )
        for name, model in MODELS.items()
    ),
    Entry(
        "emotion2vec", "emotion2vec-small, ours", "emotion2vec, pre-trained here; emotion2vec@RUN: a run of your own",
        "upstreams.emotion2vec.upstream:ours", weights=True, runs=True,
    ),
    *(
        Entry(name, model.title, f"{model.title}, as published",
              "upstreams.emotion2vec.upstream:published", weights=True, arguments=(name,))
        for name, model in EMOTION2VEC.items()
    ),
)  # fmt: skip
FORMS = (
    ("random:NAME", "a named encoder with random weights: the floor; random:NAME@7: another seed"),
    ("hf:REPOSITORY", "any encoder of the hub, or of a folder: hf:FOLDER"),
    ("s3prl:NAME", "an upstream of s3prl; s3prl:NAME@FILE with a checkpoint"),
    ("FILE.py:CLASS", "an upstream of your own; FILE.py:CLASS@CHECKPOINT with weights"),
)
RANDOM = {name: ("upstreams.huggingface.factories:random", model.title) for name, model in MODELS.items()} | {
    "emotion2vec": ("upstreams.emotion2vec.upstream:Random", "emotion2vec small"),
    "emotion2vec_base": ("upstreams.emotion2vec.upstream:Random", "emotion2vec base"),
}

MAX_SEED = 2**64 - 1  # torch takes no larger one
REPOSITORY = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")  # as the hub names them
CLASS = re.compile(r"^class (\w+)", re.MULTILINE)
USER_FILE = re.compile(r"(?P<file>.+\.py):(?P<object>[A-Za-z_]\w*)(?:@(?P<checkpoint>.+))?")


@dataclass(frozen=True)
class Resolved:
    """A name understood: its canonical spelling and how to build it."""

    name: str
    target: str  # "module:object", or "file.py:object" of the user's own
    arguments: tuple[Any, ...] = ()
    source: Path | None = None
    checkpoint: Path | None = None

    @property
    def label(self) -> str:
        return label_of(self.name)


def label_of(name: str) -> str:
    """The form of a canonical name for records: enc.py:Enc~1a2b3c4d for /home/me/enc.py:Enc.

    Of files outside the working folder only the last part, which tells nobody's home, and a hash of the whole path,
    so that files of one name in two folders stay two. A checkpoint of a run keeps its run's folder, hashed as a whole:
    emotion2vec@small~1a2b3c4d/step-00001000.safetensors, so that those of one run stay together.
    """
    match = USER_FILE.fullmatch(name)
    paths = [match["file"], match["checkpoint"]] if match else [name.partition("@")[2], name.removeprefix("hf:")]
    outside = [path for path in paths if path and Path(path).is_absolute()]
    if len(outside) == 1 and of_a_run(run := Path(outside[0])):
        folder = f"{run.parent.name}~{_short_hash(str(run.parent))}"
        return name.replace(outside[0], f"{folder}/{run.name}")
    label = name
    for path in sorted(outside, key=len, reverse=True):  # one may be part of the other
        label = label.replace(path, Path(path).name)
    return f"{label}~{_short_hash(chr(0).join(outside))}" if outside else label


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def known() -> tuple[Entry, ...]:
    """Every upstream that can be named without a file, random ones one by one."""
    return ENTRIES + tuple(Entry(f"random:{name}", f"{title}, random", "", "") for name, (_, title) in RANDOM.items())


def listed() -> tuple[Entry, ...]:
    """Registered upstreams, then the forms that other names take."""
    return ENTRIES + tuple(Entry(form, form, about, "") for form, about in FORMS)


def resolve(name: str) -> Resolved:
    """Understand a name without importing anything heavy. Raises UnknownName."""
    if match := USER_FILE.fullmatch(name):
        return _resolve_file(match["file"], match["object"], match["checkpoint"])
    if name.startswith("emotion2vec:"):
        from upstreams.emotion2vec.ablation import weights

        path = weights(name)
        return Resolved(name, "upstreams.emotion2vec.upstream:ours", (str(path),), checkpoint=path)
    kind, _, rest = name.partition(":")
    if kind.casefold() == "hf" and rest:
        return _resolve_hub(rest)
    base, _, checkpoint = name.partition("@")
    if kind.casefold() == "s3prl" and rest:
        return _resolve_s3prl(base.partition(":")[2], checkpoint)
    base = base.casefold()
    if base.startswith("random:") and base.removeprefix("random:") in RANDOM:
        return _resolve_random(base, checkpoint)
    entry = next((entry for entry in ENTRIES if entry.name == base), None)
    if entry is None:
        raise _unknown(name)
    if not checkpoint:
        return Resolved(entry.name, entry.target, entry.arguments)
    if not entry.weights:
        raise UpstreamError(f"upstream {name!r}: {entry.name} has no weights, so it takes no @checkpoint")
    path = _existing(checkpoint, "checkpoint")
    if entry.runs and path.is_dir():
        path = checkpoints(path)[-1]
    name, arguments = f"{entry.name}@{_shown(path)}", (*entry.arguments, str(path))
    # A folder may hold more than the weights; its upstream knows which of its files count.
    return Resolved(name, entry.target, arguments, checkpoint=path if path.is_file() else None)


def _unknown(name: str) -> UpstreamError:
    """What to say of a name that is none."""
    if name.endswith(".py"):
        classes = CLASS.findall(_existing(name, "file of an upstream").read_text(encoding="utf-8", errors="replace"))
        asked = " or ".join(f"{name}:{own}" for own in classes or ["CLASS"])
        return UpstreamError(f"upstream {name!r}: say which class of the file, as {asked}")
    if name.casefold().startswith("random:"):
        return UnknownName("upstream", name, [f"random:{own}" for own in RANDOM], LIST)
    return UnknownName("upstream", name, [entry.name for entry in known()] + ["path/to/file.py:Class"], LIST)


def _resolve_hub(place: str) -> Resolved:
    target = "upstreams.huggingface.factories:unnamed"
    if Path(place).expanduser().is_dir():
        path = _existing(place, "folder")
        return Resolved(f"hf:{_shown(path)}", target, (str(path),))
    repository, _, revision = place.partition("@")
    if not REPOSITORY.fullmatch(repository):
        _existing(place, "folder")  # says what lies beside it
        raise UpstreamError(
            f"upstream hf:{place}: expected a folder, or a repository such as hf:facebook/wav2vec2-base"
        )
    return Resolved(f"hf:{place}", target, (repository, revision))


def _resolve_s3prl(name: str, checkpoint: str) -> Resolved:
    target = "upstreams.s3prl:S3prl"
    if not checkpoint:
        return Resolved(f"s3prl:{name}", target, (name,))
    path = _existing(checkpoint, "checkpoint")
    return Resolved(f"s3prl:{name}@{_shown(path)}", target, (name, str(path)), checkpoint=path)


def expand(name: str) -> list[str]:
    """NAME@RUN/* as the names of all checkpoints of a pre-training run, the earliest first; any other name as it is."""
    base, _, run = name.partition("@")
    if not run.endswith("/*") or not any(entry.runs and entry.name == base.casefold() for entry in ENTRIES):
        return [name]
    return [f"{base}@{path}" for path in checkpoints(_existing(run.removesuffix("/*"), "folder of a run"))]


def _resolve_random(base: str, seed: str) -> Resolved:
    digits = len(str(MAX_SEED))
    if seed and not (seed.isdecimal() and len(seed) <= digits and int(seed) <= MAX_SEED):
        shown = seed if len(seed) <= 2 * digits else f"{seed[:digits]}..."
        raise UpstreamError(
            f"upstream {base}@{shown}: expected a seed after @, a whole number up to 2**64 - 1 such as {base}@7"
        )
    number = int(seed or 0)
    name = f"{base}@{number}" if number else base
    architecture = base.removeprefix("random:")
    return Resolved(name, RANDOM[architecture][0], (architecture, number))


def _resolve_file(file: str, attribute: str, checkpoint: str | None) -> Resolved:
    source = _existing(file, "file of an upstream")
    name, weights = f"{_shown(source)}:{attribute}", _existing(checkpoint, "checkpoint") if checkpoint else None
    if weights:
        name = f"{name}@{_shown(weights)}"
    return Resolved(name, f"{source}:{attribute}", (str(weights),) if weights else (), source, weights)


def _existing(path: str, what: str) -> Path:
    full = Path(path).expanduser().resolve()
    if full.exists():
        return full
    raise NotThere(what, full)


def _shown(path: Path) -> str:
    """Relative to the working folder where it lies beneath it."""
    here = Path.cwd()
    return (path.relative_to(here) if path.is_relative_to(here) else path).as_posix()


def build(name: str, device: str = "cpu", precision: str = "fp32") -> Frozen:
    """The upstream itself. Raises UnknownName; UpstreamError where a user's file raises or lacks facts."""
    resolved = resolve(name)
    neighbours = Neighbours(resolved.source) if resolved.source else None
    if resolved.source:
        repair()  # what a user imports may import torchaudio: transformers does
    with neighbours.within() if neighbours else nullcontext():
        factory = _factory(resolved)
        try:
            model = factory(*resolved.arguments)
        except UpstreamError:
            raise
        except (Exception, SystemExit) as error:
            raise UpstreamError(
                f"upstream {resolved.name} cannot be built: {describe_error(error, resolved.source)}"
            ) from error
    upstream = Frozen(model, resolved.name, device, precision, resolved.source, resolved.checkpoint, neighbours)
    upstream.title = upstream.title or resolved.label
    return upstream


def _factory(resolved: Resolved) -> Callable[..., Any]:
    place, _, attribute = resolved.target.rpartition(":")
    module = _import_file(resolved.source) if resolved.source else importlib.import_module(place)
    found = getattr(module, attribute, None)
    if callable(found):
        return found
    own = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
    raise UnknownName(f"class in {resolved.source or place}", attribute, own)


def _import_file(source: Path) -> ModuleType:
    """Run a user's file as a module of its own."""
    unique = hashlib.sha256(source.as_posix().encode()).hexdigest()[:8]
    spec = importlib.util.spec_from_file_location(f"user_upstream_{source.stem}_{unique}", source)
    if spec is None or spec.loader is None:
        raise UpstreamError(f"{source} cannot be imported as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and typing look their module up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise UpstreamError(f"{source} cannot be imported: {describe_error(error, source)}") from error
    return module
