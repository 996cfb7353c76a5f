"""import: a foreign system stands on the same utterances, marked, or is refused with the reason."""

import zipfile

import numpy as np
import pandas as pd
import pytest

import leaderboard
from leaderboard.__main__ import main
from leaderboard.imported import import_predictions
from leaderboard.records.comparable import groups
from leaderboard.tables.results import tables
from leaderboard.tables.views import by_tasks
from tests.leaderboard.cells import CLASSES


@pytest.fixture
def mine(make, results, tmp_path):
    """A measured cell, and its test utterances as a foreign system would answer them."""
    record = make(upstream="fbank")
    table = leaderboard.predictions(results, record)
    own = table[table["seed"] == 0][["id", "target", "prediction"]].sample(frac=1, random_state=1)
    return own, tmp_path / "mine.csv"


def bring(results, path, *more):
    return main(["import", str(path), "--name", "mine", "-t", "emodb", "--results", str(results), *more])


def test_the_same_predictions_give_the_same_figures_and_a_mark(mine, results, capsys):
    own, path = mine
    own[["id", "prediction"]].to_csv(path, index=False)
    assert bring(results, path) == 0 and "imported: predictions brought from outside" in capsys.readouterr().out
    fbank, imported = (
        leaderboard.find(results, *name) for name in (("fbank", "emodb", "probe"), ("mine", "emodb", "imported"))
    )
    assert imported.marks == ["imported", "seen:unknown"] and imported.task == fbank.task
    assert {m: s.value for m, s in imported.scores.metrics.items()} == pytest.approx(
        {m: values[0] for m, values in fbank.scores.by_seed.items()}
    )
    assert imported.scores.counts.groups == fbank.scores.counts.groups and leaderboard.verify(results) == []
    assert leaderboard.openings(results) == {"emodb": 1}
    assert main(["compare", "mine", "fbank", "--results", str(results)]) == 0, "under whatever head the other has"
    assert "adjusted p: over 1 row" in capsys.readouterr().out


def test_what_to_do_where_an_imported_one_cannot_be_compared_is_possible(mine, results, capsys):
    own, path = mine
    own[["id", "prediction"]].to_csv(path, index=False)
    assert bring(results, path) == 0
    assert main(["compare", "mine", "fbank", "-d", "probe", "--results", str(results)]) == 1
    said = capsys.readouterr().err
    assert "run_benchmark.py -u fbank -t" in said and "import FILE --name mine -t TASK -d probe" in said
    assert bring(results, path, "-d", "probe") == 0
    assert main(["compare", "mine", "fbank", "-d", "probe", "--results", str(results)]) == 0


def test_an_imported_one_is_compared_under_its_own_head_where_the_other_has_it(mine, make, results, capsys):
    own, path = mine
    own[["id", "prediction"]].to_csv(path, index=False)
    make(upstream="fbank", head="probe_stats")
    assert bring(results, path, "-d", "probe") == 0
    capsys.readouterr()
    assert main(["compare", "mine", "fbank", "--results", str(results)]) == 0
    said = capsys.readouterr().out
    assert "mine and fbank · probe" in said and "probe_stats" not in said, "one table, one test"


def test_scores_seeds_and_what_it_saw(mine, results):
    own, path = mine
    scores = pd.DataFrame(np.eye(4)[pd.Index(CLASSES).get_indexer(own["prediction"])] * 0.9, own.index)
    scores.columns = [f"score:{name}" for name in CLASSES]
    wide = pd.concat([own[["id", "target"]], scores], axis=1)
    pd.concat([wide.assign(seed=s) for s in (1, 2)]).to_csv(path, index=False)
    assert bring(results, path, "-d", "probe", "--seen", "emodb:labels") == 0
    both = leaderboard.find(results, "mine", "emodb", "probe")
    assert both.cell.seeds == [1, 2] and both.marks == ["contaminated:labels", "imported"]
    stored = leaderboard.predictions(results, both)
    assert stored.set_index("id").loc[own["id"].iloc[0], "prediction"].tolist() == [own["prediction"].iloc[0]] * 2
    assert bring(results, path, "--seen") == 0
    assert leaderboard.find(results, "mine", "emodb", "imported").marks == ["imported"], "--seen alone: nothing"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.iloc[1:], "1 ids are missing"),
        (lambda t: pd.concat([t, t.iloc[:2]]), "2 ids are given twice"),
        (lambda t: t.assign(id=["strange", *t["id"][1:]]), "1 ids are unknown: strange"),
        (lambda t: t.assign(prediction="joy"), "'joy' is no class of emodb: anger"),
        (lambda t: t.assign(target="anger"), "targets are not those of emodb"),
        (lambda t: t.assign(prediction=None), "empty values in column 'prediction'"),
        (lambda t: t.rename(columns={"prediction": "label"}), "expected: columns `id` and `prediction`"),
        (lambda t: t.iloc[:0], "empty values"),
    ],
)
def test_what_does_not_fit_is_refused(mine, results, capsys, change, said):
    own, path = mine
    change(own).to_csv(path, index=False)
    assert bring(results, path) == 1
    assert said in capsys.readouterr().err and leaderboard.find(results, "mine", "emodb", "imported") is None


