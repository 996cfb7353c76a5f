"""Changed test audio: figures against clean, areas over noise, tables; other views leave it aside."""

import numpy as np
import pytest

import leaderboard
from commons.perturbations import SUITES, parse
from leaderboard.__main__ import main
from leaderboard.comparison import over_changes
from leaderboard.tables import FORMS, robustness
from tests.leaderboard import cells
from tests.leaderboard.test_tables import HOSTILE

LEVELS = (0, 10, 30)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("robustness")
    cells.make(folder, right=0.7, seed=99, pooled=False)
    for level in LEVELS:
        cells.make(folder, right=0.2 + level / 60, seed=level, pooled=False, **cells.change("white", level))
    for name in SUITES["small"]:
        own = parse(name)
        cells.make(folder, right=0.65, seed=7, pooled=False, **cells.change(own.kind, own.level))
    return folder


@pytest.fixture(scope="module")
def records(results):
    return leaderboard.load(results)[0]


def white(records):
    return [r for r in records if r.task.perturbation and r.cell.task.startswith("perturbed:emodb,white@")
            and r.task.perturbation.level in LEVELS]  # fmt: skip


def ua(table, names, what):
    """UA by its definition, the mean over seeds."""
    hits = [
        np.mean([(own[what] == name)[own["target"] == name].mean() for name in names])
        for _, own in table.groupby("seed")
    ]
    return 100 * float(np.mean(hits))


def test_change_and_unchanged_are_those_of_the_predictions(results, records):
    for record in white(records):
        table, against = leaderboard.predictions(results, record), record.scores.against_clean
        assert against.unchanged.value == pytest.approx(100 * (table["prediction"] == table["clean"]).mean())
        after, before = (ua(table, record.task.classes, what) for what in ("prediction", "clean"))
        assert against.clean == pytest.approx(before)
        assert against.change.value == pytest.approx(after - before)
        left = []
        for group in sorted(set(table["group"])):
            rest = table[table["group"] != group]
            left.append(ua(rest, record.task.classes, "prediction") - ua(rest, record.task.classes, "clean"))
        error = np.sqrt((len(left) - 1) / len(left) * np.square(np.array(left) - np.mean(left)).sum())
        assert against.change.high - against.change.low > 2 * error  # a t quantile exceeds 1
        assert against.change.high + against.change.low == pytest.approx(2 * against.change.value)
    assert leaderboard.csv(results) and leaderboard.verify(results) == []


def test_an_area_is_the_trapezoid_over_the_clean_figure(results, records):
    own = white(records)
    value = {r.task.perturbation.level: r.scores.metrics["UA"].value for r in own}
    by_hand = ((value[0] + value[10]) / 2 * 10 + (value[10] + value[30]) / 2 * 20) / 30
    made = over_changes.area(results, own)
    assert made.value == pytest.approx(100 * by_hand / own[0].scores.against_clean.clean)
    assert made.low < made.value < made.high
    with pytest.raises(leaderboard.LeaderboardError, match="0 and 30 dB of one training"):
        over_changes.area(results, [r for r in own if r.task.perturbation.level])


def test_an_area_of_predictions_that_stay_is_the_whole(tmp_path):
    """All levels as on clean audio: 100 % with no doubt about it."""
    for level in LEVELS:
        cells.make(tmp_path, right=0.7, seed=99, depth=None, pooled=False, **cells.change("white", level))
    own = leaderboard.load(tmp_path)[0]
    made = over_changes.area(tmp_path, own)
    assert made.value == pytest.approx(100) and made.error == pytest.approx(0, abs=1e-9)
    assert {r.scores.against_clean.unchanged.value for r in own} == {100.0}
    assert {r.scores.against_clean.change.value for r in own} == {0.0}


