"""Anchors: published figures of a protocol, ours beside, and the command that measures the others."""

import re
import shlex

import pytest

from cells.anchors import anchored
from commons.corridors.record import Published
from leaderboard import published
from leaderboard.__main__ import main
from leaderboard.tables.anchors import COVERED, DIFFERENCE, HERE, PAPER, Anchored, summary, tables
from tests.leaderboard import cells

TABLE = cells.utterances(60, 6)


def figure(upstream, value, metric="UA", head="emobox", **facts):
    return Published(upstream=upstream, metric=metric, value=value, head=head, source="A paper", matches=True, **facts)


def asked(*figures):
    return [Anchored("emodb", "EmoDB", "1", "UA", figures)]


def test_ours_stands_beside_with_interval_and_difference(results):
    ours = cells.make(results, upstream="hf:facebook/hubert-base-ls960", head="emotion2vec", table=TABLE)
    score = ours.scores.metrics["UA"]
    (table,) = tables(asked(figure("hubert_base", score.value + 1), figure("hubert_base", 1.0, "WA"),
                            figure("hubert_large", 0.0)), [ours])  # fmt: skip
    row = "hf:facebook/hubert-base-ls960"
    assert table.rows == [row, "hubert_large"] and table.cell(row, PAPER).value == score.value + 1
    assert (table.cell(row, HERE).value, table.cell(row, HERE).low) == (score.value, score.low)
    assert table.cell(row, DIFFERENCE).text == "-1.0" and table.cell(row, COVERED).text == "yes"
    assert table.cell("hubert_large", HERE).value is None
    assert any("-u hubert_large -t emodb -d emotion2vec" in note for note in table.notes)
    assert summary([table]) == "1 of 2 published figures measured here; on average 1.0 apart"


def test_a_mean_of_folds_is_compared_with_one(results):
    ours = cells.make(results, upstream="wavlm_base", head="superb", table=cells.utterances(61, 6))
    (table,) = tables(asked(figure("wavlm_base", 60.0, "WA", "superb", of_folds=True)), [ours])
    assert (
        table.cell("wavlm_base", HERE).value == pytest.approx(ours.scores.WA_folds) != ours.scores.metrics["WA"].value
    )


@pytest.mark.parametrize("other", [{"version": 2}, {"head": "probe"}, {"upstream": "emotion2vec"}])
def test_other_versions_heads_and_models_are_no_measurement(results, other):
    facts = {"upstream": "wavlm_base", "head": "superb", "version": 1} | other
    ours = cells.make(results, table=TABLE, **facts)
    (table,) = tables(asked(figure("wavlm_base", 60.0, head="superb")), [ours])
    assert table.cell("wavlm_base", HERE).value is None and any("run_benchmark.py" in note for note in table.notes)


def test_every_figure_of_the_tasks_is_anchored_or_has_no_loader(tmp_path, capsys):
    assert main(["anchors", "--results", str(tmp_path / "absent"), "--width", "200"]) == 0
    shown = capsys.readouterr().out
    assert "63.4" in shown and "-t iemocap_superb -d superb" in shown and "-t ravdess -d emotion2vec" in shown
    commands = [shlex.split(line) for line in re.findall(r"run_benchmark\.py (.*)", shown)]
    measurable = {one for words in commands for one in words[1 : words.index("-t")]}
    for task in anchored(None):
        for own in task.figures:
            assert own.head in published.HEADS, f"{task.task}: say in leaderboard/published.py what reads {own.head}"
            assert not published.upstreams(own) or published.called(own) in measurable
    assert main(["anchors", "-t", "urdu", "--results", str(tmp_path)]) == 2
