"""The methods paragraph, the log of scorings, and what must not be in a record."""

import json
import re
from importlib import resources

import leaderboard
from commons import journals
from downstreams.registry import HEADS
from leaderboard import methods
from leaderboard.__main__ import main
from tasks import corpora
from tasks.brought import emobox
from tasks.derived import perturbed
from tests.leaderboard import cells
from tests.leaderboard.test_tables import HOSTILE
from upstreams import registry
from upstreams.pretraining import method as pretraining


def test_what_corpora_upstreams_heads_and_methods_cite_are_the_entries_of_the_bibliography():
    papers = [corpora.module(name).CORPUS.cite for name in corpora.names()]
    papers += [entry.cite for entry in registry.known()]
    papers += [pretraining.find(name).cite for name in pretraining.METHODS]
    papers += [HEADS.find(name).cite for name in HEADS]
    papers += [emobox.CITE, perturbed.CITE, pretraining.SCORE_PAPERS, methods.METHODS]
    assert all(type(cite) is tuple for cite in papers), "a text would be cited letter by letter"
    entries = methods.bibliography()
    assert {key for cite in papers for key in cite} == set(entries), "no entry is missing and none is idle"
    text = resources.files("leaderboard").joinpath("bibliography.bib").read_text()
    assert text.count("@") == len(entries)
    assert all(line.count("{") == line.count("}") and "year = " in line for line in text.splitlines())


def test_the_paragraph_names_what_is_shown_and_nothing_else(make, results, capsys):
    make(upstream="opensmile", cite={"emodb": ["burkhardt2005"]}, upstream_cite=["eyben2010", "eyben2016"])
    make(upstream="hf:microsoft/wavlm-base", name="strange", corpus="strange", family="strange", licence="by hand",
         weights_licence="CC-BY-SA-3.0", seen="unknown", head="superb", cite={"strange": []},
         upstream_cite=["chen2022"], head_cite=["yang2021"])  # fmt: skip
    make(upstream="majority", head="reference", depth=None)
    for record in leaderboard.load(results)[0]:
        leaderboard.log_scoring(results, record)
    assert main(["methods", "--results", str(results)]) == 0
    out = capsys.readouterr().out
    for words in ("120 utterances, 6 speakers, 6 folds", "task version 1", "[@burkhardt2005]",
                  "[@chen2022]", "[@eyben2010; @eyben2016]", "[@yang2021]", "SUPERB's recipe",
                  "emodb: CC0", "strange: by hand", "hf:microsoft/wavlm-base: CC-BY-SA-3.0",
                  "@inproceedings{burkhardt2005", "seen:unknown (strange)",
                  "No BibTeX entry is at hand for strange", "its test part was scored 1 time",
                  "@book{westfall1993"):  # fmt: skip
        assert words in out, words
    assert "majority" not in out and "busso2008" not in out
    assert main(["methods", "--results", str(results), "-t", "emodb"]) == 0
    assert "chen2022" not in capsys.readouterr().out


def test_what_was_trained_is_not_called_frozen(make):
    record = make(head="finetune")
    assert "Upstreams, frozen: " in methods.methods([record])
    tuned = record.model_copy(update={"downstream": record.downstream.model_copy(update={"trained": "encoder (all)"})})
    said = methods.methods([tuned])
    assert "Upstreams: " in said and "frozen" not in said and "; trains the encoder (all))" in said


def test_nothing_is_cited_but_what_records_say(make):
    """Names decide nothing; of records from before, which say nothing, and of unknown keys there is no reference."""
    old = make(upstream="wavlm_base", head="superb")
    text = methods.methods([old])
    assert set(re.findall(r"@([a-z0-9]+)\b", text)) == {*methods.METHODS, "article", "book"}
    assert "No BibTeX entry is at hand for emodb" in text
    new = make(upstream="fbank", head="superb", cite={"emodb": ["burkhardt2005", "later2030"]}, head_cite=["yang2021"])
    for records in ([old, new], [new, old]):
        text = methods.methods(records)
        assert "[@burkhardt2005]" in text and "[@yang2021]" in text and "later2030" not in text
        assert "No BibTeX entry" not in text


