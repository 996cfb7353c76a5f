"""The protocol in words, with references and licences, for the cells that a paper shows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import resources

from commons.corridors.record import REFERENCE, Record
from commons.marks import explain
from leaderboard.comparison.permutation import DRAWS, ENUMERATED
from leaderboard.imported import IMPORTED
from leaderboard.records.comparable import question
from leaderboard.records.display_names import names, shown
from leaderboard.tables.markdown import escape
from leaderboard.text import plain, plural

# Part of a name of a corpus, upstream or head: the keys of bibliography.bib that are cited for it.
CORPORA = {"emodb": "burkhardt2005", "urdu": "latif2018", "emovo": "costantini2014", "ravdess": "livingstone2018",
           "iemocap": "busso2008", "meld": "poria2019", "mosei": "zadeh2018"}  # fmt: skip
UPSTREAMS = {"opensmile_compare": "eyben2010 schuller2016", "opensmile": "eyben2010 eyben2016",
             "wav2vec2": "baevski2020", "hubert": "hsu2021", "wavlm": "chen2022", "data2vec": "baevski2022",
             "emotion2vec": "ma2024emotion2vec", "prosody": "morise2016"}  # fmt: skip
HEADS = {"superb": "yang2021", "emotion2vec": "ma2024emotion2vec", "emobox": "ma2024emobox",
         "dialogue_rnn": "majumder2019"}  # fmt: skip
SHARED = ("speakers_shared", "speakers_unknown", "audio_shared")  # marks of tests whose speakers may be in training
METHODS = ("tukey1958", "westfall1993")
CONTEXT = "a learned weighted sum of layers, a linear layer, {}, a linear layer; learning rate and epoch chosen on dev"
# What the heads that ship do; of other heads the settings are printed.
SAID = {
    "probe": "multinomial logistic regression (ridge regression for values) on standardised time-means; "
    "layer and ridge are chosen for each fold by cross-validation that leaves out groups of the training speakers, and "
    "the head is refitted on all that is not test",
    "probe_stats": "as `probe`, on time-mean and time-standard-deviation",
    "superb": "SUPERB's recipe: a learned weighted sum of layers, a linear layer, the mean over time, a linear layer",
    "emotion2vec": "a linear layer, a ReLU, the mean over time and a linear layer on frames of the last layer",
    "context_gru": CONTEXT.format("a GRU over the turns of the dialogue (both ways unless the next turn is asked for)"),
    "dialogue_rnn": CONTEXT.format(
        "DialogueRNN over the turns of the dialogue (both ways unless the next turn is asked for)"
    ),
    "no_context": CONTEXT.format("the network of `context_gru` on each turn alone"),
    IMPORTED: "predictions brought from outside",
}


def methods(records: Sequence[Record], openings: dict[str, int] | None = None) -> str:
    """Markdown: what was asked, who answered, how it was read, how sure the figures are; licences; BibTeX.

    Args:
        records: the cells shown.
        openings: how often each task's test set was opened, where that is known.
    """
    measured = [r for r in records if r.cell.downstream != REFERENCE]
    called = names(measured)
    cited: list[str] = []
    ours = [r for r in measured if IMPORTED not in r.marks]
    said = [_tasks(measured, cited, openings or {}), *([_upstreams(ours, cited), _heads(ours, cited)] if ours else []),
            *_imported(measured), _figures(measured, cited)]  # fmt: skip
    parts = ["## Protocol", "", "\n\n".join(said), "", *_marks(measured, called), "## Licences", ""]
    # The longest is kept: that of a transfer names the licences of its sources, too.
    licences = {r.task.corpus: r.task.licence for r in sorted(measured, key=lambda r: len(r.task.licence))}
    parts += [f"- {_shown(corpus)}: {_shown(licence)}" for corpus, licence in sorted(licences.items())]
    models = {r.cell.upstream: r.upstream.licence for r in measured if r.upstream.licence}
    parts += [f"- {_shown(called[upstream])}: {_shown(licence)}" for upstream, licence in sorted(models.items())]
    uncited = sorted(c for c in licences if not _cite(c, CORPORA, []))
    if uncited:
        parts += ["", f"No BibTeX entry is at hand for {', '.join(map(_shown, uncited))}: cite as the authors ask."]
    entries = _bibliography()
    wanted = "\n".join(entries[key] for key in dict.fromkeys(cited))
    return "\n".join([*parts, "", "## References", "", "```bibtex", wanted, "```", ""])


def _tasks(records: Sequence[Record], cited: list[str], openings: dict[str, int]) -> str:
    said = []
    for record in {question(r): r for r in records}.values():
        task, counts = record.task, record.scores.counts
        who = plural(counts.speakers, "speaker") if counts.speakers else "speakers unknown"
        text = f"{_shown(task.title)} [{_shown(task.language)}; {counts.n} utterances, {who}"
        text += f", {plural(counts.folds, 'fold')}; task version {_shown(str(task.version))}"
        text += f", audit {task.audit[:12]}]{_cite(task.corpus, CORPORA, cited)}"
        for source in task.source_corpora or task.sources:
            text += _cite(source, CORPORA, cited)
        if times := openings.get(task.name):
            text += f" (its test part was scored {times} {'time' if times == 1 else 'times'})"
        said.append(text)
    shared = any(mark in SHARED for r in records for mark in r.marks)
    disjoint = "Test speakers are never in training" + (" but where a mark says so" if shared else "")
    beyond = " (of imported predictions this is not known)" if any(IMPORTED in r.marks for r in records) else ""
    return plain(f"Tasks: {'; '.join(said)}. {disjoint}; nothing is chosen on test data{beyond}.")


def _upstreams(records: Sequence[Record], cited: list[str]) -> str:
    said = []
    for record in {r.cell.upstream: r for r in records}.values():
        up = record.upstream
        sizes = f" ({plural(up.depth, 'layer')} of {plural(up.width, 'value')})" if up.depth and up.width else ""
        name = shown(record)
        title = f", {_shown(up.title)}" if up.title and up.title != name else ""
        said.append(f"{_shown(name)}{title}{sizes}{_cite(up.name, UPSTREAMS, cited)}")
    return plain(f"Upstreams, frozen: {'; '.join(said)}.")


def _imported(records: Sequence[Record]) -> list[str]:
    """A sentence on systems of which only the predictions are here; none where there are none."""
    brought = sorted({_shown(shown(r)) for r in records if IMPORTED in r.marks})
    return [plain(f"Imported predictions: {', '.join(brought)}; how they were trained and chosen was not controlled "
                  "here.")] if brought else []  # fmt: skip


def _heads(records: Sequence[Record], cited: list[str]) -> str:
    said = []
    for record in {r.cell.downstream: r for r in records}.values():
        head = record.cell.downstream
        seeds = len(record.cell.seeds)
        settings = ", ".join(f"{k} {v}" for k, v in record.downstream.settings.items()) or "no settings"
        words = SAID.get(head) or _shown(settings)
        known = "deterministic" if record.downstream.deterministic else plural(seeds, "seed")
        weighs = _class_weights([r for r in records if r.cell.downstream == head])
        said.append(f"`{plain(head).replace('`', '')}`: {words} ({known}{weighs}){_cite(head, HEADS, cited)}")
    return plain(f"Heads: {'; '.join(said)}.")


def _class_weights(records: Sequence[Record]) -> str:
    """What the losses of a head weigh alike, in words after a semicolon; nothing where records do not say."""
    weights = {r.downstream.class_weights for r in records} - {None}
    if len(weights) > 1:
        return "; its loss weighs classes alike where the headline does, else utterances"
    return "".join(f"; its loss weighs {'classes' if own == 'balanced' else 'utterances'} alike" for own in weights)


def _figures(records: Sequence[Record], cited: list[str]) -> str:
    cited += METHODS
    units = sorted({f"{r.task.group_by}s" for r in records})
    versions = sorted({r.run.emorep for r in records})
    return plain(
        f"Figures are pooled over folds and averaged over seeds. Intervals are 95 %, over {' and '.join(units)}: "
        "groups are left out one at a time [@tukey1958], with Student's t on the logit scale and Satterthwaite's "
        "degrees of freedom by the groups' shares; they are conditional on the trained heads. "
        "Two upstreams are compared by swapping their predictions for whole groups (all swaps up "
        f"to {ENUMERATED} groups, {DRAWS:,} drawn ones beyond; two-sided), p-values are adjusted for all pairs of a "
        "table by the step-down maximum of the same swaps [@westfall1993], and a rank is one plus the number of "
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


def _cite(name: str, table: dict[str, str], cited: list[str]) -> str:
    """` [@key; @key]` of the first entry whose name is in `name`; appends the keys to `cited`."""
    for part, keys in table.items():
        if part in name.casefold():
            cited += keys.split()
            return f" [{'; '.join('@' + key for key in keys.split())}]"
    return ""


def _bibliography() -> dict[str, str]:
    """key: entry."""
    text = resources.files("leaderboard").joinpath("bibliography.bib").read_text(encoding="utf-8")
    return {re.split(r"[{,]", line)[1]: line for line in text.splitlines() if line}
