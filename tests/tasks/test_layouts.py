"""Every corpus in its official layout, and every task on it: one loop over the registries."""

import numpy as np
import pytest

import tasks
from tasks import catalogue, corpora, definition, loading
from tests.tasks import layouts

REAL = [name for name in corpora.names() if not corpora.module(name).CORPUS.synthetic]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """The folder that holds a corpus's tree, written once."""
    written = {}

    def one(corpus: str):
        if corpus not in written:
            written[corpus] = layouts.TREES[corpus](tmp_path_factory.mktemp(corpus))
        return written[corpus]

    return one


@pytest.mark.parametrize("name", REAL)
def test_a_corpus_is_read_from_its_official_layout(tree, tmp_path, name):
    data, corpus = tree(name), corpora.module(name).CORPUS
    root, rows = loading.table(corpus, data, tmp_path)
    kept, flawed = loading.without_flawed(corpus, rows)
    assert len(kept) == corpora.count(corpus, root) == len(rows) - sum(flawed.values())
    assert sum(flawed.values()) == len(set(corpus.flawed) & set(rows.index))
    assert rows.index.is_unique and rows.index.is_monotonic_increasing
    assert set(rows.emotion.dropna()) >= set(corpus.classes)
    assert rows.language.notna().all()
    assert loading.shortfall(corpus, kept)  # a small tree is no whole copy, and is told so


@pytest.mark.parametrize("name", [name for name in tasks.names() if name != "demo"])
def test_a_task_splits_the_official_layout(tree, tmp_path, name):
    wanted = definition.read(definition.path(name))
    data = tree(wanted.corpus)
    task = tasks.load(name, data, tmp_path)
    assert next(row for row in catalogue.describe(data) if row.task == name).state == "partial"
    assert "partial" in task.marks
    tested = np.concatenate([fold.test for fold in task.problem.folds])
    assert len(np.unique(tested)) == len(tested)
    assert set(task.problem.targets[tested]) == set(range(len(task.problem.classes)))
    for fold, proof in zip(task.problem.folds, task.audit.folds, strict=True):
        assert proof.rest_and_test["audio"] == 0 and (proof.rest_and_test["speakers"] == 0 or wanted.speakers_shared)
        assert len(fold.dev) and (fold.inner or wanted.dev == "superb")
