"""Standings on a task and over corpora, on made-up records."""

import numpy as np
import pytest

import leaderboard
from leaderboard.comparison.answers import answers, kinds, same_utterances
from leaderboard.comparison.corpora import across
from leaderboard.comparison.standings import standing
from leaderboard.errors import LeaderboardError
from tests.leaderboard import cells

ORDER = [("good", 0.9), ("fair", 0.6), ("poor", 0.2)]


def board(make, results, names=("emodb",), speakers=10, **own):
    for name in names:
        table = cells.utterances(300, speakers, seed=len(name))
        for i, (upstream, right) in enumerate(ORDER):
            make(name=name, upstream=upstream, right=right, seed=i, table=table, family=name[:5], **own)
        make(name=name, upstream="majority", head="reference", table=table, depth=None)
    parts, problems = answers(results, leaderboard.load(results)[0])
    assert not problems
    return parts


def test_a_clear_order_is_ranked_and_references_take_no_part(make, results):
    ranked = standing(board(make, results)[0])
    assert [a.upstream for a in ranked.answers] == ["good", "fair", "poor"]
    assert ranked.ranks == ranked.last == [1, 2, 3] and len(ranked.pairs) == 3
    assert ranked.smallest_p == 2**-9 and 0 < ranked.detectable < 30
    scores = {a.upstream: a.record.scores.metrics["UA"].value for a in ranked.answers}
    for pair in ranked.pairs:
        assert pair.effect.value == pytest.approx(scores[pair.first] - scores[pair.second])
        assert pair.p <= pair.adjusted <= 0.05


def test_systems_that_train_are_never_ranked_with_frozen_ones(make, results):
    """Not even under one head's name, on a task or over corpora."""
    board(make, results, names=("emodb", "urdu"))
    records = [
        record.model_copy(update={"downstream": record.downstream.model_copy(update={"trained": "encoder (all)"})})
        if record.cell.upstream == "good"
        else record
        for record in leaderboard.load(results)[0]
    ]
    parts, _ = answers(results, records)
    ranked = sorted(sorted(answer.upstream for answer in part) for part in parts)
    assert ranked == [["fair", "poor"], ["fair", "poor"], ["good"], ["good"]]
    over = sorted(sorted({answer.upstream for part in several for answer in part}) for several in kinds(parts)[0])
    assert over == [["fair", "poor"], ["good"]]


def test_few_speakers_cannot_tell_apart(make, results):
    ranked = standing(board(make, results, speakers=4)[0])
    assert ranked.ranks == [1, 1, 1] and ranked.last == [3, 3, 3], "the smallest p of 4 groups is 0.125"
    assert np.isnan(ranked.detectable) and np.isinf(ranked.needed), "no difference is large enough"


def test_errors_rank_the_smaller_first(make, results):
    ranked = standing(board(make, results, kind="regression", headline="MAE")[0])
    errors = [a.record.scores.metrics["MAE"].value for a in ranked.answers]
    assert errors == sorted(errors) and ranked.answers[2].upstream == "poor" and ranked.ranks[0] == 1 < ranked.ranks[2]


def test_a_family_has_one_vote(make, results):
    parts = board(make, results, names=("emodb", "ravdess", "ravdess_song"))
    ranked = across(parts)
    assert ranked.families == {"emodb": ["emodb"], "ravde": ["ravdess", "ravdess_song"]}
    values = {p[0].record.task.name: {a.upstream: a.record.scores.metrics["UA"].value for a in p} for p in parts}
    for name, mean in zip(ranked.upstreams, ranked.means, strict=True):
        votes = [values["emodb"][name], (values["ravdess"][name] + values["ravdess_song"][name]) / 2]
        assert mean.value == pytest.approx(np.mean(votes)) and mean.low < mean.value < mean.high
    assert ranked.ranks == [1, 2, 3] and ranked.ranks_corpora == [1, 1, 1], "two families tell nothing of a third"
    assert ranked.smallest_p_corpora == 0.5 and ranked.clean == pytest.approx([m.value for m in ranked.means])


def test_one_task_alone_gives_its_own_figures(make, results):
    part = board(make, results)[0]
    ranked, alone = across([part]), standing(part)
    assert ranked.ranks == alone.ranks
    for mean, a in zip(ranked.means, alone.answers, strict=True):
        score = a.record.scores.metrics["UA"]
        assert (mean.value, mean.low, mean.high) == pytest.approx((score.value, score.low, score.high))
    for pair, single in zip(ranked.pairs, alone.pairs, strict=True):
        assert pair.p == single.p
        assert (pair.effect.low, pair.effect.high) == pytest.approx((single.effect.low, single.effect.high))


