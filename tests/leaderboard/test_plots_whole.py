"""Pictures leave no row out, one without figures is none, and one that fails stops no other kind."""

import numpy as np
import pytest
from matplotlib.text import Text

import leaderboard
from leaderboard import plots
from leaderboard.__main__ import main
from leaderboard.comparison.standings import compare
from leaderboard.plots import style
from leaderboard.plots.training import forest
from tests.leaderboard import cells


def without_figures(record):
    """Layers without a figure, as where test lacks a class of the headline, which weighs classes alike."""
    scores = record.scores.model_copy(update={"by_layer": [None] * len(record.scores.by_layer)})
    return record.model_copy(update={"scores": scores})


@pytest.mark.parametrize("width", style.WIDTHS)
def test_layers_without_figures_are_no_picture(make, results, width):
    bare, other = without_figures(make()), make(name="urdu")
    assert list(plots.draw(results, [bare], "layers", width)) == []
    learned = bare.chosen.model_copy(update={"layer_weights": [[0.5, 0.3, 0.2]]})
    ((_, drawn),) = plots.draw(results, [bare.model_copy(update={"chosen": learned})], "layers", width)
    assert [axis.get_ylabel() for axis in drawn.axes] == ["weight"]
    assert [name for name, _ in plots.draw(results, [bare, other], "layers", width)] == ["layers-urdu-probe"]


def test_a_picture_that_fails_stops_no_other_kind(make, results, monkeypatch, capsys):
    make()

    def broken(*_):
        raise ValueError("no limits")
        yield

    monkeypatch.setattr("leaderboard.plots.upstreams.bars", broken)
    assert main(["plot", "bars", "layers", "--results", str(results), "--width", "column"]) == 1
    assert "bars: a picture cannot be drawn, the first: ValueError: no limits" in capsys.readouterr().err
    names = {path.name for path in (results / "plots").iterdir()}
    assert "layers-emodb-probe-column.pdf" in names and not any(name.startswith("bars") for name in names)
    assert main(["plot", "bars", "--results", str(results)]) == 1
    assert "no result" not in capsys.readouterr().err


def test_pages_hold_every_row():
    rows = list(range(25))
    assert [(number, list(some)) for number, some in style.pages(rows, 12)] == [
        (("1",), rows[:12]), (("2",), rows[12:24]), (("3",), rows[24:])
    ]  # fmt: skip
    assert list(style.pages(rows, 25)) == [((), rows)] and list(style.pages([], 3)) == []


def test_a_forest_has_all_rows_and_adjusts_p_over_all_of_them(make, results, monkeypatch):
    for i in range(13):
        for head in ("probe", "finetune", "finetune_ecapa"):
            make(upstream=f"u{i}", head=head, seed=i + len(head), seeds=1, depth=None, pooled=False)
    asked = []
    monkeypatch.setattr(
        "leaderboard.comparison.standings.compare", lambda couples: asked.append(len(couples)) or compare(couples)
    )
    made = list(forest(results, leaderboard.load(results)[0], "page"))
    assert [name for name, _ in made] == [("emodb", "1"), ("emodb", "2")] and asked == [39]
    rows = [label.get_text() for _, drawn in made for label in drawn.axes[0].get_yticklabels()]
    assert len(rows) == len(set(rows)) == 39
    assert all(drawn.get_figheight() <= style.TALLEST for _, drawn in made)


def test_robustness_has_every_upstream(make, results):
    for i in range(13):
        make(upstream=f"u{i:02}", seed=i, seeds=1, depth=None, pooled=False, **cells.change("white", 10))
    made = dict(plots.draw(results, leaderboard.load(results)[0], "robustness", "column"))
    assert set(made) == {"robustness-emodb-probe-changes-1", "robustness-emodb-probe-changes-2"}
    seen = {text.get_text() for drawn in made.values() for text in drawn.findobj(Text)}
    assert {f"u{i:02}" for i in range(13)} <= seen


def test_ranks_over_corpora_say_their_metric_and_are_of_several_tasks(make, results, monkeypatch):
    for i, upstream in enumerate(("fbank", "mfcc")):
        for task in ("emodb", "urdu"):
            make(upstream=upstream, name=task, corpus=task, family=task, seed=i)
            make(upstream=upstream, name=f"{task}_all", corpus=task, family=task, seed=i, headline="WA")
    records = leaderboard.load(results)[0]
    made = dict(plots.draw(results, records, "ranks", "page"))
    assert {name for name in made if "over" in name} == {f"ranks-over-corpora-probe-{m}" for m in ("UA", "WA")}
    titles = [text.get_text() for drawn in made.values() for text in drawn.findobj(Text)]
    assert {"2 corpus families · probe · UA", "2 corpus families · probe · WA"} <= set(titles)
    monkeypatch.setattr("leaderboard.comparison.corpora.across", lambda parts: np.testing.assert_(len(parts) > 1))
    assert list(plots.draw(results, [r for r in records if r.task.name == "urdu"], "ranks", "page"))