def test_other_mistakes(mine, make, results, tmp_path, capsys):
    own, path = mine
    own.to_csv(path, index=False)
    assert bring(results, tmp_path / "absent.csv") == 1 and "no such file" in capsys.readouterr().err
    (tmp_path / "empty.csv").touch()
    assert bring(results, tmp_path / "empty.csv") == 1 and "cannot be read as CSV" in capsys.readouterr().err
    assert main(["import", str(path), "--name", "fbank", "-t", "emodb", "-d", "probe", "--results", str(results)]) == 1
    assert "was measured here" in capsys.readouterr().err
    assert main(["import", str(path), "--name", "mine", "-t", "emodbb", "--results", str(results)]) == 2
    assert "unknown task 'emodbb': did you mean emodb?" in capsys.readouterr().err
    assert bring(results, path, "--like", "none") == 1
    assert "no cell of task 'emodb' of none to compare with; there are: fbank" in capsys.readouterr().err
    make(upstream="mfcc", version=2)
    assert bring(results, path) == 1 and "--like" in capsys.readouterr().err
    assert bring(results, path, "--like", "mfcc") == 0
    assert leaderboard.find(results, "mine", "emodb", "imported").task.version == 2
    with pytest.raises(SystemExit, match="2"):
        bring(results, path, "--seen", "emodb")


def test_values_are_brought_too(make, results, tmp_path, capsys):
    record = make(kind="regression", name="moods")
    own = leaderboard.predictions(results, record).query("seed == 0")[["id", "prediction"]]
    own.to_csv(tmp_path / "v.csv", index=False)
    words = ["import", str(tmp_path / "v.csv"), "--name", "mine", "-t", "moods", "--results", str(results)]
    assert main(words) == 0
    copy = leaderboard.find(results, "mine", "moods", "imported")
    assert copy.scores.metrics["CCC"].value == pytest.approx(record.scores.by_seed["CCC"][0])
    own.assign(prediction="much").to_csv(tmp_path / "v.csv", index=False)
    assert main(words) == 1 and "'much'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seed", "good"),
    [("first", 0), ("inf", 0), ("1e30", 0), ("1.5", 0), ("-1", 0), ("9" * 400, 0), ("2", 1), ("3.0", 1), ("1e1", 1)],
)
def test_a_seed_is_a_whole_number(mine, results, capsys, seed, good):
    own, path = mine
    own.assign(seed=seed).to_csv(path, index=False)
    assert bring(results, path) == int(not good)
    said = capsys.readouterr().err
    if good:
        assert leaderboard.find(results, "mine", "emodb", "imported").cell.seeds == [int(float(seed))]
    else:
        assert "is not a seed, a whole number" in said and said.count("\n") == 1 and len(said) < 400


@pytest.mark.parametrize("score", ["inf", "-inf", "-5", "1.5", "much", "1e400"])
def test_scores_are_from_0_to_1(mine, results, capsys, score):
    own, path = mine
    wide = own[["id"]].assign(**{f"score:{name}": "0.25" for name in CLASSES})
    wide.loc[wide.index[3], "score:anger"] = score
    wide.to_csv(path, index=False)
    assert bring(results, path) == 1
    assert f"{score!r} is not a score from 0 to 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("scores", "said"),
    [((0, 0, 0, 0), "has scores that are all 0"), ((0.1, 0.2, 0.3, 0.4), "is not the class with the highest score")],
)
def test_scores_are_of_the_prediction(mine, results, capsys, scores, said):
    own, path = mine
    own = own.assign(**{f"score:{name}": (own["prediction"] == name).astype(float) for name in CLASSES})
    own.to_csv(path, index=False)
    assert bring(results, path) == 0
    own.loc[own.index[0], [f"score:{name}" for name in CLASSES]] = scores
    own.loc[own.index[0], "prediction"] = CLASSES[0]
    own.to_csv(path, index=False)
    assert bring(results, path) == 1
    assert f"{own['id'].iloc[0]} " in (line := capsys.readouterr().err) and said in line


