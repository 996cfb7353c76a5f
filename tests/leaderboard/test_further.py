"""Figures of further targets: recorded, verified, extended by seeds, and shown beside those of the task."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import leaderboard
from commons.corridors.predictions import Further, Predictions
from leaderboard import tables
from leaderboard.errors import LeaderboardError
from leaderboard.records import verify
from leaderboard.records.scoring import score
from leaderboard.tables import results as ending
from leaderboard.tables.spreadsheet import text
from tests.leaderboard.cells import measured, predict, sections, utterances

LEVELS = ("normal", "strong")
NOTE = "an interpretation of a paper"


@pytest.fixture(scope="module")
def table():
    n = 72
    made = utterances(n)
    return made.assign(sentence=[str(i // 6 % 3) for i in range(n)], intensity=[LEVELS[i // 36] for i in range(n)])


def answers(table, seeds):
    """A further target of each kind, and a probe that is tested twice on every utterance."""
    classes, levels, spoken = [], [], []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        n = len(table)
        facts = pd.DataFrame({"id": table.index, "fold": table["speaker"].to_numpy(), "seed": seed})
        share = rng.random(n).astype(np.float32)
        for made, column, names in ((classes, "gender", ("female", "male")), (levels, "intensity", LEVELS)):
            given = np.where(share > 0.5, names[1], names[0])
            scores = {f"score:{names[0]}": 1 - share, f"score:{names[1]}": share}
            made.append(facts.assign(target=table[column].to_numpy(), prediction=given, **scores))
        wrong = np.where(rng.random(n) < 0.3, "a", "a b a b")
        spoken.append(facts.assign(target="a b a b", prediction=wrong))
    together = [pd.concat(parts, ignore_index=True) for parts in (classes, levels, spoken)]
    return (
        Further("gender", "classification", ("female", "male"), (), together[0]),
        Further("intensity", "ordinal", LEVELS, (0.5, 1.0), together[1]),
        Further("phonemes", "sequence", ("a", "b"), (), together[2]),
        Further("gender_probe", "classification", ("female", "male"), (), pd.concat([together[0]] * 2)),
    )


def record(results, table, seeds=(0, 1), extends=None, further=None):
    made = sections(table, head="several")
    made["cell"]["seeds"] = list(seeds)
    made["downstream"]["interpretation"] = NOTE
    whole = predict(table, seeds=3, depth=None)
    own = whole.table[whole.table["seed"].isin(seeds)]
    choices = [choice for choice in whole.choices if choice["seed"] in seeds]
    beside = answers(table, seeds) if further is None else further
    return leaderboard.record(
        results, measured(made, Predictions(table=own, choices=choices, further=beside), table), extends
    )


def test_figures_are_those_of_a_task_of_its_own(tmp_path, table):
    made = record(tmp_path, table)
    gender = made.further["gender"]
    asked = made.task.model_copy(update={"classes": ["female", "male"], "metrics": ["UA"]})
    own = answers(table, (0, 1))[0].table.assign(group=np.tile(table["speaker"].to_numpy(), 2))
    assert gender.metrics["UA"] == score(own, asked).metrics["UA"] and gender.headline == "UA"
    assert gender.n == len(table) and made.further["gender_probe"].n == 2 * len(table)
    intensity = made.further["intensity"]
    assert intensity.pairs == ["speaker", "sentence", "emotion"]
    assert set(intensity.metrics) == {"UA", "level_MAE", "Spearman", "pairs"}
    assert intensity.metrics["pairs"].value is not None
    spoken = answers(table, (0, 1))[2].table
    rate = 100 * (spoken["prediction"] == "a").mean() * 3 / 4
    phonemes = made.further["phonemes"].metrics["PER"]
    assert phonemes.value == pytest.approx(rate) and phonemes.low < rate < phonemes.high


def test_seeds_are_added_and_what_stands_stays_whole(tmp_path, table):
    both = record(tmp_path / "both", table)
    first = record(tmp_path / "one", table, seeds=(0,))
    extended = record(tmp_path / "one", table, seeds=(1,), extends=first)
    for name, own in extended.further.items():
        assert (own.metrics, own.by_seed, own.n) == (both.further[name].metrics, both.further[name].by_seed, own.n)
    assert verify.verify(tmp_path / "one") == []
    named = {own.file.name for own in extended.further.values()}
    assert named == {path.name for path in (tmp_path / "one").rglob("*.further.parquet")}
    other = replace(answers(table, (2,))[1], places=(0.25, 1.0))
    with pytest.raises(LeaderboardError, match="further targets: intensity of the record is another one than these"):
        record(tmp_path / "one", table, seeds=(2,), extends=extended, further=[other])


def test_a_seed_may_lack_a_target_that_others_have(tmp_path, table):
    """As a draw of few utterances does, which are all of one gender: the figure is that of the others."""
    first = record(tmp_path, table, seeds=(0,), further=answers(table, (0,))[1:3])
    both = record(tmp_path, table, seeds=(1,), extends=first, further=answers(table, (1,))[:2])
    alone = {"gender": record(tmp_path / "1", table, seeds=(1,)), "phonemes": record(tmp_path / "0", table, seeds=(0,))}
    assert (
        set(both.further) == {"gender", "intensity", "phonemes"} and len(both.further["intensity"].by_seed["UA"]) == 2
    )
    for name, own in alone.items():
        assert both.further[name].metrics == own.further[name].metrics
    assert verify.verify(tmp_path) == []


def test_verify_names_a_figure_and_a_file_that_were_changed(tmp_path, table):
    made = record(tmp_path, table)
    (path,) = tmp_path.rglob("several.json")
    wrong = made.further["gender"].model_copy(update={"n": 7})
    changed = made.model_copy(update={"further": made.further | {"gender": wrong}, "checksum": None})
    path.write_text(changed.model_dump_json())
    assert any("further.gender.n: 7 before, 72 now" in line for line in verify.verify(tmp_path))
    path.write_text(made.model_dump_json())
    assert verify.verify(tmp_path) == []
    beside = path.parent / made.further["phonemes"].file.name
    beside.write_bytes(beside.read_bytes()[:-1] + b"x")
    assert any(beside.name in line and "sha256" in line for line in verify.verify(tmp_path))


def test_tables_and_csv_show_them_and_say_what_the_head_is(tmp_path, table):
    made = record(tmp_path, table)
    (shown,) = ending.tables([made])
    assert NOTE in shown.heading
    further = ["gender UA", "intensity UA", "PER", "gender probe UA"]
    assert [column for column in shown.columns if column in further] == further
    assert shown.cell("fbank", "PER").value == made.further["phonemes"].metrics["PER"].value
    for name in ("metric", "task", "class", "cost"):
        assert all(NOTE in one.heading for one in tables.view(name, tmp_path, [made])[0])
    header, row = (line.split(",") for line in text([made]).splitlines())
    figures = {name: own for name, own in zip(header, row, strict=True) if "_probe_" in name}
    assert set(figures) == {f"{name}{part}" for name in ("gender_probe_UA", "speaker_probe_WA")
                            for part in ("", "_low", "_high")}  # fmt: skip
    assert figures["gender_probe_UA"] and not figures["speaker_probe_WA"]


def test_draws_of_random_weights_are_shown_by_their_mean(tmp_path, table):
    made = record(tmp_path, table)
    low, high = (made.model_copy(update={
        "cell": made.cell.model_copy(update={"upstream": f"random:x@{draw}"}),
        "upstream": made.upstream.model_copy(update={"name": f"random:x@{draw}", "draw": draw, "base": "x"}),
        "further": {"gender": made.further["gender"].model_copy(update={
            "metrics": {"UA": made.further["gender"].metrics["UA"].model_copy(update={"value": 40.0 + 20 * draw})}})},
    }) for draw in (0, 1))  # fmt: skip
    (shown,) = ending.tables([low, high])
    assert shown.cell(shown.rows[0], "gender UA").value == 50.0


def test_without_sentences_there_are_no_pairs(tmp_path, table):
    made = record(tmp_path, table.drop(columns="sentence"))
    assert made.further["intensity"].pairs == [] and "pairs" not in made.further["intensity"].metrics


def test_pairs_are_counted_where_only_another_corpus_tells_repetitions_and_never_without_a_sentence(tmp_path, table):
    def right(name, **columns):
        return record(tmp_path / name, table.assign(**columns)).further["intensity"].metrics["pairs"]

    some = np.arange(len(table)) % 2 == 0
    part = right("part", repetition=np.where(some, "1", None))
    assert part == right("told", repetition=np.where(some, "1", "none"))
    alone = right("alone", sentence=np.where(some, table["sentence"], None))
    assert alone == right("each", sentence=np.where(some, table["sentence"], table.index))
    assert part.value is not None and part != alone


def test_answers_of_strange_utterances_are_refused(tmp_path, table):
    gender = answers(table, (0,))[0]
    strange = replace(gender, table=gender.table.assign(id="nobody"))
    with pytest.raises(LeaderboardError, match="predictions of gender: 'nobody' is no utterance"):
        record(tmp_path, table, seeds=(0,), further=(strange,))
