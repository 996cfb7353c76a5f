"""Draws of random weights: one row in tables, one competitor in ranks, whose figure is the mean of the draws'."""

import statistics

import pytest

import leaderboard
from leaderboard.comparison.answers import answers
from leaderboard.comparison.standings import standing
from leaderboard.records.random_weights import is_of, pooled
from leaderboard.tables import views
from leaderboard.tables.latex import latex
from leaderboard.tables.markdown import markdown

NAMES = ("random:x", "random:x@1", "random:x@2")


@pytest.fixture
def drawn(make, results):
    """Three draws of one architecture and another upstream."""
    for seed, name in enumerate(NAMES):
        make(upstream=name, right=0.4 + 0.1 * seed)
    make(upstream="fbank", right=0.9)
    return leaderboard.load(results)[0]


def test_draws_are_one_record_whose_figure_is_their_mean(drawn):
    several = [r for r in drawn if r.upstream.draw is not None]
    assert sorted(r.upstream.draw for r in several) == [0, 1, 2]
    (mean,) = (r for r in pooled(drawn) if r.upstream.draw is not None)
    values = [r.scores.metrics["UA"].value for r in several]
    assert mean.scores.metrics["UA"].value == pytest.approx(statistics.fmean(values))
    assert sorted(mean.scores.by_seed["UA"]) == pytest.approx(sorted(values))
    assert "draws:3" in mean.marks and mean.cell.upstream == "random:x"
    assert len(pooled(drawn)) == 2


def test_tables_have_one_row_of_draws_and_their_deviation(drawn, results):
    (table,), _ = views.by_tasks(results, drawn)
    assert sorted(table.rows) == ["fbank", "random:x"]
    values = [r.scores.metrics["UA"].value for r in drawn if r.upstream.draw is not None]
    assert table.cell("random:x", "emodb").std == pytest.approx(statistics.stdev(values))


def test_draws_are_one_competitor_in_ranks(drawn, results):
    (part,), problems = answers(results, drawn)
    assert not problems and [a.upstream for a in standing(part).answers] == ["fbank", "random:x"]
    (pair,) = standing(part).pairs
    mean = statistics.fmean(r.scores.metrics["UA"].value for r in drawn if r.upstream.draw is not None)
    best = next(r for r in drawn if r.cell.upstream == "fbank").scores.metrics["UA"].value
    assert pair.effect.value == pytest.approx(best - mean)


def test_a_name_without_a_seed_means_all_draws(drawn):
    assert [r.cell.upstream for r in drawn if is_of(r, ["random:x"])] == sorted(NAMES)
    assert [r.cell.upstream for r in drawn if is_of(r, ["random:x@2", "fbank"])] == ["fbank", "random:x@2"]


def test_every_form_of_a_table_shows_the_deviation_of_draws(drawn, results):
    (table,), _ = views.by_tasks(results, drawn)
    shown = table.cell("random:x", "emodb").deviation
    assert shown.startswith("± ") and shown in markdown([table]) and shown[2:] in latex([table])
