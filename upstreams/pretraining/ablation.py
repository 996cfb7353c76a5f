"""Ablations: pre-training runs that differ in one thing, each an upstream `METHOD:ABLATION/VARIANT`.

An ablation is a YAML file of a method's folder or of the user's own: what it shows, the recipe that it varies, what
each variant sets, and the paper's figures. Its runs lie in RUNS/ABLATION/VARIANT. Imports no torch.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from commons import claims, yamlfile
from commons.commands import Stopped
from commons.errors import EmorepError, Refused, UnknownName, cut, some
from commons.faults import faults
from commons.progress import bar
from upstreams.errors import SeenUnknown, UpstreamError
from upstreams.pretraining import recipe as recipes
from upstreams.pretraining import record
from upstreams.pretraining.checkpoints import Facts, checkpoints, facts_of, labels_of, name_of, warn_of_seen
from upstreams.pretraining.method import METHODS, file_of, shipped
from upstreams.pretraining.recipe_sections import DEFAULT, SCORES, Recipe

if TYPE_CHECKING:
    from upstreams.pretraining.pack import Bounds


class Ablation(BaseModel):
    """Runs that differ in one thing.

    Attributes:
        config: the recipe that is varied; `method` is the one that it names.
        variants: name -> what it sets, as --set would.
        published: name -> the paper's figure; `measure` says what it measures.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str
    config: str
    variants: dict[str, tuple[str, ...]]
    published: dict[str, float] = {}
    measure: str = ""
    source: str = ""
    method: str = DEFAULT

    @model_validator(mode="after")
    def _of_one_method(self) -> Self:
        if any(change.startswith("method=") for changes in self.variants.values() for change in changes):
            raise ValueError("a variant cannot set method; write an ablation for each method")
        return self

    @model_validator(mode="after")
    def _in_their_folder(self) -> Self:
        """Refuse names that would lead out of the folder of runs, since they are parts of paths below it."""
        if strange := [name for name in (self.name, *self.variants) if not _plain(name)]:
            raise ValueError(f"{cut(strange[0])!r} is no name of a folder; leave out / and dots alone")
        return self

    def upstream(self, variant: str) -> str:
        """The upstream's name of a variant."""
        return f"{self.method}:{self.name}/{variant}"

    def recipe(self, variant: str) -> Recipe:
        """The recipe of a variant. Raises UpstreamError: it is wrong; UnknownName: there is no such variant."""
        if variant not in self.variants:
            raise UnknownName(f"variant of {self.name}", variant, self.variants)
        return recipes.load(self.config, self.variants[variant], f"variant {variant} of {self.name}")

    @property
    def files(self) -> tuple[str, ...]:
        """NAMEs of the files of the user's own that variants use, as `init=$NAME`, in other ablations too."""
        wanted: dict[str, None] = {}
        changes = [change.partition("=") for several in self.variants.values() for change in several]
        for key, file in ((key, file) for key, _, file in changes if key in ("init", SCORES)):
            other = variant_of(file) if key == "init" else None
            if file.startswith("$"):
                wanted[file[1:]] = None
            elif other and other[0] != self.name:
                wanted |= dict.fromkeys(load(other[0]).files)
        return tuple(wanted)


def variant_of(name: str) -> tuple[str, str] | None:
    """(ablation, variant) of METHOD:ABLATION/VARIANT; None for a name that does not begin with a method."""
    method, colon, rest = name.partition(":")
    ablation, _, variant = rest.partition("/")
    return (ablation, variant) if colon and method in METHODS else None


def _plain(name: str) -> bool:
    """Whether a name can be one folder below another."""
    return bool(name.strip(". ")) and "/" not in name and "\0" not in name


def names() -> list[str]:
    """Ablations that ship with a method."""
    return sorted(shipped("ablations"))


def load(name: str) -> Ablation:
    """By name, or from a YAML file, whose `config` is then looked for beside it too. Raises UpstreamError."""
    path = file_of("ablations", "ablation", name)
    try:
        content = yamlfile.mapping(path, "an ablation: title, config and variants")
        ablation = Ablation.model_validate({"name": path.stem} | content)
    except yamlfile.NotYaml as error:
        raise UpstreamError(str(error)) from None
    except ValidationError as error:
        raise UpstreamError(f"{path} is no ablation: {cut('; '.join(faults(error)), 500)}") from None
    beside = path.parent / ablation.config
    config = str(beside) if beside.is_file() else ablation.config
    return ablation.model_copy(update={"config": config, "method": recipes.method_of(config)})


