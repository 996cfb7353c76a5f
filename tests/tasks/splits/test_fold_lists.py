"""Fold lists: kept when a whole copy is first read, and compared ever after."""

import json
from dataclasses import replace

import pytest

import tasks
from tasks import corpora
from tasks.splits import audit, fold_lists
from tests.tasks import layouts


@pytest.fixture
def whole_iemocap(tmp_path, monkeypatch):
    """A small tree that counts as a whole copy."""
    layouts.iemocap(tmp_path)
    classes = {e: 20 for e in ("anger", "happiness", "excitement", "neutral", "sadness", "frustration")}
    module = corpora.module("iemocap")
    monkeypatch.setattr(module, "CORPUS", replace(module.CORPUS, files=140, classes=classes))
    return tmp_path


def load(data, **how):
    return tasks.load("iemocap", tasks.Options(data, data / "cache", **how))


def test_a_whole_copy_leaves_its_list_and_another_is_compared_with_it(whole_iemocap):
    path = whole_iemocap / "cache" / "folds" / "iemocap.json"
    task = load(whole_iemocap)
    kept = json.loads(path.read_text())
    assert path.read_text() == fold_lists.text(task.audit) and kept["folds_sha256"] == task.audit.folds_hash
    assert kept["test"] == {fold.name: list(fold.test_ids) for fold in task.audit.folds}
    assert load(whole_iemocap).notes == task.notes
    other = fold_lists.text(replace(task.audit, folds_hash="other"))
    path.write_text(other)
    differs = load(whole_iemocap)
    assert differs.notes[:-1] == task.notes and str(path) in differs.notes[-1] and differs.audit == task.audit
    assert path.read_text() == other
    for stale in (fold_lists.text(replace(task.audit, version="0")), "not a list", "[]"):
        path.write_text(stale)
        assert load(whole_iemocap).notes == task.notes and json.loads(path.read_text()) == kept


def test_runs_on_less_than_a_whole_copy_leave_no_list(whole_iemocap):
    load(whole_iemocap, limit=60)
    next(whole_iemocap.rglob("Ses01F_impro01_F000.wav")).write_bytes(b"")
    load(whole_iemocap, skip_bad=True)
    next(whole_iemocap.rglob("Ses01F_impro01_F000.wav")).unlink()
    load(whole_iemocap)
    assert not (whole_iemocap / "cache" / "folds").exists()


def test_a_list_that_ships_is_compared_and_never_changed(tmp_path, definitions):
    proof = audit.Audit("mine", "1", "corpus", 0, (), (), (), "a", "b")
    shipped = tmp_path / "folds" / "mine.json"
    shipped.parent.mkdir()
    shipped.write_text(fold_lists.text(replace(proof, version="0")))
    definitions(tmp_path)
    assert str(shipped) in (fold_lists.check(proof, tmp_path / "cache") or "")
    assert json.loads(shipped.read_text())["version"] == "0" and not (tmp_path / "cache").exists()


def test_a_list_that_cannot_be_kept_is_told(tmp_path):
    proof = audit.Audit("mine", "1", "corpus", 0, (), (), (), "a", "b")
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match="not written"):
        assert fold_lists.check(proof, tmp_path / "file") is None