def test_a_transfer_cites_each_corpus_and_names_those_without_an_entry(make):
    cite = {"emodb": ["burkhardt2005"], "strange": [], "ravdess": ["livingstone2018"],
            "ravdess_song": ["livingstone2018"]}  # fmt: skip
    text = methods.methods([make(name="transfer:strange,emodb", cite=cite)])
    assert "[@burkhardt2005; @livingstone2018]" in text and text.count("@article{livingstone2018") == 1
    assert "No BibTeX entry is at hand for strange:" in text


def test_hostile_names_stay_on_their_line(make):
    text = methods.methods(
        [make(upstream=HOSTILE, name=HOSTILE, title=HOSTILE, marks=[HOSTILE], licence=HOSTILE, weights_licence=HOSTILE)]
    )
    assert "\x1b" not in text and not re.search(r"^# <b>", text, re.MULTILINE)


def test_names_are_no_html_in_the_paragraph_and_ours_has_its_label(make):
    evil = "<img src=x onerror=alert(1)>"
    ours = make(upstream="emotion2vec", label="emotion2vec-small (ours, 10 h)", weights_licence="CC", seed=2)
    text = methods.methods(
        [ours, make(upstream=evil, name=evil, title=evil, corpus=evil, marks=[evil], licence=evil, head=evil, seed=3)]
    )
    outside = re.sub(r"`[^`]*`", "", text)  # what stands in backticks is shown as it is
    assert not re.search(r"(?<!\\)[<>]", outside), outside
    assert (
        "emotion2vec-small (ours, 10 h), emotion2vec (3 layers" in text
        and "- emotion2vec-small (ours, 10 h): CC" in text
    )


def test_every_scoring_is_a_line_and_counts_but_for_floors(make, results):
    assert leaderboard.openings(results) == {}
    for _ in range(2):
        leaderboard.log_scoring(results, make())
    leaderboard.log_scoring(results, make(name="urdu"))
    leaderboard.log_scoring(results, make(upstream="majority", head="reference", depth=None))
    journals.append(results / "scored", '{"task": "emo', ".jsonl")
    assert leaderboard.openings(results) == {"emodb": 2, "urdu": 1}
    lines = journals.lines(results / "scored", ".jsonl")
    first = json.loads(lines[0])
    assert first["task"] == "emodb" and {"scored", "upstream", "downstream", "audit", "key", "seeds", "UA"} <= set(
        first
    )
    (results / "scored.jsonl").write_text(f"{lines[0]}\n{lines[1][:30]}")  # as earlier versions wrote, killed
    assert leaderboard.openings(results) == {"emodb": 3, "urdu": 1}
    leaderboard.csv(results)
    assert leaderboard.verify(results) == [], "the log is no record"


def test_records_and_logs_hold_no_paths_and_no_user(make, results):
    table = cells.utterances()
    leaderboard.log_scoring(results, make(table=table))
    written = b"".join(p.read_bytes() for p in results.rglob("*") if p.suffix in (".json", ".jsonl", ".csv"))
    assert b"/home/" not in written and str(results).encode() not in written
    assert b"somebody" not in written
    import pyarrow.parquet as pq

    for path in results.rglob("*.parquet"):
        assert "path" not in pq.read_schema(path).names


def test_a_fusion_is_told_with_its_parts(make, results):
    kinds = {
        "early": "the features of fbank and mfcc side by side",
        "late": "the mean of the predictions of fbank and mfcc",
    }
    record = make(upstream="fbank+mfcc")
    for fusion, words in kinds.items():
        upstream = record.upstream.model_copy(update={"fusion": fusion, "parts": ["fbank", "mfcc"]})
        assert words in methods.methods([record.model_copy(update={"upstream": upstream})])
    assert "side by side" not in methods.methods([record])


def test_what_was_read_is_told_where_some_read_texts(make, results):
    said = methods.methods([make(upstream="minilm", given="text (ASR)"), make(upstream="fbank")])
    assert "reads text (ASR)" in said and "reads speech" in said and "ASR texts by a recogniser" in said
    assert "reads speech" not in methods.methods([make(upstream="fbank")])
