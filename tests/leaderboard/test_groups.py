"""Groups of utterances: a group's figures, how sure a gap is, and what is said where nothing can be compared."""

import math

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, precision_score, recall_score

import leaderboard
from commons.corridors.utterances import PEOPLE
from leaderboard.__main__ import main
from leaderboard.tables import view, views
from leaderboard.trust import groups
from leaderboard.trust.random_models import thresholds
from leaderboard.trust.systems import systems, where
from tests.leaderboard import cells

CLASSES = list(cells.CLASSES)


@pytest.fixture
def one(make, results):
    """A system of two seeds on a corpus of eight speakers, four of each gender, at two intensities."""
    table = cells.utterances(320, 8).assign(intensity=lambda t: np.where(np.arange(len(t)) % 3, "normal", "strong"))
    make(table=table)
    ((system,),) = systems(results, leaderboard.load(results)[0], [])
    return system


def test_facts_are_kept_beside_the_predictions_and_survive_verify(one, results):
    assert set(one.table["intensity"]) == {"normal", "strong"}
    assert "intensity" not in leaderboard.predictions(results, one.record), "predictions keep their bytes"
    assert leaderboard.verify(results) == []
    path = where(results, one.record)
    (path.parent / one.record.files.facts.name).unlink()
    assert "facts" in leaderboard.verify(results)[0]


@pytest.mark.parametrize("column", ["gender", "intensity"])
def test_figures_of_a_group_are_those_of_scikit_learn(one, column):
    task = one.record.task
    own = groups.grouped(one.table, task, column)
    for index, score in enumerate(groups.scores(own)):
        part = one.table[one.table[column] == own.names[index]]
        by_seed = [p for _, p in part.groupby("seed")]
        recalls = [recall_score(p.target, p.prediction, labels=CLASSES, average=None) for p in by_seed]
        precisions = [precision_score(p.target, p.prediction, labels=CLASSES, average=None) for p in by_seed]
        assert score.value == pytest.approx(100 * np.mean(recalls)) and score.low < score.value < score.high
        for what, several in (("recall", recalls), ("precision", precisions)):
            for place, (_, figure, _) in enumerate(groups.figures(task, own, what)):
                mine = figure(own.statistics[:, :, index].sum(1)).mean()
                assert mine == pytest.approx(100 * np.mean(several, axis=0)[place])


@pytest.mark.parametrize("column", PEOPLE)
def test_groups_are_made_by_all_that_a_corpus_tells_of_its_speakers(make, results, column):
    make(table=cells.utterances(320, 8).assign(**{column: lambda t: np.where(t["gender"] == "male", "one", "two")}))
    tables, _ = view("group", results, leaderboard.load(results)[0])
    assert any(table.title == f"emodb · probe · UA by {column}" for table in tables)


def test_ages_in_years_are_put_into_spans(one):
    speakers = sorted(set(one.table["speaker"]))
    ages = dict(zip(speakers, ["19", "29", "30", "44", "45", "61", "70", "88"], strict=True))
    own = groups.grouped(one.table.assign(age=one.table["speaker"].map(ages)), one.record.task, "age")
    assert own.names == ["0 to 29", "30 to 44", "45 to 59", "60 and more"]
    assert [int(own.units(index).sum()) for index in range(4)] == [2, 2, 1, 3]
    words = groups.grouped(one.table.assign(age=one.table["gender"].map({"male": "old", "female": "20"})),
                           one.record.task, "age")  # fmt: skip
    assert words.names == ["20", "old"], "an age that is no number stays a word"


def test_a_gap_is_the_worst_against_the_best_and_its_interval_grows_with_the_number_of_groups(one):
    task = one.record.task
    for column in ("gender", "intensity"):
        own = groups.grouped(one.table, task, column)
        values = dict(zip(own.names, [s.value for s in groups.scores(own)], strict=True))
        gap = groups.gap(own, groups.ua_of(own.classes), own.classes)
        assert gap.value == pytest.approx(min(values.values()) - max(values.values()))
        assert values[gap.worst] == min(values.values()) and gap.low < gap.value < gap.high
        twice = np.concatenate([own.statistics] * 2, axis=2)  # the same two groups, chosen among more pairs
        more = groups.Groups(column, [*own.names, *map("{} again".format, own.names)], twice, own.classes)
        wide = groups.gap(more, groups.ua_of(own.classes), own.classes)
        assert wide.value == pytest.approx(gap.value) and wide.high - wide.low > gap.high - gap.low


def test_classes_that_a_group_lacks_are_left_out_for_all_and_named(make, results):
    table = cells.utterances(320, 8)
    table.loc[(table.gender == "male") & (table.emotion == "anger"), "emotion"] = "sadness"
    make(table=table)
    tables, _ = view("group", results, leaderboard.load(results)[0])
    assert any("left out, since some group has none: anger" in line for line in tables[0].facts)
    recall = next(t for t in tables if "recall by gender" in t.title)
    assert recall.columns == CLASSES[1:]


def test_a_fair_system_is_seldom_beyond_models_that_guess_and_an_unfair_one_is():
    sizes = np.full((2, 4), 40.0)
    figure = {"UA": groups.ua_of(np.ones(4, dtype=bool))}
    greatest = thresholds(sizes, figure)["UA"]
    assert greatest == thresholds(sizes, figure)["UA"], "drawn alike each time"
    alone = np.random.default_rng(5).multinomial(sizes.astype(int), np.full(4, 0.25)).astype(float)
    values = figure["UA"](alone)
    assert abs(values[0] - values[1]) <= greatest < 40
    assert thresholds(sizes * 25, figure)["UA"] < greatest / 3, "larger groups differ less by chance"