def test_contaminated_tasks_are_left_out_for_all_and_incomplete_upstreams_not_averaged(make, results):
    parts = board(make, results, names=("emodb", "urdu"))
    make(name="urdu", upstream="good", right=0.9, table=cells.utterances(300, 10, seed=4), seen={"emodb": "audio"})
    make(name="emodb", upstream="new", table=cells.utterances(300, 10, seed=5))
    parts, _ = answers(results, leaderboard.load(results)[0])
    ranked = across(parts)
    assert ranked.clean_tasks == ["emodb"] and ranked.incomplete == {"new": ["urdu"]}
    emodb = {a.upstream: a.record.scores.metrics["UA"].value for a in parts[0]}
    assert ranked.clean == pytest.approx([emodb[name] for name in ranked.upstreams])


def test_other_utterances_and_versions_are_never_mixed(make, results):
    make(upstream="a", right=0.9, table=cells.utterances(seed=1))
    make(upstream="b", table=cells.utterances(seed=2))
    make(upstream="c", table=cells.utterances(seed=1), version=2)
    parts, problems = answers(results, leaderboard.load(results)[0])
    assert [[a.upstream for a in part] for part in parts] == [["a"], ["c"]]
    assert len(problems) == 1 and "not the same utterances" in problems[0]
    with pytest.raises(LeaderboardError, match="not the same utterances, targets or task version"):
        same_utterances(parts[0][0], parts[1][0])
    assert standing(parts[0]).ranks == [1] and standing(parts[0]).pairs == []


def test_only_figures_alike_are_averaged_and_one_version_of_a_task(make, results):
    names = ("emodb", "urdu", "gender:emodb", "gender:urdu", "emobox:emodb", "shots:emodb,5")
    board(make, results, names=names)
    make(name="urdu", upstream="another", version=2)
    several, left = kinds(answers(results, leaderboard.load(results)[0])[0])
    asked = [{part[0].record.task.name for part in own} for own in several]
    assert asked == [{"emobox:emodb", "emodb", "urdu"}, {"gender:emodb", "gender:urdu"}, {"shots:emodb,5"}]
    assert len(several[0][-1]) == 3, "the version that most upstreams answered"
    assert len(left) == 1 and left[0].startswith("urdu: version 2, audit aaaaaaaa is in no mean over tasks")


def test_tasks_that_ask_for_something_else_are_not_averaged_with_emotion(make, results):
    board(make, results, names=("emodb", "urdu", "emodb_intensity", "emodb_next"))
    several, left = kinds(answers(results, leaderboard.load(results)[0])[0])
    asked = [{part[0].record.task.name for part in own} for own in several]
    assert asked == [{"emodb", "urdu"}, {"emodb_intensity"}, {"emodb_next"}] and not left


def test_people_do_not_count_again_as_their_dialogues(make, results):
    """Of one family only tasks of one unit are averaged, the largest."""
    board(make, results)
    make(name="emodb_dialogue", upstream="good", right=0.9, table=cells.utterances(300, 60, seed=1), family="emodb",
         group_by="dialogue")  # fmt: skip
    make(name="urdu", upstream="good", table=cells.utterances(300, 60, seed=2), family="urdu", group_by="dialogue")
    records = [r for r in leaderboard.load(results)[0] if r.cell.upstream == "good"]
    (several,), left = kinds(answers(results, records)[0])
    assert [part[0].record.task.name for part in several] == ["emodb", "urdu"]
    assert left == [
        "emodb_dialogue is in no mean over tasks: its groups are dialogues, those of other tasks of emodb are speakers"
    ]


def test_a_task_whose_figure_is_undefined_empties_no_mean(make, results):
    board(make, results, names=("emodb", "urdu"))
    table = cells.utterances(300, 10, seed=3)
    table = table[table["emotion"] != "anger"].reset_index(drop=True)
    for upstream, right in ORDER:
        make(name="emovo", upstream=upstream, right=right, table=table, family="emovo")
    (several,), left = kinds(answers(results, leaderboard.load(results)[0])[0])
    assert [part[0].record.task.name for part in several] == ["emodb", "urdu"]
    assert left == ["emovo is in no mean over tasks: its UA is undefined"]
    assert across(several).ranks == [1, 2, 3]