@pytest.mark.parametrize("value", ["inf", "nan", "1e200", "x" * 5000])
def test_values_are_finite_numbers(make, results, tmp_path, capsys, value):
    record = make(kind="regression", name="moods")
    own = leaderboard.predictions(results, record).query("seed == 0")[["id", "prediction"]].astype(str)
    own.iloc[0, 1] = value
    own.to_csv(tmp_path / "v.csv", index=False)
    assert main(["import", str(tmp_path / "v.csv"), "--name", "m", "-t", "moods", "--results", str(results)]) == 1
    said = capsys.readouterr().err
    assert "is not a number" in said and len(said) < 500


def test_damaged_files_are_one_line(mine, results, tmp_path, capsys):
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        for name in ("a.csv", "b.csv"):
            archive.writestr(name, "id,prediction\n")
    for ending in ("gz", "zip", "xz", "bz2", "zst", "tar"):
        (tmp_path / f"bad.csv.{ending}").write_bytes(b"id,prediction\n" + bytes(range(256)))
    (tmp_path / "nul.csv").write_bytes(b"id,prediction\nu1,\x00anger\n\x00\x00")
    (tmp_path / "wide.csv").write_text("id,prediction\nu1," + "x" * 200_000 + "\n")
    (tmp_path / "quote.csv").write_text('id,prediction\n"u1,anger\n')
    (tmp_path / "latin.csv").write_bytes("id,prediction\nü,anger\n".encode("latin-1"))
    (tmp_path / "heads.csv").write_text(",".join(f"c{i}" for i in range(5000)))
    (tmp_path / "folder.csv").mkdir()
    for path in sorted(tmp_path.glob("*.*")):
        assert bring(results, path) == 1, path
        said = capsys.readouterr().err
        assert path.name in said and said.count("\n") == 1 and len(said) < 800, said


def test_names_are_bounded(mine, results, capsys):
    own, path = mine
    own[["id", "prediction"]].to_csv(path, index=False)
    for name in ("", "x" * 1000, "a\nb"):
        with pytest.raises(SystemExit, match="2"):
            main(["import", str(path), "--name", name, "-t", "emodb", "--results", str(results)])
        said = capsys.readouterr().err
        assert "a name is one line" in said and len(said) < 2000


def trained_like(results, name, words):
    """Say in a measured record what it trained, as heads that train do."""
    record = leaderboard.find(results, *name)
    own = record.model_copy(update={"downstream": record.downstream.model_copy(update={"trained": words})})
    return [own if r.cell == record.cell else r for r in leaderboard.load(results)[0]]


def test_an_imported_one_of_a_head_that_trains_stands_among_the_measured_ones(mine, make, results):
    own, path = mine
    own[["id", "prediction"]].to_csv(path, index=False)
    make(upstream="fbank", head="finetune")
    records = trained_like(results, ("fbank", "emodb", "finetune"), "encoder (all)")
    asked = {"name": "mine", "task": "emodb", "like": "fbank"}
    brought = import_predictions(results, records, path, head="finetune", **asked)
    assert brought.downstream.trained == "encoder (all)"
    assert import_predictions(results, records, path, head="probe", **asked).downstream.trained is None
    (part,) = (measured for measured, _ in groups([*records, brought]) if len(measured) > 1)
    assert {record.cell.upstream for record in part} == {"mine", "fbank"}
    make(upstream="mfcc", head="finetune")
    both = [*records, leaderboard.find(results, "mfcc", "emodb", "finetune")]  # frozen under the same name
    assert import_predictions(results, both, path, head="finetune", **asked).downstream.trained is None


def test_what_was_trained_parts_tables_and_is_no_other_fold(make, results):
    for upstream in ("fbank", "mfcc"):
        for name in ("emodb", "urdu"):
            make(upstream=upstream, name=name)
    records = trained_like(results, ("mfcc", "emodb", "probe"), "encoder")
    records = [r if r.cell.task == "emodb" or r.cell.upstream == "fbank" else
               r.model_copy(update={"downstream": r.downstream.model_copy(update={"trained": "encoder"})})
               for r in records]  # fmt: skip
    shown = tables(records)
    assert not any("other folds" in fact for table in shown for fact in table.facts)
    side_by_side = [table for table in shown if table.title == "all tasks · probe"]
    assert [sorted(table.columns) for table in side_by_side] == [["emodb", "urdu"]] * 2
    frozen, trained = sorted(by_tasks(results, records)[0], key=lambda table: len(table.facts[0]))
    assert frozen.rows == ["fbank"] and trained.rows == ["mfcc"] and "trained: encoder" in trained.facts[0]
    other = make(upstream="opensmile", version=2)
    assert any("other folds" in fact for table in tables([*records, other]) for fact in table.facts)