def test_a_gap_in_truth_is_seen_and_marked(make, results):
    table = cells.utterances(800, 8)
    make(table=table, right=0.9, seeds=1)
    ((system,),) = systems(results, leaderboard.load(results)[0], [])
    worse = system.table.assign(
        prediction=system.table["prediction"].where(system.table["gender"] == "female", CLASSES[0])
    )
    own = groups.grouped(worse, system.record.task, "gender")
    gap = groups.gap(own, groups.ua_of(own.classes), own.classes)
    assert gap.worst == "male" and gap.high < 0


def test_speakers_at_or_below_chance_are_counted_with_an_exact_interval():
    made = [
        pd.DataFrame({"seed": 0, "speaker": name, "target": ["anger", "sadness"], "prediction": said})
        for name, said in (("a", ["anger", "sadness"]), ("b", ["sadness", "anger"]), ("c", ["anger", "anger"]))
    ]
    task = cells.measured(cells.sections(cells.utterances()), None, cells.utterances()).task
    own = groups.of_speakers(pd.concat(made), task)
    assert own.names == ["b", "c", "a"] and own.values.tolist() == [0, 50, 100] and own.failed == 1
    share, low, high = own.share
    assert [share, low, high] == pytest.approx([100 / 3, 0.84, 90.57], abs=0.01)


def test_chance_is_that_of_a_speakers_own_corpus_where_corpora_are_joined():
    """Who guesses among the two classes of the corpus is at chance with 50, not above that of all four."""
    made = [
        pd.DataFrame({"seed": 0, "speaker": name, "corpus": corpus, "target": ["anger", "sadness"], "prediction": said})
        for name, corpus, said in (("a", "two", ["anger", "anger"]), ("b", "four", ["anger", "anger"]))
    ]
    joined = {"corpora": {"two": ["anger", "sadness"], "four": list(CLASSES)}}
    task = cells.measured(cells.sections(cells.utterances(), **joined), None, cells.utterances()).task
    own = groups.of_speakers(pd.concat(made), task)
    assert dict(zip(own.names, own.chance.tolist(), strict=True)) == {"a": 50.0, "b": 25.0} and own.failed == 1
    assert views.chance(task) == "chance UA 25.0 to 50.0 by corpus"


def test_one_group_only_is_a_clear_word(make, results, capsys):
    make(table=cells.utterances().assign(gender="female", language="de"))
    assert main(["table", "--by", "group", "--results", str(results)]) == 1
    said = capsys.readouterr()
    assert "one group only" in said.err and "gender female" in said.err and "speakers" in said.out


def test_records_from_before_facts_say_how_to_have_them(make, results, capsys):
    table = cells.utterances()
    make(table=table)
    make(table=table.assign(intensity="normal"), upstream="opensmile")
    assert main(["table", "--by", "group", "--results", str(results)]) == 0
    assert "python run_benchmark.py -u fbank -t emodb -d probe --force" in " ".join(capsys.readouterr().out.split())


def test_draws_of_random_weights_are_one_row(make, results):
    table = cells.utterances()
    for draw in range(3):
        make(table=table, upstream="random:fbank" + f"@{draw}" * (draw > 0), seed=draw)
    records = [r.model_copy(update={"upstream": r.upstream.model_copy(update={"draw": i})})
               for i, r in enumerate(leaderboard.load(results)[0])]  # fmt: skip
    ((system,),) = systems(results, records, [])
    assert system.table["seed"].nunique() == 6
    assert len(view("group", results, records)[0][0].rows) == 1


@pytest.mark.parametrize("counts", [(3, 1), (3, 2), (1, 3, 2)])
def test_draws_of_different_numbers_of_seeds_keep_them_apart_and_count_alike(make, results, counts):
    table = cells.utterances()
    for draw, seeds in enumerate(counts):
        make(table=table, upstream=f"random:fbank@{draw}", seed=draw, right=0.3 + 0.3 * draw, seeds=seeds)
    records = [r.model_copy(update={"upstream": r.upstream.model_copy(update={"draw": i})})
               for i, r in enumerate(leaderboard.load(results)[0])]  # fmt: skip
    ((system,),) = systems(results, records, [])
    rows = system.table.groupby("seed").size()
    assert rows.index.tolist() == list(range(len(counts) * math.lcm(*counts))) and set(rows) == {len(table)}
    each = [balanced_accuracy_score(own["target"], own["prediction"]) for _, own in system.table.groupby("seed")]
    assert 100 * np.mean(each) == pytest.approx(system.record.scores.metrics["UA"].value), "that of the mean record"


NONE, SOME, MORE, ALL = [0] * 6, [3, 4, 5] * 2, [6, 7, 8] * 2, [10] * 6  # right of 10 a class, of each speaker


@pytest.mark.parametrize(
    ("worst", "best", "known"),
    [(SOME, MORE, True), (SOME, ALL, False), (NONE, SOME, False), (ALL, ALL, False), (NONE, ALL, False)],
)
def test_a_gap_at_an_end_of_the_range_has_no_interval(worst, best, known):
    """Nobody is certain of the next speaker, though those of this corpus agree."""
    counts = [[[[a, 10 - a], [10 - a, a]] for a in both] for both in zip(worst, best, strict=True)]
    made = groups.Groups("gender", ["f", "m"], np.array(counts, dtype=float)[None], np.ones(2, bool))
    gap = groups.gap(made, groups.ua_of(made.classes), made.classes)
    assert gap.value == pytest.approx(10 * (np.mean(worst) - np.mean(best)))
    assert [end is not None for end in (gap.low, gap.high)] == [known, known]
