"""The protocol in words, with references and licences, for the cells that a paper shows."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from importlib import resources

from commons.corridors.record import REFERENCE, Record
from commons.marks import IMPORTED, explain
from leaderboard.comparison.permutation import DRAWS, ENUMERATED
from leaderboard.records.changed_audio import aside, by_question
from leaderboard.records.comparable import question, unit
from leaderboard.records.display_names import inputs, names, shown
from leaderboard.records.random_weights import averaged, draws_of
from leaderboard.tables.markdown import escape
from leaderboard.text import plain, plural

SHARED = ("speakers_shared", "speakers_unknown", "audio_shared")  # marks of tests whose speakers may be in training
METHODS = ("tukey1958", "westfall1993")  # keys of bibliography.bib: how intervals and tests are computed
CONTEXT = "a learned weighted sum of layers, a linear layer, {}, a linear layer; learning rate and epoch chosen on dev"
# What the heads that ship do; of other heads the settings are printed.
SAID = {
    "probe": "multinomial logistic regression (ridge regression for values, cumulative logistic regression for levels) "
    "on standardised time-means; "
    "layer and ridge are chosen for each fold by cross-validation that leaves out groups of the training speakers, and "
    "the head is refitted on all that is not test",
    "probe_stats": "as `probe`, on time-mean and time-standard-deviation",
    "last_four": "as `probe`, on the mean of the last four layers' time-means, so that no layer is chosen",
    "selected": "as `probe`, on those time-means of which the classes explain most of the variance; they are selected "
    "on each training set anew, and their number is chosen with layer and ridge",
    "superb": "SUPERB's recipe: a learned weighted sum of layers, a linear layer, the mean over time, a linear layer",
    "emotion2vec": "a linear layer, a ReLU, the mean over time and a linear layer on frames of the last layer",
    "context_gru": CONTEXT.format("a GRU over the turns of the dialogue (both ways unless the next turn is asked for)"),
    "dialogue_rnn": CONTEXT.format(
        "DialogueRNN over the turns of the dialogue (both ways unless the next turn is asked for)"
    ),
    "recent_gru": CONTEXT.format("two layers of GRU over the turn and the five before it"),
    "no_context": CONTEXT.format("the network of `context_gru` on each turn alone"),
    IMPORTED: "predictions brought from outside",
}


class References:
    """What a paragraph cites, in the order in which it is first cited."""

    def __init__(self) -> None:
        self._entries = bibliography()
        self._cited: list[str] = []

    def cite(self, keys: Iterable[str] | None) -> str:
        """` [@key; @key]`, of the keys that are in the bibliography; empty where there are none."""
        known = [key for key in dict.fromkeys(keys or ()) if key in self._entries]
        self._cited += known
        return f" [{'; '.join('@' + key for key in known)}]" if known else ""

    def uncited(self, records: Sequence[Record]) -> list[str]:
        """Corpora of which no key is known, sorted; also those of records that do not say what to cite."""
        keys: dict[str, set[str]] = {}
        for task in (record.task for record in records):
            cite = task.cite or {}
            for corpus in cite or (task.corpus, *task.source_corpora):
                keys.setdefault(corpus, set()).update(cite.get(corpus, []))
        return sorted(corpus for corpus, own in keys.items() if not own & self._entries.keys())

    def bibtex(self) -> str:
        """The entries that were cited, a line each."""
        return "\n".join(self._entries[key] for key in dict.fromkeys(self._cited))


# How an upstream is made of others; {} are their names.
FUSED = {
    "early": ", the features of {} side by side (layers of one relative depth; a head that standardises features "
    "divides each by the square root of its part's width)",
    "late": ", the mean of the predictions of {} (of log-probabilities, normalised again; equal weights)",
}


def methods(records: Sequence[Record], openings: dict[str, int] | None = None) -> str:
    """Markdown: what was asked, who answered, how it was read, how sure the figures are; licences; BibTeX.

    Args:
        records: the cells shown.
        openings: how often each task's test set was opened, where that is known.
    """
    measured = [r for r in records if r.cell.downstream != REFERENCE]
    called = names(measured)
    references = References()
    ours = [r for r in measured if IMPORTED not in r.marks]
    said = [_tasks(aside(measured), references, openings or {}), *_changed(measured)]
    said += [_upstreams(ours, references), _heads(ours, references)] if ours else []
    said += [*_imported(measured), _figures(measured, references)]
    parts = ["## Protocol", "", "\n\n".join(said), "", *_marks(measured, called), "## Licences", ""]
    # The longest is kept: that of a transfer names the licences of its sources, too.
    licences = {r.task.corpus: r.task.licence for r in sorted(measured, key=lambda r: len(r.task.licence))}
    parts += [f"- {_shown(corpus)}: {_shown(licence)}" for corpus, licence in sorted(licences.items())]
    models = {r.cell.upstream: r.upstream.licence for r in measured if r.upstream.licence}
    parts += [f"- {_shown(called[upstream])}: {_shown(licence)}" for upstream, licence in sorted(models.items())]
    if uncited := references.uncited(measured):
        parts += ["", f"No BibTeX entry is at hand for {', '.join(map(_shown, uncited))}: cite as the authors ask."]
    return "\n".join([*parts, "", "## References", "", "```bibtex", references.bibtex(), "```", ""])


def _one_each(records: Sequence[Record], of: Callable[[Record], Hashable]) -> list[Record]:
    """One record for each value of `of`: the last one, or the last that says what to cite."""
    chosen: dict[Hashable, Record] = {}
    for record in records:
        before = chosen.setdefault(of(record), record)
        if record.task.cite is not None or before.task.cite is None:
            chosen[of(record)] = record
    return list(chosen.values())


def _tasks(records: Sequence[Record], references: References, openings: dict[str, int]) -> str:
    said = []
    for record in _one_each(records, question):
        task, counts = record.task, record.scores.counts
        who = plural(counts.speakers, "speaker") if counts.speakers else "speakers unknown"
        text = f"{_shown(task.title)} [{_shown(task.language)}; {counts.n} utterances, {who}"
        text += f", {plural(counts.folds, 'fold')}; task version {_shown(str(task.version))}"
        text += f", audit {task.audit[:12]}]"
        text += references.cite(key for keys in (task.cite or {}).values() for key in keys)
        if times := openings.get(task.name):
            text += f" (its test part was scored {times} {'time' if times == 1 else 'times'})"
        said.append(text)
    shared = any(mark in SHARED for r in records for mark in r.marks)
    disjoint = "Test speakers are never in training" + (" but where a mark says so" if shared else "")
    beyond = " (of imported predictions this is not known)" if any(IMPORTED in r.marks for r in records) else ""
    return plain(f"Tasks: {'; '.join(said)}. {disjoint}; nothing is chosen on test data{beyond}.")


def _changed(measured: Sequence[Record]) -> list[str]:
    """A sentence on each task whose test audio was changed."""
    said = []
    for base in dict.fromkeys(asked.base for asked in by_question(measured)):
        several = [own for asked, own in by_question(measured).items() if asked.base == base]
        changes = dict.fromkeys(c.name for upstreams in several for own in upstreams.values() for c in own)
        said.append(
            f"Robustness on {escape(base)}: the audio of test alone was changed ({', '.join(changes)}; kind@level), "
            "and one training answered for all changes and the clean audio; differences from clean are paired."
        )
    return said


def _upstreams(records: Sequence[Record], references: References) -> str:
    """What each upstream is; where some read texts, also what each reads, and who wrote the texts."""
    said, reads = [], inputs(records)
    for record in _one_each(averaged(records), lambda r: r.cell.upstream):
        up = record.upstream
        sizes = f" ({plural(up.depth, 'layer')} of {plural(up.width, 'value')})" if up.depth and up.width else ""
        name = shown(record)
        title = f", {_shown(up.title)}" if up.title and up.title != name else ""
        draws = draws_of(record)
        of_draws = f", the mean of {draws} draws of its weights" if draws else ""
        fused = FUSED[up.fusion].format(" and ".join(map(_shown, up.parts))) if up.fusion else ""
        what = f", reads {_shown(reads[record.cell.upstream])}" if reads else ""
        said.append(f"{_shown(name)}{title}{sizes}{fused}{of_draws}{what}{references.cite(up.cite)}")
    legend = " Gold texts were written by people, ASR texts by a recogniser of speech." if reads else ""
    frozen = ", frozen" if all(r.downstream.trained is None for r in records) else ""
    return plain(f"Upstreams{frozen}: {'; '.join(said)}.{legend}")


def _imported(records: Sequence[Record]) -> list[str]:
    """A sentence on systems of which only the predictions are here; none where there are none."""
    brought = sorted({_shown(shown(r)) for r in records if IMPORTED in r.marks})
    return [plain(f"Imported predictions: {', '.join(brought)}; how they were trained and chosen was not controlled "
                  "here.")] if brought else []  # fmt: skip


def _heads(records: Sequence[Record], references: References) -> str:
    said = []
    for record in _one_each(records, lambda r: r.cell.downstream):
        head = record.cell.downstream
        seeds = len(record.cell.seeds)
        settings = ", ".join(f"{k} {v}" for k, v in record.downstream.settings.items()) or "no settings"
        words = SAID.get(head) or _shown(settings)
        known = "deterministic" if record.downstream.deterministic else plural(seeds, "seed")
        weighs = _class_weights([r for r in records if r.cell.downstream == head])
        cited = references.cite(record.downstream.cite)
        trains = f"; trains the {record.downstream.trained}" if record.downstream.trained else ""
        said.append(f"`{plain(head).replace('`', '')}`: {words} ({known}{weighs}{trains}){cited}")
    return plain(f"Heads: {'; '.join(said)}.")


def _class_weights(records: Sequence[Record]) -> str:
    """What the losses of a head weigh alike, in words after a semicolon; nothing where records do not say."""
    weights = {own for r in records if (own := r.downstream.class_weights) is not None}
    if len(weights) > 1:
        return "; its loss weighs classes alike where the headline does, else utterances"
    words = {"balanced": "classes alike", "effective": "classes by their effective numbers", "none": "utterances alike"}
    return "".join(f"; its loss weighs {words[own]}" for own in weights)


def _figures(records: Sequence[Record], references: References) -> str:
    tukey, westfall = (references.cite([key]) for key in METHODS)
    units = sorted({f"{unit(r)}s" for r in records})
    versions = sorted({r.run.emorep for r in records})
    return plain(
        f"Figures are pooled over folds and averaged over seeds. Intervals are 95 %, over {' and '.join(units)}: "
        f"groups are left out one at a time{tukey}, with Student's t on the logit scale and Satterthwaite's "
        "degrees of freedom by the groups' shares; they are conditional on the trained heads. "
        "Two upstreams are compared by swapping their predictions for whole groups (all swaps up "
        f"to {ENUMERATED} groups, {DRAWS:,} drawn ones beyond; two-sided), p-values are adjusted for all pairs of a "
        f"table by the step-down maximum of the same swaps{westfall}, and a rank is one plus the number of "
        "upstreams significantly better. Averages give every "
        f"corpus family one vote. Made with emorep {', '.join(versions)}."
    )


def _marks(records: Sequence[Record], called: dict[str, str]) -> list[str]:
    marks = sorted({mark for record in records for mark in record.marks})
    lines = []
    for mark in marks:
        where = sorted({f"{called[r.cell.upstream]} on {r.cell.task}" for r in records if mark in r.marks})
        tasks = sorted({r.cell.task for r in records if mark in r.marks})
        everyone = all(mark in r.marks for r in records if r.cell.task in tasks)
        lines.append(f"- {_shown(mark)} ({_shown(', '.join(tasks if everyone else where))}): {_shown(explain(mark))}")
    return ["Marks:", "", *lines, ""] if lines else []


def _shown(text: str) -> str:
    """A text from outside as one line of Markdown that shows it as it is, without HTML."""
    return escape(plain(text))


def bibliography() -> dict[str, str]:
    """The entries of bibliography.bib by key."""
    text = resources.files("leaderboard").joinpath("bibliography.bib").read_text(encoding="utf-8")
    return {re.split(r"[{,]", line)[1]: line for line in text.splitlines() if line}
