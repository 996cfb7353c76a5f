"""Draws of random weights: one row in tables, one competitor in ranks, whose figure is the mean of the draws'."""

import statistics

import pytest
from matplotlib.text import Text

import leaderboard
from commons.metrics import METRICS
from leaderboard import plots
from leaderboard.comparison.answers import answers
from leaderboard.comparison.standings import standing
from leaderboard.errors import LeaderboardError
from leaderboard.methods import methods
from leaderboard.records.random_weights import averaged, is_of
from leaderboard.tables import rankings, views
from leaderboard.tables.latex import latex
from leaderboard.tables.markdown import markdown
from leaderboard.umap.points import gather

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
    (mean,) = (r for r in averaged(drawn) if r.upstream.draw is not None)
    values = [r.scores.metrics["UA"].value for r in several]
    assert mean.scores.metrics["UA"].value == pytest.approx(statistics.fmean(values))
    assert sorted(mean.scores.by_seed["UA"]) == pytest.approx(sorted(values))
    assert "draws:3" in mean.marks and mean.cell.upstream == "random:x"
    assert len(averaged(drawn)) == 2


def test_draws_of_a_fusion_are_one_and_are_not_those_of_its_part(drawn):
    def called(record, name):
        cell, upstream = record.cell, record.upstream
        return record.model_copy(
            update={"cell": cell.model_copy(update={"upstream": name}),
                    "upstream": upstream.model_copy(update={"name": name})}
        )  # fmt: skip

    several = [record for record in drawn if record.upstream.draw is not None]
    for form in ("{}+fbank", "fbank+{}", "late:fbank,{}", "{}#3"):
        fused = [called(record, form.format(record.cell.upstream)) for record in several]
        means = averaged([*several, *fused])
        assert [mean.cell.upstream for mean in means] == ["random:x", form.format("random:x")], form
        assert is_of(fused[2], [form.format("random:x")]) and not is_of(fused[2], ["random:x"])


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


def test_ranks_are_best_first_though_one_draw_is_above(make, results):
    make(upstream="random:x", right=0.3)
    make(upstream="random:x@1", right=0.9)
    make(upstream="fbank", right=0.75)
    ((part,),) = (answers(results, leaderboard.load(results)[0])[0],)
    assert [a.upstream for a in part] == ["fbank", "random:x"]


def test_draws_count_alike_however_many_seeds_they_have(make, results):
    make(upstream="random:x", right=0.3, seeds=1)
    make(upstream="random:x@1", right=0.9, seeds=3)
    records = leaderboard.load(results)[0]
    ((part,),) = (answers(results, records)[0],)
    (own,) = part
    shown = own.record.scores.metrics["UA"].value
    assert METRICS["UA"](own.statistics.sum(1)).mean() == pytest.approx(shown)


@pytest.mark.parametrize(
    ("first", "second"), [("random:x@1", "random:x@2"), ("random:x@0", "random:x@2"), ("random:x", "fbank")]
)
def test_draws_can_be_compared_one_by_one_and_together(drawn, results, first, second):
    tables, problems = rankings.two_upstreams(results, drawn, first, second)
    assert len(tables) == 1 and len(tables[0].rows) == 1 and not problems


def test_a_draw_is_not_compared_with_a_mean_that_holds_it(drawn, results):
    with pytest.raises(LeaderboardError, match="both name random:x"):
        rankings.two_upstreams(results, drawn, "random:x", "random:x@0")


def test_every_picture_and_table_shows_draws_once(drawn, results):
    for name in ("bars", "heatmap", "ranks", "confusion"):
        for _, figure in plots.draw(results, drawn, name, "page"):
            words = " ".join(text.get_text() for text in figure.findobj(Text))
            assert "random:x@1" not in words, name
    for view in (views.by_metric, views.by_tasks, views.by_class, views.by_cost):
        assert all("random:x@1" not in table.rows for table in view(results, drawn)[0])


def test_umap_draws_one_panel_of_draws(drawn, results):
    problems: list[str] = []
    (points,) = gather(results, drawn, ["random:x", "fbank"], None, 0, problems)
    assert [r.cell.upstream for r in points.records] == ["random:x", "fbank"] and not problems


def test_the_methods_say_that_draws_are_averaged(drawn):
    text = methods(drawn)
    assert "the mean of 3 draws of its weights" in text and "random:x@1" not in text
