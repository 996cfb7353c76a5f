"""The table and the matrix of transfer; derived tasks never meet ordinary ones in a mean."""

import numpy as np
import pytest

import leaderboard
from leaderboard import plots
from leaderboard.__main__ import main
from leaderboard.tables import transfers
from tests.leaderboard import cells


@pytest.fixture
def results(tmp_path):
    names = ("transfer:emodb,urdu", "transfer:urdu,emodb", "transfer-standardised:emodb,urdu", "urdu", "emodb",
             "across-languages:here,urdu")  # fmt: skip
    for i, name in enumerate(names):
        cells.make(tmp_path, name=name, right=0.3 + 0.07 * i)
    return tmp_path


def test_a_pair_stands_beside_its_variant_and_its_targets_own_folds(results):
    records = {r.cell.task: r for r in leaderboard.load(results)[0]}
    (table,) = transfers.tables(list(records.values()))
    assert set(table.rows) == {"emodb → urdu", "urdu → emodb", "other languages of here → urdu"}

    def value(row, column):
        return table.cells[row, column].value

    def of(task):
        return records[task].scores.metrics[records[task].task.headline].value

    assert value("emodb → urdu", "transfer") == of("transfer:emodb,urdu")
    assert value("emodb → urdu", "test by its own statistics") == of("transfer-standardised:emodb,urdu")
    assert value("emodb → urdu", "own folds") == value("other languages of here → urdu", "own folds") == of("urdu")
    assert ("urdu → emodb", "test by its own statistics") not in table.cells


def on_some_classes(record):
    """The record of URDU's own folds on the classes of another task."""
    name = f"labels:urdu,{'+'.join(record.task.classes)}"
    task = record.task.model_copy(update={"name": name, "derived": "labels", "base": "urdu", "sources": []})
    return record.model_copy(update={"cell": record.cell.model_copy(update={"task": name}), "task": task})


def test_own_folds_are_those_on_the_same_classes(results):
    records = leaderboard.load(results)[0]
    (task,) = (r for r in records if r.cell.task == "transfer:emodb,urdu")
    assert transfers.own(task, records, "urdu").cell.task == "urdu"
    fewer = task.model_copy(update={"task": task.task.model_copy(update={"classes": task.task.classes[:-1]})})
    assert transfers.own(fewer, records, "urdu") is None
    beside = on_some_classes(fewer)
    assert transfers.own(fewer, [*records, beside], "urdu") is beside


def test_the_command_prints_it(results, capsys):
    assert main(["table", "--by", "transfer", "--results", str(results)]) == 0
    assert "trained → tested" in capsys.readouterr().out


def test_a_matrix_is_one_table_and_what_is_asked_by_itself_its_own(results):
    records = leaderboard.load(results)[0]
    alone, pairs = transfers.apart(records)
    assert {r.cell.task for r in alone} == {"urdu", "emodb"} and len(alone) + len(pairs) == len(records)
    (task,) = (r for r in records if r.cell.task == "transfer:emodb,urdu")
    own = on_some_classes(task)
    assert own in transfers.apart([*records, own])[1] and transfers.apart([task, own]) == ([task, own], [])


def test_the_matrix_has_own_folds_on_its_diagonal_and_variants_apart(results):
    records = leaderboard.load(results)[0]
    drawn = dict(plots.draw(results, records, "transfer", "page"))
    assert len(drawn) == 2 and any("standardised" in name for name in drawn)
    (plain,) = (figure for name, figure in drawn.items() if "standardised" not in name)
    shown = np.asarray(plain.axes[0].images[0].get_array())
    of = {r.cell.task: r.scores.metrics[r.task.headline].value for r in records}
    wanted = [[of["emodb"], of["transfer:emodb,urdu"]], [of["transfer:urdu,emodb"], of["urdu"]]]
    np.testing.assert_allclose(shown.astype(float), wanted)
