"""Corpora that are joined: all are tested on joint folds, trained together or each alone."""

from functools import cache

import numpy as np
import pytest

import tasks
from commons.errors import Refused, UnknownName
from tasks import label_algebra
from tasks.derived import parsing, unified
from tests.tasks import layouts

LISTED = "emodb,emovo,ravdess,ravdess_song,tess,urdu"
MEMBERS = LISTED.split(",")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Five corpora, two of one family; and a cache."""
    data = tmp_path_factory.mktemp("data")
    for write in (
        layouts.emodb,
        lambda place: layouts.emovo(place, False),
        layouts.ravdess,
        layouts.tess,
        layouts.urdu,
    ):
        write(data)
    return data, tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def load(data):
    """A task by its name, read once."""
    return cache(lambda name: tasks.load(name, tasks.Options(*data)))


@pytest.fixture(scope="module", params=["unified", "alone"])
def task(request, load):
    return load(f"{request.param}:{LISTED}")


def corpora(task, rows=slice(None)):
    return task.utterances["corpus"].to_numpy()[rows]


def sets_of(task, corpus):
    """The sets of ids of a corpus that are tested together."""
    parts = [{i for i in task.problem.ids[f.test] if i.startswith(f"{corpus}:")} for f in task.problem.folds]
    return {frozenset(part) for part in parts if part}


def test_speakers_never_cross_and_those_that_corpora_share_stay_together(task):
    who = task.problem.speaker
    for fold in task.problem.folds:
        assert not set(who[fold.test]) & set(who[np.r_[fold.train, fold.dev]])
    both = {s for s in who[corpora(task) == "ravdess"]} & {s for s in who[corpora(task) == "ravdess_song"]}
    assert both == {"ravdess:01", "ravdess:02", "ravdess:04"}
    assert "speakers_shared" not in task.marks and task.problem.groups.tolist() == who.tolist()


def test_what_is_tested_is_the_same_trained_together_or_alone(load):
    together, alone = load(f"unified:{LISTED}"), load(f"alone:{LISTED}")
    assert len(together.problem.folds) == unified.FOLDS
    assert together.problem.ids.tolist() == alone.problem.ids.tolist()
    for corpus in set(MEMBERS) - {"tess"}:
        assert sets_of(together, corpus) == sets_of(alone, corpus)
    for fold in alone.problem.folds:
        assert len(set(corpora(alone, np.r_[fold.train, fold.dev, fold.test]))) == 1
    for fold in together.problem.folds:
        assert len(set(corpora(together, np.r_[fold.train, fold.dev]))) > 1
    assert set(alone.reading.joined) == set(MEMBERS) - {"tess"} and not sets_of(alone, "tess")
    assert any("tess is left out: it has 2 speakers" in note for note in alone.notes)


def test_every_labelled_utterance_of_every_corpus_is_tested_once(load):
    together = load(f"unified:{LISTED}")
    tested = np.concatenate([fold.test for fold in together.problem.folds])
    assert sorted(tested) == list(range(len(together.problem.ids)))
    wanted = {f"{load(m).corpus.name}:{u}" for m in MEMBERS for u in load(m).problem.ids[load(m).problem.has_target]}
    assert set(together.problem.ids) == wanted


def test_classes_are_the_union_and_a_row_may_have_those_of_its_corpus(task, load):
    problem = task.problem
    assert problem.classes == label_algebra.union([load(member).problem.classes for member in MEMBERS])
    for member in MEMBERS:
        rows = np.flatnonzero(corpora(task) == member)
        for own in problem.allowed[rows]:
            assert {name for name, yes in zip(problem.classes, own, strict=True) if yes} == set(
                load(member).problem.classes
            )
        base = load(member)
        classes = {
            f"{member}:{u}": base.problem.classes[t]
            for u, t in zip(base.problem.ids, base.problem.targets, strict=True)
        }
        assert all(problem.classes[problem.targets[row]] == classes[problem.ids[row]] for row in rows)


def test_folds_are_the_same_again_whatever_the_order_of_names_and_rows(task, data):
    kind = task.derivation.kind
    again = tasks.load(f"{kind}:{','.join(reversed(MEMBERS))}", tasks.Options(*data))
    assert (again.name, again.audit.hash) == (task.name, task.audit.hash)
    speakers, families = task.problem.speaker, np.array([s.partition(":")[0] for s in task.problem.speaker])
    dealt, order = unified.deal(speakers, families), np.random.default_rng(0).permutation(len(speakers))
    assert (unified.deal(speakers[order], families[order]) == dealt[order]).all()


def test_speakers_of_a_corpus_are_spread_over_the_folds():
    speakers = np.array(
        [f"a:{i}" for i in range(23) for _ in range(10)] + [f"b:{i}" for i in range(4) for _ in range(7)]
    )
    families = np.array([name[0] for name in speakers])
    dealt = unified.deal(speakers, families)
    for family, most, least in (("a", 50, 40), ("b", 7, 0)):
        sizes = np.bincount(dealt[families == family], minlength=unified.FOLDS)
        assert (sizes.max(), sizes.min()) == (most, least)
    assert all(len(set(dealt[speakers == name])) == 1 for name in speakers)


def test_one_name_brings_the_other_and_a_suite_may_stand_for_a_list(data):
    place, lines = data[0], []
    assert tasks.resolve(["unified:emovo,emodb"], place) == ["unified:emodb,emovo", "alone:emodb,emovo"]
    assert tasks.resolve(["alone:emovo,emodb"], place) == ["alone:emodb,emovo"]
    assert tasks.resolve(["unified:ser10"], place, lines.append) == ["unified:ser10", "alone:ser10"]
    assert "unified:ser10 goes without" in lines[0] and "savee is absent" in lines[0]
    of_suite = parsing.parse("unified:ser10", tasks.Options(*data))
    assert of_suite.tasks == ("emodb", "emovo", "ravdess", "urdu") and of_suite.derivation.base == "ser10"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("unified:emodb", "two corpora or more are expected, and there are 1"),
        ("alone:", "two corpora or more are expected, and there are 0"),
        ("unified:emodb,emodb_text", "emodb and emodb_text are both on emodb"),
        ("unified:emo", "suite for unified: 'emo'"),
        ("unified:emodb,iemocap_valence", "iemocap_valence asks for values"),
    ],
)
def test_what_cannot_be_joined_says_why(data, name, words):
    with pytest.raises((Refused, UnknownName), match=words):
        parsing.parse(name, tasks.Options(*data))
