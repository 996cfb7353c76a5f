"""Every corpus in its official layout, and every task on it: one loop over the registries."""

import numpy as np
import pytest

import tasks
from tasks import catalogue, corpora, definition, reading
from tasks.__main__ import main
from tests.tasks import layouts

REAL = [name for name in corpora.names() if not corpora.module(name).CORPUS.synthetic]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """The folder that holds a corpus's tree, written once."""
    written = {}

    def one(corpus: str):
        if corpus not in written:
            written[corpus] = layouts.official(corpus, tmp_path_factory.mktemp(corpus))
        return written[corpus]

    return one


@pytest.mark.parametrize("name", REAL)
def test_a_corpus_is_read_from_its_official_layout(tree, tmp_path, name):
    data, corpus = tree(name), corpora.module(name).CORPUS
    root, rows = reading.table(corpus, data, tmp_path)
    kept, flawed = reading.without_flawed(corpus, rows)
    assert corpora.count(corpus, root) in (rows["path"].nunique(), len(kept))
    assert len(kept) == len(rows) - sum(flawed.values())
    assert sum(flawed.values()) == len(set(corpus.flawed) & set(rows.index))
    assert rows.index.is_unique and rows.index.is_monotonic_increasing
    assert rows.language.notna().all() and ("speaker" in rows) == (bool(corpus.speakers) or name == "msp_podcast")
    if corpus.classes or corpus.others:
        result = set(rows.emotion.dropna())
        assert set(corpus.classes) <= result <= set(corpus.classes) | set(corpus.others)
    if corpus.files:  # a small tree is no whole copy, and is told so
        assert reading.shortfall(corpus, kept)


@pytest.mark.parametrize("name", [name for name in tasks.names() if not name.startswith("demo")])
def test_a_task_splits_the_official_layout(tree, tmp_path, name):
    wanted = definition.read(definition.path(name))
    data = tree(wanted.corpus)
    corpus, task = corpora.module(wanted.corpus).CORPUS, tasks.load(name, tasks.Options(data, tmp_path))
    whole = "partial" if corpus.files else "complete"
    assert next(row for row in catalogue.describe(data) if row.task == name).state == whole
    assert ("partial" in task.marks) == (whole == "partial")
    assert not any("identical" in mark or "audio_shared" in mark for mark in task.marks)
    tested = np.concatenate([fold.test for fold in task.problem.folds])
    assert len(np.unique(tested)) == len(tested)
    if task.problem.classes:
        assert set(task.problem.targets[tested]) == set(range(len(task.problem.classes)))
    else:
        assert np.ptp(task.problem.targets[tested]) > 0
    for fold, proof in zip(task.problem.folds, task.audit.folds, strict=True):
        shared = proof.rest_and_test.get("speakers", 0)
        assert proof.rest_and_test["audio"] == 0 and (shared == 0 or wanted.speakers_shared)
        assert len(fold.dev) and bool(fold.inner) == (wanted.dev not in ("superb", "partition"))
        for column in {wanted.folds.apart} - {""}:
            values = task.utterances[column].to_numpy()
            assert not set(values[fold.test]) & set(values[np.r_[fold.train, fold.dev]])
    assert ("speakers_unknown" in task.marks) == ("speaker" not in task.utterances)
    assert ("speakers_shared" in task.marks) == wanted.speakers_shared
    assert list(task.problem.groups) == task.utterances[definition.GROUPS[wanted.group_by]].tolist()


@pytest.mark.parametrize("name", REAL)
def test_check_says_where_audio_and_labels_were_taken_from(tree, tmp_path, name, capsys):
    data = tree(name)
    main(["check", name, "--data", str(data), "--cache", str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("taken    ") for line in lines)
    labels = [line.removeprefix("labels   ") for line in lines if line.startswith("labels   ")]
    root = corpora.module(name).CORPUS.root(data)
    others = {path for path in data.rglob("*") if path.is_file() and path.suffix.lower() not in corpora.SUFFIXES}
    if others and labels != ["from the names of the audio files"]:
        assert all(" of " in line or root / line in others for line in labels)
    else:
        assert labels == ["from the names of the audio files"]
        assert not {root / part for part in corpora.module(name).CORPUS.parts} & others