def weights(name: str, runs: Path) -> Path:
    """The last checkpoint of the upstream METHOD:ABLATION/VARIANT, absolute; its run lies in `runs`.

    Raises:
        Refused: there is no such run, or it has no checkpoint yet.
    """
    ablation, variant = variant_of(name) or ("", "")
    if not _plain(ablation) or not _plain(variant):
        raise Refused(
            f"upstream {cut(name)!r}: {runs} holds no run; run_benchmark.py --ablation ABLATION makes it, named as "
            f"{cut(name.partition(':')[0])}:ABLATION/VARIANT"
        )
    run = runs.expanduser().absolute() / ablation / variant
    if not run.is_dir():
        raise Refused(
            f"upstream {name}: {run} holds no run; run_benchmark.py --ablation {ablation} makes it, "
            "or name the folder of runs with --runs"
        )
    try:
        return checkpoints(run)[-1]
    except UpstreamError as error:
        raise Refused(f"upstream {name}: {error}") from error


Run = tuple[str, str]  # (ablation, variant)
CLAIMS = "claims"  # in the folder of runs: of several processes one trains a variant, and the others wait


@dataclass(frozen=True)
class Workshop:
    """Where and on what variants are trained; `files`: NAME -> file, for recipes that name $NAME."""

    data: Sequence[Path]  # folders of speech; where there is none, a finished run counts whatever it was trained on
    runs: Path
    cache: Path
    device: str = "auto"
    jobs: int = 1
    seen: Mapping[str, str] | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    _keys: dict[Bounds, str] = field(default_factory=dict, init=False, repr=False)  # of the speech

    def missing(self, ablation: Ablation) -> dict[Run, tuple[Run, ...]]:
        """The runs that are to be made for an ablation's variants, in order, each with those that come before it.

        A variant comes after the one that it begins with, which may be another ablation's, and after an earlier one of
        the same recipe, whose run it shares. Those that cannot be trained are among them: `train` says why.

        Raises UpstreamError where labels guide some and `seen` is not known: before the first is trained, since all
        have to say it, and checkpoints keep what they say.
        """
        wanted: dict[Run, tuple[Run, ...]] = {}
        recipes_of: dict[Run, Recipe | None] = {}  # None while those that come before are looked for
        guided: list[str] = []

        def add(own: Ablation, variant: str) -> None:
            run = own.name, variant
            if run in recipes_of or self._is_made(own, variant):
                return
            recipes_of[run], recipe = None, own.recipe(variant)
            before = [one for one, other in recipes_of.items() if other == recipe][:1]
            if recipe.init is not None and (first := variant_of(recipe.init)):
                add(own if first[0] == own.name else load(first[0]), first[1])
                before.append(first)
            recipes_of[run], wanted[run] = recipe, tuple(one for one in before if one in wanted)
            if self._labels_guide(own, variant, recipe):
                guided.append(variant)

        for variant in ablation.variants:
            try:
                add(ablation, variant)
            except EmorepError:
                wanted[ablation.name, variant] = ()
        if guided and self.data and self.seen is None:
            raise SeenUnknown(f"{ablation.name}: scores, weights or a teacher learnt from labels guide {some(guided)}")
        return wanted

    def _labels_guide(self, ablation: Ablation, variant: str, recipe: Recipe) -> bool:
        """Whether a run that is to be trained follows scores, weights or a teacher that were learnt from labels.

        One that is finished is not to be trained, though speech has to be decoded before it is known to be the same.
        """
        try:
            whole = self._recipe(ablation, variant)
        except EmorepError:  # what it begins with is not there, which is then among the others
            return recipe.score_file is not None
        if trained_on(self._folder(ablation.name, variant), whole) is not None:
            return False
        before = None if whole.init is None else facts_of(Path(whole.init).expanduser(), whole.method)
        return whole.score_file is not None or bool(labels_of(before or Facts())) or _teacher_has_labels(whole)

    def _is_made(self, ablation: Ablation, variant: str) -> bool:
        run = self._folder(ablation.name, variant)
        try:
            recipe = self._recipe(ablation, variant)
            made = self._holds(run, recipe)
        except EmorepError:  # what it begins with is not there
            return False
        if made:
            warn_of_seen(run / name_of(recipe.optimiser.steps), recipe.method, self.seen)
        return made

    def train(self, ablation: Ablation, variant: str) -> None:
        """Train a variant, unless that is done. It becomes a link where another run here is of the same recipe and
        speech.

        Raises:
            UpstreamError: there is no speech, what it begins with is not there, its folder holds a run of another
                recipe or on other speech, or its training fails.
            Stopped: a signal ended it.
        """
        run = self._folder(ablation.name, variant)
        with claims.claimed(self.runs / CLAIMS, f"{ablation.name}/{variant}"):
            recipe = self._recipe(ablation, variant)
            last = run / name_of(recipe.optimiser.steps)
            if self._holds(run, recipe, decode=True):
                warn_of_seen(last, recipe.method, self.seen)
                return
            if run.is_symlink() and run.resolve().is_relative_to(self.runs.resolve()):
                run.unlink()  # a link of ours, to a run that is gone or another by now
            others = (other for other in self.runs.glob("*/*") if self._holds(other, recipe, decode=True))
            if not os.path.lexists(run) and (other := next(others, None)):
                run.parent.mkdir(parents=True, exist_ok=True)
                run.symlink_to(os.path.relpath(other.resolve(), run.parent.resolve()), target_is_directory=True)
                warn_of_seen(last, recipe.method, self.seen)
            else:
                self._launch(recipe, run)

    def _holds(self, run: Path, recipe: Recipe, decode: bool = False) -> bool:
        """Whether a folder holds this recipe's finished run, on this speech.

        decode: speech that is not decoded yet; it is taken for other speech else.
        """
        audio = trained_on(run, recipe)
        return audio is not None and (not self.data or audio == self._key(recipe, decode))

    def _key(self, recipe: Recipe, decode: bool) -> str | None:
        """Hash of the speech, as the recipe cuts it; None where it is not decoded."""
        from upstreams.pretraining.pack import Bounds, build, known_key

        bounds = Bounds(recipe.audio.min_seconds, recipe.audio.max_seconds)
        if bounds not in self._keys:
            key = known_key(self.data, self.cache, bounds)
            if key is None and decode:
                with bar("decoding speech", "files") as progress:
                    key = build(self.data, self.cache, bounds, self.jobs, progress).key
            if key is None:
                return None
            self._keys[bounds] = key
        return self._keys[bounds]

    def _folder(self, ablation: str, variant: str) -> Path:
        return self.runs / ablation / variant

    def _recipe(self, ablation: Ablation, variant: str) -> Recipe:
        """The recipe of a variant with the files that it names. Raises UpstreamError: they are not there."""
        recipe = ablation.recipe(variant)
        if recipe.init is not None:
            of_variant = variant_of(recipe.init) is not None
            first = weights(recipe.init, self.runs) if of_variant else self._given(recipe.init, "begins with")
            recipe = recipe.model_copy(update={"init": str(first)})
        if recipe.score_file is not None:
            recipe = recipe.model_copy(update={"scores": self._given(recipe.score_file, "follows")})
        return recipe

    def _launch(self, recipe: Recipe, run: Path) -> None:
        if not self.data:
            raise UpstreamError(f"{run} is not trained yet; name folders of speech to train it on with --speech")
        from upstreams.pretraining.launch import launch

        seen = None if self.seen is None else dict(self.seen)
        if stopped := launch(recipe, self.data, run, self.cache, self.device, self.jobs, seen):
            raise Stopped(stopped)

    def _given(self, file: str, uses: str) -> str:
        """The file itself, or for $NAME that of `files`; `uses`: what the variant does with it, for a message."""
        if not file.startswith("$"):
            return file
        if not self.files.get(file[1:]):
            raise UpstreamError(f"{uses} a file of yours; name it: {file[1:]}=FILE run_benchmark.py ...")
        return str(Path(self.files[file[1:]]).expanduser().absolute())


def _teacher_has_labels(recipe: Recipe) -> bool:
    if recipe.teacher_frames is None:
        return False
    from upstreams.pretraining.given_frames import teacher_of

    try:
        return bool(labels_of(teacher_of(recipe.teacher_frames)))
    except EmorepError:  # training says what is wrong with it
        return False


def trained_on(run: Path, recipe: Recipe) -> str | None:
    """Hash of the speech that this recipe's finished run was trained on; None where a folder holds no such run, or not
    its last checkpoint."""
    try:
        before = record.read(run)
        audio = str(before["audio"]) if isinstance(before, dict) else ""
        same = not record.differences(before, record.of_finished(recipe, audio))
    except (OSError, ValueError, KeyError, EmorepError):
        return None
    return audio if same and (run / name_of(recipe.optimiser.steps)).exists() else None
