"""Names of upstreams, and what each stands for. Targets are strings, so that a list of them imports no model.

fbank                        a registered upstream
wav2vec2_base                an encoder of the hub; wav2vec2_base@FOLDER: its architecture with a folder's weights
emotion2vec_base@FILE        a published emotion2vec with weights of a file instead of the hub's
emotion2vec@RUN              the last checkpoint of a pre-training run; emotion2vec@RUN/*: all of its checkpoints
emotion2vec@FOLDER           fine-tuned weights that --keep-weights left
emotion2vec:losses/frame     a variant of an ablation: the last checkpoint of its run
hf:REPOSITORY@REVISION       any encoder of the hub, without @ its newest revision; hf:FOLDER: that of a folder
s3prl:NAME                   an upstream of s3prl; s3prl:NAME@FILE: with a checkpoint
random:wav2vec2_base         a named encoder's architecture with random weights: five draws, seeds 0 to 4
random:minilm@FOLDER         of text: with the tokenizer of a folder; random:minilm@FOLDER@7: one draw
random:wav2vec2_base@7       one draw, seed 7; random:wav2vec2_base@0 has no number in its name
path/to/file.py:Class        a class of the user's, or a function that returns an object; the file may import the
                             modules beside it
path/to/file.py:Class@FILE   the same, called with the path of a checkpoint

Names that consist of these (a+b, a#9), and features:FOLDER, are in composed.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from commons.corridors.utterances import Modality
from commons.errors import LIST, EmorepError, NotThere, Refused, UnknownName, cut
from commons.places import Places, expanded
from commons.registry import Registry
from upstreams.emotion2vec.official import CITE as EMOTION2VEC_PAPERS
from upstreams.emotion2vec.official import MODELS as EMOTION2VEC
from upstreams.huggingface.named_encoders import MODELS
from upstreams.huggingface.named_text_encoders import TEXT_MODELS
from upstreams.mockingjay.config import CITE as MOCKINGJAY_PAPERS
from upstreams.named import RANDOM_FOLDER, USER_FILE, Named, record_name_of
from upstreams.network_upstream import MODEL
from upstreams.npc.config import CITE as NPC_PAPERS
from upstreams.plugins.neighbours import top_level_names
from upstreams.pretraining import method as methods
from upstreams.pretraining.checkpoints import checkpoints, group_of_runs, recipes_behind, step_of

HUGGINGFACE, EMOTION2VEC_PARTS = "upstreams.huggingface.factories", "upstreams.emotion2vec.upstream"


@dataclass(frozen=True)
class Entry:
    """A registered upstream.

    Attributes:
        about: one line for lists.
        target: "module:factory", called with `arguments`.
        weights: it needs a copy of its weights and takes name@checkpoint, which becomes the last argument.
        runs: name@checkpoint may also be the folder of a pre-training run.
        copies: which field of Places is the folder with copies of its weights. That folder is the last argument, after
            an empty checkpoint.
        cite: BibTeX keys of its papers, in leaderboard/bibliography.bib; empty where none is there.
        modality: what it reads; "": a form of a name, which stands for upstreams of several modalities.
    """

    name: str
    title: str
    about: str
    target: str
    weights: bool = False
    arguments: tuple[str | int, ...] = ()
    runs: bool = False
    copies: Literal["weights", "modelscope", ""] = ""
    cite: tuple[str, ...] = ()
    modality: Modality | Literal[""] = "audio"


RECONSTRUCTING = (("mockingjay", "Mockingjay", MOCKINGJAY_PAPERS), ("npc", "NPC", NPC_PAPERS))
DRAWS = 5  # of random weights, where no seed is named

ENTRIES = (
    Entry("fbank", "FBANK", "80 log-mel energies every 10 ms", "upstreams.spectral:Fbank"),
    Entry("mfcc", "MFCC", "13 cepstral coefficients, their deltas and delta-deltas", "upstreams.spectral:Mfcc"),
    Entry("prosody", "prosody", "F0, voicing, energy and their changes", "upstreams.prosody:Prosody",
          cite=("morise2016",)),
    Entry("loudness", "loudness", "level in dB alone: a reference", "upstreams.loudness:Loudness"),
    Entry("pitch", "pitch", "F0 in semitones alone: a reference", "upstreams.pitch:Pitch"),
    Entry("opensmile", "eGeMAPSv02", "88 functionals of openSMILE", "upstreams.opensmile:egemaps",
          cite=("eyben2010", "eyben2016")),
    Entry("opensmile_compare", "ComParE 2016", "6373 functionals of openSMILE", "upstreams.opensmile:compare",
          cite=("eyben2010", "schuller2016")),
    Entry("text_ngrams", "n-grams of the text", "signed hashing of word and character n-grams: the floor for text",
          "upstreams.text_ngrams:TextNgrams", modality="text"),
    *(
        Entry(name, model.title, f"{model.title}; {model.about}", f"{HUGGINGFACE}:named", weights=True,
              arguments=(name,), copies="weights", cite=model.cite)
        for name, model in MODELS.items()
    ),
    *(
        Entry(name, model.title, f"{model.title}; {model.about}", f"{HUGGINGFACE}:named", weights=True,
              arguments=(name,), copies="weights", cite=model.cite, modality="text")
        for name, model in TEXT_MODELS.items()
    ),
    Entry(
        "emotion2vec", "emotion2vec-small, ours", "emotion2vec, pre-trained here; emotion2vec@RUN: a run of your own",
        f"{EMOTION2VEC_PARTS}:ours", weights=True, runs=True, cite=EMOTION2VEC_PAPERS,
    ),
    *(
        Entry(name, model.title, f"{model.title}, as published", f"{EMOTION2VEC_PARTS}:published", weights=True,
              arguments=(name,), copies="modelscope", cite=EMOTION2VEC_PAPERS)
        for name, model in EMOTION2VEC.items()
    ),
)  # fmt: skip
RANDOM = (
    *(Entry(f"random:{name}", f"{model.title}, random", "", f"{HUGGINGFACE}:random", arguments=(name,),
            cite=model.cite)
      for name, model in MODELS.items()),
    *(Entry(f"random:{name}", f"{model.title}, random", "", f"{HUGGINGFACE}:random_text", weights=True,
            arguments=(name,), copies="weights", cite=model.cite, modality="text")
      for name, model in TEXT_MODELS.items()),
    Entry("random:emotion2vec", "emotion2vec small, random", "", f"{EMOTION2VEC_PARTS}:Random",
          arguments=("emotion2vec",), cite=EMOTION2VEC_PAPERS),
    Entry("random:emotion2vec_base", "emotion2vec base, random", "", f"{EMOTION2VEC_PARTS}:Random",
          arguments=("emotion2vec_base",), cite=EMOTION2VEC_PAPERS),
    *(Entry(f"random:{method}_{preset}", f"{title} {preset}, random", "", f"upstreams.{method}.upstream:Random",
            arguments=(preset,), cite=cite)
      for method, title, cite in RECONSTRUCTING for preset in ("base", "small")),
)  # fmt: skip
FORMS = (
    Entry("random:NAME", "", f"a named encoder with random weights, {DRAWS} draws: the floor; random:NAME@7: one", "",
          modality=""),
    Entry("hf:REPOSITORY", "", "any encoder of the hub, or of a folder: hf:FOLDER", "", modality=""),
    Entry("s3prl:NAME", "", "an upstream of s3prl; s3prl:NAME@FILE with a checkpoint", ""),
    Entry("FILE.py:CLASS", "", "an upstream of your own; FILE.py:CLASS@CHECKPOINT with weights", "", modality=""),
    Entry("features:FOLDER", "", "features that you have extracted: one .npy an utterance, an .npz or a .parquet", "",
          modality=""),
    Entry("NAME+NAME", "", "early fusion: the features of any number of upstreams side by side", "", modality=""),
    Entry("NAME#LAYER", "", "one layer of an upstream, from 0; wavlm_base#9+hubert_base#6 pairs two layers", "",
          modality=""),
)  # fmt: skip
UPSTREAMS: Registry[Entry] = Registry(
    "upstream", {entry.name: entry for entry in (*ENTRIES, *RANDOM)}, LIST, others=["path/to/file.py:Class"]
)

MAX_SEED = 2**64 - 1  # torch takes no larger one
REPOSITORY = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")  # as the hub names them
CLASS = re.compile(r"^class (\w+)", re.MULTILINE)


def known() -> list[Entry]:
    """Every upstream that can be named without a file, each random one included."""
    return UPSTREAMS.values()


def listed() -> tuple[Entry, ...]:
    """The registered upstreams, then the forms of all other names."""
    return (*(entry for entry in known() if not entry.name.startswith("random:")), *FORMS)


def resolve(name: str, places: Places) -> Named:
    """What a name stands for. Imports nothing heavy.

    Raises:
        UnknownName: there is no such name, or no such file.
        Refused: the name takes no such seed or checkpoint, or has a wrong form.
    """
    if name.endswith("@"):
        raise Refused(f"upstream {name!r}: nothing stands after @; name a file, folder, run or seed, or leave @ out")
    if match := USER_FILE.fullmatch(name):
        return _resolve_file(match["file"], match["object"], match["checkpoint"])
    kind, _, rest = name.partition(":")
    if kind in methods.METHODS and ":" in name:
        return _resolve_variant(name, places)
    if kind.casefold() == "hf" and rest:
        return _resolve_hub(rest, places)
    base, _, checkpoint = name.partition("@")
    if kind.casefold() == "s3prl" and rest:
        return _resolve_s3prl(base.partition(":")[2], checkpoint)
    base = base.casefold()
    if base not in UPSTREAMS and base not in methods.METHODS:
        raise _unknown(name)
    entry = UPSTREAMS.find(base) if base in UPSTREAMS else _of_method(base)
    if entry.name.startswith("random:"):
        return _resolve_random(entry, checkpoint, places)
    if not checkpoint and base not in UPSTREAMS:
        raise Refused(f"upstream {name!r}: no weights of {base} ship; name a run or a checkpoint, as {base}@RUN")
    if not checkpoint:
        copies = getattr(places, entry.copies) if entry.copies else None
        folder = ("", str(copies)) if copies else ()
        return _named(entry.name, entry.target, (*entry.arguments, *folder), cite=entry.cite)
    return _resolve_checkpoint(name, entry, checkpoint)


def expand(name: str) -> list[str]:
    """The names that a name stands for; most stand for themselves.

    NAME@RUN/* stands for all checkpoints of a pre-training run, the earliest first. random:NAME stands for five draws
    of its weights, seeds 0 to 4: one draw says little of how good random weights are. random:NAME@0 is the first.
    """
    base, at, run = name.partition("@")
    of_a_folder = RANDOM_FOLDER.fullmatch(name)
    if of_a_folder and not of_a_folder["seed"] and base.casefold() in UPSTREAMS:
        return [f"{name}@{seed}" for seed in range(DRAWS)]
    if not at and base.casefold().startswith("random:") and base.casefold() in UPSTREAMS:
        return [f"{base}@{seed}" for seed in range(DRAWS)]
    if not run.endswith("/*") or base.casefold() not in methods.METHODS:
        return [name]
    return [f"{base}@{path}" for path in _checkpoints(_existing(run.removesuffix("/*"), "folder of a run"))]


def _named(
    name: str,
    target: str,
    arguments: tuple[str | int, ...] = (),
    source: Path | None = None,
    checkpoint: Path | None = None,
    base: str | None = None,
    cite: tuple[str, ...] = (),
) -> Named:
    return Named(
        name, record_name_of(name), target, arguments, str(source) if source else None,
        str(checkpoint) if checkpoint else None, base=base, cite=cite,
    )  # fmt: skip


def _unknown(name: str) -> EmorepError:
    """The error for a name that has no upstream."""
    if name and expanded(name).is_dir():
        return Refused(
            f"upstream {cut(name)!r}: a folder; say what it holds: hf:{cut(name)} for a model of transformers, "
            f"emotion2vec@{cut(name)} for a pre-training run"
        )
    if not name.endswith(".py"):
        try:
            UPSTREAMS.find(name)
        except EmorepError as error:
            return error
    classes = CLASS.findall(_existing(name, "file of an upstream").read_text(encoding="utf-8", errors="replace"))
    asked = " or ".join(f"{name}:{own}" for own in classes or ["CLASS"])
    return Refused(f"upstream {name!r}: say which class of the file, as {asked}")


def _resolve_checkpoint(name: str, entry: Entry, checkpoint: str) -> Named:
    if not entry.weights:
        raise Refused(f"upstream {name!r}: {entry.name} has no weights, so it takes no @checkpoint")
    path = _existing(checkpoint, "checkpoint")
    if entry.runs and path.is_dir():
        path = path / MODEL if (path / MODEL).is_file() else _checkpoints(path)[-1]
    # A folder may hold more than the weights; its upstream hashes the files that count.
    file, base = path if path.is_file() else None, entry.name if entry.runs else None
    name, arguments = f"{entry.name}@{_shown(path)}", (*entry.arguments, str(path))
    cite = _papers(path, entry.name, entry.cite) if entry.runs else entry.cite
    named = _named(name, entry.target, arguments, None, file, base, cite)
    step = step_of(path) if entry.runs else None
    if step is None:
        return named
    named = replace(named, group_of_runs=group_of_runs(path, entry.name))
    return replace(named, run=named.record_name.removesuffix(path.name).rstrip("@/"), step=step)


def _papers(checkpoint: Path, method: str, own: tuple[str, ...]) -> tuple[str, ...]:
    """BibTeX keys of the papers that weights follow: their method's own, and those of frame scores where their run, or
    one of those that it goes on from, used them."""
    scored = any(recipe.get("scores") for recipe in recipes_behind(checkpoint, method))
    return (*own, *methods.SCORE_PAPERS) if scored else own


def _of_method(name: str) -> Entry:
    """The entry of a pre-training method whose weights do not ship."""
    method = methods.find(name)
    return Entry(name, method.title, "", method.upstream, weights=True, runs=True, cite=method.cite)


def _resolve_variant(name: str, places: Places) -> Named:
    from upstreams.pretraining import ablation

    path = ablation.weights(name, places.runs)
    base, _, rest = name.partition(":")
    which, _, variant = rest.partition("/")
    method = methods.find(base)
    return Named(
        name, name, method.upstream, (str(path),), checkpoint=str(path), base=base, ablation=which, variant=variant,
        group_of_runs=group_of_runs(path, base), cite=_papers(path, base, method.cite),
    )  # fmt: skip


def _resolve_hub(origin: str, places: Places) -> Named:
    target = f"{HUGGINGFACE}:unnamed"
    if expanded(origin).is_dir():
        path = _existing(origin, "folder")
        return _named(f"hf:{_shown(path)}", target, (str(path),))
    repository, _, revision = origin.partition("@")
    if not REPOSITORY.fullmatch(repository):
        _existing(origin, "folder")  # its error offers similar names
        raise Refused(f"upstream hf:{origin}: expected a folder, or a repository such as hf:facebook/wav2vec2-base")
    copies = (str(places.weights),) if places.weights else ()
    known = (MODELS | TEXT_MODELS).values()
    cite = next((model.cite for model in known if model.repo == repository), ())
    return _named(f"hf:{origin}", target, (repository, revision, *copies), cite=cite)


def _resolve_s3prl(name: str, checkpoint: str) -> Named:
    from upstreams.s3prl import cite, refuse_unknown

    target = "upstreams.s3prl:S3prl"
    refuse_unknown(name)
    if not checkpoint:
        return _named(f"s3prl:{name}", target, (name,), cite=cite(name))
    path = _existing(checkpoint, "checkpoint")
    return _named(f"s3prl:{name}@{_shown(path)}", target, (name, str(path)), checkpoint=path, cite=cite(name))


def _resolve_random(entry: Entry, after: str, places: Places) -> Named:
    """Random weights; `after`: a seed, and of an encoder of text FOLDER or FOLDER@seed, where its tokenizer is."""
    within = RANDOM_FOLDER.fullmatch(f"{entry.name}@{after}") if entry.modality == "text" else None
    folder, seed = (within["folder"], within["seed"] or "") if within else ("", after)
    digits = len(str(MAX_SEED))
    if seed and not (seed.isdecimal() and len(seed) <= digits and int(seed) <= MAX_SEED):
        shown = seed if len(seed) <= 2 * digits else f"{seed[:digits]}..."
        raise Refused(
            f"upstream {entry.name}@{shown}: expected a seed after @, a whole number up to 2**64 - 1 such as "
            f"{entry.name}@7"
        )
    number = int(seed or 0)
    arguments: tuple[str | int, ...] = (*entry.arguments, number)
    name = entry.name
    if folder:
        path = _existing(folder, "folder of a tokenizer")
        name, arguments = f"{name}@{_shown(path)}", (*arguments, str(path))
    elif entry.copies:
        arguments = (*arguments, "", str(getattr(places, entry.copies) or ""))
    name = f"{name}@{number}" if number else name
    named = _named(name, entry.target, arguments, base=entry.name.removeprefix("random:"), cite=entry.cite)
    return replace(named, draw=number)


def _resolve_file(file: str, attribute: str, checkpoint: str | None) -> Named:
    source = _existing(file, "file of an upstream")
    names = top_level_names(source)
    if names is not None and attribute not in names:
        raise UnknownName(f"class in {cut(str(source))}", attribute, [one for one in names if not one.startswith("_")])
    name, weights = f"{_shown(source)}:{attribute}", _existing(checkpoint, "checkpoint") if checkpoint else None
    if weights:
        name = f"{name}@{_shown(weights)}"
    return _named(name, f"{source}:{attribute}", (str(weights),) if weights else (), source, weights)


def _checkpoints(run: Path) -> list[Path]:
    try:
        return checkpoints(run)
    except EmorepError as error:
        raise Refused(str(error)) from error


def _existing(path: str, what: str) -> Path:
    full = expanded(path).resolve()
    if full.exists():
        return full
    raise NotThere(what, full)


def _shown(path: Path) -> str:
    """A path as names show it: relative to the working folder if it lies in it."""
    here = Path.cwd()
    return (path.relative_to(here) if path.is_relative_to(here) else path).as_posix()
