"""The kinds of derived tasks, and what a derived task is before any data are read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from commons import perturbations
from commons.registry import Registry
from tasks import brought, label_algebra
from tasks.definition import Definition
from tasks.derivation import Derivation
from tasks.load_options import Options


@dataclass(frozen=True)
class Kind:
    """A kind of derived task.

    Attributes:
        form: how its arguments are written after the colon: TASK or SUITE, and what else it takes.
        target: "module:function" in this package; the function makes the task from a `Derived` and its loaded tasks.
        version: the version of the kind; a derived task's version names it and the versions of its tasks.
        help: what the task asks, for `--list`.
        asks: the kinds of task that it can be made of.
    """

    form: str
    target: str
    version: str
    help: str
    asks: tuple[str, ...] = ("classification",)


@dataclass(frozen=True)
class Derived:
    """A derived task, as its name describes it.

    Attributes:
        name: the task's name in results.
        base: the task that it is made of, by the name that opens it; of a transfer the task that is tested.
        sources: the tasks whose corpora it trains on, by the names that open them; only of kinds that join corpora.
        option: K of `shots`, the classes (joined by +) of `labels`, the suite of `across-languages`, the suite or tasks
            of `unified` and `alone`, the perturbations (joined by +) of `perturbed`.
        asked: the name that opens it. It names files of a user's tables (`speaker:csv:mine.csv`); `name` does not.
        definitions: of the base and of the sources.
        options: of the load, for kinds that read more than their tasks.
    """

    name: str
    kind: str
    base: str
    sources: tuple[str, ...] = ()
    option: str = ""
    asked: str = ""
    definitions: tuple[Definition, ...] = field(default=(), compare=False, repr=False)
    options: Options | None = field(default=None, compare=False, repr=False)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks that must be loaded to make it: its base, then its sources."""
        return (self.base, *self.sources)

    @property
    def version(self) -> str:
        """The version of the task: its kind's and those of its tasks."""
        several = self.definitions
        versions = [f"{task.name} {task.version}" for task in several] if self.sources else [several[0].version]
        return f"{KINDS.find(self.kind).version} of {', '.join(versions)}"

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that all of its tasks share, sorted."""
        return label_algebra.shared([tuple(task.labels) for task in self.definitions])

    @property
    def _aspect(self) -> str:
        """What it asks: its kind with its option, and what its base asks, unless it asks for a column of its own."""
        own = f"{self.kind} {self.option}" if self.kind in ("shots", "labels", PERTURBED) else self.kind
        return own if self.kind in COLUMNS else " ".join(filter(None, (self.definitions[0].aspect, own)))

    @property
    def derivation(self) -> Derivation:
        """How it came from its tasks, for records and tables."""
        base, *sources = self.definitions
        if self.kind in UNIFIED:
            return Derivation(self.kind, self.kind, self.option)
        named = (self.option,) if self.kind == ACROSS else tuple(source.name for source in sources)
        changes = perturbations.expand(self.option) if self.kind == PERTURBED else []
        return Derivation(
            kind=self.kind,
            aspect=self._aspect,
            base=base.name,
            sources=named,
            source_corpora=tuple(source.corpus for source in sources),
            shots=int(self.option) if self.kind == "shots" else None,
            perturbation=changes[0] if len(changes) == 1 else None,
            opens=self.base,
        )


def no_babble(data: Path) -> str:
    """What is said where there is no speech under `data` to make babble of."""
    return (
        "babble needs speech of other people: name a folder of recordings with --noise DIR, or put another corpus "
        f"under {data}"
    )


CONTROL = ("classification", "conversation")
ACROSS, PERTURBED = "across-languages", "perturbed"
TRANSFERS = ("transfer", "transfer-standardised")
UNIFIED = ("unified", "alone")
COLUMNS = ("gender", "sentence", "speaker", "votes")  # kinds that ask for something else than their base
KINDS = Registry(
    "kind of derived task",
    {
        "gender": Kind("TASK", "controls:column", "gender 1", "the speaker's gender, on the task's folds", CONTROL),
        "sentence": Kind("TASK", "controls:column", "sentence 1", "the sentence, on the task's folds", CONTROL),
        "speaker": Kind("TASK", "controls:speaker", "speaker 1", "who speaks; sentences of test are not in train"),
        "labels": Kind("TASK,CLASS+CLASS", "classes:fewer", "labels 1", "the task on some of its classes"),
        "votes": Kind("TASK", "votes:distribution", "votes 1", "how annotators voted, as far as a corpus tells"),
        "shots": Kind("TASK,K", "shots:few", "shots 1", "K training utterances of each class; each seed is a draw"),
        "transfer": Kind("SOURCE,TARGET", "transfer:joined", "transfer 1", "train on one corpus, test on another"),
        "transfer-standardised": Kind(
            "SOURCE,TARGET",
            "transfer:joined",
            "transfer-standardised 1",
            "the same, with test features standardised by their own statistics",
        ),
        ACROSS: Kind(
            "SUITE,TASK", "transfer:joined", "across-languages 1", "train on a suite's corpora in all other languages"
        ),
        "unified": Kind(
            "SUITE",
            "unified:joined",
            "unified 1",
            "train on all corpora of a suite, or of a list TASK,TASK, and test each; `alone:` of them comes along",
        ),
        "alone": Kind("SUITE", "unified:joined", "alone 1", "the same utterances and folds, each corpus trained alone"),
        PERTURBED: Kind(
            "TASK,KIND@LEVEL",
            "perturbed:changed",
            "perturbed 1",
            f"test audio changed: {', '.join(perturbations.KINDS)}; suites: {', '.join(perturbations.SUITES)}",
        ),
    },
    others=brought.KINDS,
)