def test_a_table_has_a_row_for_each_change_and_a_summary(results, records):
    summary, own = robustness.by_robustness(results, records)[0]
    assert set(own.rows) == {"clean", *(f"white@{level}" for level in LEVELS), *SUITES["small"]}
    assert [row for row in own.rows if "white" in row] == ["white@0", "white@10", "white@30", "white@40"]
    by_name = {r.cell.task.partition(",")[2]: r for r in records if r.task.perturbation}
    for name, record in by_name.items():
        assert own.cell(name, "UA").value == record.scores.metrics["UA"].value
        assert own.cell(name, "change").value == record.scores.against_clean.change.value
    assert {"area white, %", "small: mean change", "small: least unchanged, %"} <= set(summary.columns)
    assert "hard: mean change" not in summary.columns  # it was not measured whole


def test_the_mean_change_of_a_suite_is_that_of_its_changes_with_an_interval(results, records):
    own = [r for r in records if r.cell.task.partition(",")[2] in SUITES["small"]]
    changes = [r.scores.against_clean.change for r in own]
    made = over_changes.mean_change(results, own)
    assert made.value == pytest.approx(np.mean([change.value for change in changes]))
    widths = [change.high - change.low for change in changes]
    assert 0 < made.high - made.low <= max(widths) + 1e-9
    (cell,) = (table.cell("fbank", "small: mean change") for table in robustness.by_robustness(results, records)[0]
               if " · robustness · " in table.title)  # fmt: skip
    assert (cell.value, cell.low, cell.high) == (made.value, made.low, made.high)


def test_upstreams_that_were_given_other_audio_are_not_in_one_table(tmp_path):
    """Babble of another corpus is another audit of the task."""
    for upstream, audit in (("one", "a"), ("two", "a"), ("other", "b")):
        for level in (0, 30):
            cells.make(tmp_path, upstream=upstream, audit=f"{audit}{level}", depth=None, pooled=False,
                       **cells.change("babble", level))  # fmt: skip
    made = robustness.by_robustness(tmp_path, leaderboard.load(tmp_path)[0])[0]
    first, second = (table for table in made if " · robustness · " in table.title)
    assert set(first.rows) == {"one", "two"} and second.rows == ["other"]
    assert any("not comparable with the table above" in fact for fact in second.facts)


def test_draws_of_random_weights_are_one_row(tmp_path):
    for draw in range(3):
        for level in LEVELS:
            cells.make(tmp_path, upstream=f"random:net@{draw}" if draw else "random:net", right=0.3 + draw / 10,
                       seed=draw, depth=None, pooled=False, **cells.change("white", level))  # fmt: skip
    records = leaderboard.load(tmp_path)[0]
    summary, own = robustness.by_robustness(tmp_path, records)[0]
    assert summary.rows == ["random:net"]
    each = [[r for r in records if r.upstream.draw == draw] for draw in range(3)]
    areas = [over_changes.area(tmp_path, draw) for draw in each]
    assert summary.cell("random:net", "area white, %").value == pytest.approx(np.mean([a.value for a in areas]))
    changes = [r.scores.against_clean.change.value for r in records if r.task.perturbation.level == 10]
    assert own.cell("white@10", "change").value == pytest.approx(np.mean(changes))


def test_other_views_leave_changed_audio_aside_unless_it_is_named(results, capsys):
    assert main(["table", "--results", str(results)]) == 0
    assert "white" not in capsys.readouterr().out
    assert main(["table", "-t", "perturbed:emodb,white@10", "--results", str(results)]) == 0
    assert "perturbed:emodb,white@10" in capsys.readouterr().out
    for by in ("task", "group", "calibration"):
        words = ["table", "--by", by, "--results", str(results)]
        assert main(words) == 0 and "white" not in capsys.readouterr().out
        assert main([*words, "-t", "emodb", "perturbed:emodb,white@10"]) == 0
        assert "white@10" in capsys.readouterr().out
    for named in ([], ["-t", "emodb"], ["-t", "perturbed:emodb,white@10"]):
        assert main(["table", "--by", "robustness", *named, "--results", str(results)]) == 0
        assert "white@10" in capsys.readouterr().out


@pytest.mark.parametrize("form", FORMS)
def test_hostile_names_are_only_text_in_every_form(tmp_path, capsys, form):
    cells.make(tmp_path, upstream=HOSTILE, depth=None, pooled=False, **cells.change("white", 10, base=HOSTILE))
    assert main(["table", "--by", "robustness", "--format", form, "--results", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out and "red" in out
