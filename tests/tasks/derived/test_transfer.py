"""Trained on some corpora, tested on another: the target gives its test utterances and nothing else."""

from functools import cache
from itertools import permutations

import numpy as np
import pytest

import downstreams
import tasks
from commons.corridors.features import Features
from commons.errors import Refused, UnknownName
from tasks import catalogue, corpora, definition, label_algebra
from tasks.__main__ import main
from tasks.derived import parsing
from tests.tasks import layouts

SER10 = catalogue.suites()["ser10"]
PAIRS = [*zip(SER10, SER10[1:] + SER10[:1], strict=True), ("ravdess", "ravdess_song"), ("ravdess_song", "ravdess"),
         ("mosi_binary", "mosei_binary"), ("resd", "tess"), ("msp_podcast", "iemocap6")]  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Every corpus in its layout, in one folder; and a cache."""
    data = tmp_path_factory.mktemp("data")
    for write in layouts.TREES.values():
        write(data)
    return data, tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def base(whole):
    """A task that is not derived, read once."""
    return cache(lambda name: tasks.load(name, tasks.Options(*whole)))


def speakers(task):
    """(family, speaker) of each utterance of a task that is not derived, by corpus and id."""
    messages = task.utterances.get("speaker", {})
    return {u: (task.corpus.family, messages[u]) for u in task.utterances.index if u in messages}


def check(task, target, sources):
    """What holds of any task that trains on the sources and tests on the target."""
    problem, classes = task.problem, label_algebra.shared([t.problem.classes for t in (target, *sources)])
    assert problem.classes == classes
    tested = np.concatenate([fold.test for fold in problem.folds])
    assert len(set(tested)) == len(tested)
    held = label_algebra.onto(target.problem.classes, classes)
    wanted = {}
    for row in np.concatenate([fold.test for fold in target.problem.folds]):
        own = target.problem.classes[target.problem.targets[row]]
        if own in held:
            wanted[target.problem.ids[row]] = held[own]
    assert {problem.ids[row]: classes[problem.targets[row]] for row in tested} == wanted
    who = speakers(target) | {f"{s.corpus.name}:{u}": voice for s in sources for u, voice in speakers(s).items()}
    names = {s.corpus.name for s in sources}
    for fold in problem.folds:
        known = np.r_[fold.train, fold.dev]
        assert {u.partition(":")[0] for u in problem.ids[known]} == names, "what trains is the sources' alone"
        assert not {who.get(u) for u in problem.ids[fold.test]} & {who.get(u) for u in problem.ids[known]} - {None}
        assert len(fold.inner) > 1 and set(problem.targets[fold.train]) == set(range(len(classes)))
    assert np.isin(problem.groups[tested], target.problem.groups).all(), "intervals are over the target's groups"
    notes = " ".join(task.notes)
    for part, verb in ((target, "tests"), *((source, "trains") for source in sources)):
        assert f"{verb} on {part.name}: " in notes
    assert ("same_family" in task.marks) == any(s.corpus.family == target.corpus.family for s in sources)
    assert task.corpus.name == target.corpus.name and all(s.corpus.licence in task.corpus.licence for s in sources)
    assert task.reading.cite == {t.corpus.name: t.corpus.cite for t in (target, *sources)}


@pytest.mark.parametrize("pair", PAIRS, ids=",".join)
def test_a_pair_trains_on_the_source_and_tests_what_the_target_tests(whole, base, pair):
    source, target = (base(name) for name in pair)
    task = tasks.load(f"transfer:{','.join(pair)}", tasks.Options(*whole))
    check(task, target, [source])
    known = np.concatenate([np.r_[fold.train, fold.dev] for fold in task.problem.folds])
    tested = np.concatenate([fold.test for fold in task.problem.folds])
    used = {u.removeprefix(f"{source.corpus.name}:") for u in task.problem.ids[known]}
    assert used and used <= set(source.utterances.index)
    assert len(tested) and set(task.problem.ids[tested]) <= set(target.utterances.index)


@pytest.mark.parametrize("target", SER10)
def test_across_languages_trains_on_all_that_is_neither_of_the_language_nor_of_the_family(whole, base, target):
    name = f"across-languages:ser10,{target}"
    task = tasks.load(name, tasks.Options(*whole))
    language = task.corpus.language
    sources = [
        m for m in SER10 if corpora.module(definition.read(definition.path(m)).corpus).CORPUS.language != language
    ]
    assert parsing.parse(name, tasks.Options(whole[0], whole[0])).tasks == (target, *sources)
    check(task, base(target), [base(source) for source in sources])
    origin = {u: u.partition(":")[0] for u in task.problem.ids}
    spoken = {c: corpora.module(c).CORPUS.language for c in corpora.names()}
    dealt = [{spoken[origin[u]] for u in task.problem.ids[group]} for group in task.problem.folds[0].inner]
    assert sum(map(len, dealt)) == len(set().union(*dealt)), "no language is in two inner groups"


def random_features(ids, rng) -> Features:
    """Two layers of six values each."""
    return Features(
        ids=ids,
        upstream="random",
        fingerprint="",
        precision="fp32",
        device="cpu",
        depth=2,
        width=6,
        pooled=rng.standard_normal((len(ids), 2, 2, 6)).astype(np.float32),
        frames=None,
        counts={},
        seconds={},
        audio_seconds=0.0,
        parameters=None,
    )


@pytest.mark.parametrize("name", ["transfer:emodb,emovo", "transfer-standardised:emodb,emovo",
                                  "transfer:ravdess,ravdess_song", "across-languages:ser10,urdu"])  # fmt: skip
def test_labels_of_the_target_decide_nothing(whole, base, monkeypatch, name):
    """Permuted among the utterances of each of its speakers, they leave folds and predictions bit-equal."""
    rng, target = np.random.default_rng(0), base(name.rpartition(",")[2])
    before = tasks.load(name, tasks.Options(*whole))
    held = label_algebra.onto(target.problem.classes, before.problem.classes)
    raw = [value for label in held for value in target.definition.labels[label]]
    corpus = corpora.module(target.corpus.name)
    as_it_is = corpus.read

    def permuted(root):
        rows = as_it_is(root)
        for _, own in rows[rows["emotion"].isin(raw)].groupby("speaker"):  # every speaker keeps all classes
            rows.loc[own.index, "emotion"] = rng.permutation(own["emotion"].to_numpy())
        return rows

    monkeypatch.setattr(corpus, "read", permuted)
    after = tasks.load(name, tasks.Options(*whole))
    assert (before.problem.targets != after.problem.targets).any()
    for fold, other in zip(before.problem.folds, after.problem.folds, strict=True):
        for part in ("train", "dev", "test"):
            np.testing.assert_array_equal(getattr(fold, part), getattr(other, part))
        for group, again in zip(fold.inner, other.inner, strict=True):
            np.testing.assert_array_equal(group, again)
    features, probe = random_features(before.problem.ids, rng), downstreams.resolve("probe")
    one, two = (downstreams.evaluate(probe, features, t.problem, [0]) for t in (before, after))
    assert one.table.drop(columns="target").equals(two.table.drop(columns="target")) and one.choices == two.choices


def test_the_matrix_of_a_suite_has_every_pair_or_says_why_not(whole):
    messages = []
    names = tasks.resolve(["transfer:all"], whole[0], messages.append)
    asked = {tuple(name.partition(":")[2].split(",")) for name in names if name.startswith("transfer:")}
    places = {definition.read(definition.path(name)).corpus for name in tasks.names()} - {"demo"}
    (line,) = messages
    joined = {name for both in asked for name in both}
    for pair in permutations(sorted(joined), 2):
        assert pair in asked or f"transfer:{','.join(pair)}: they share" in line
    joined = {definition.read(definition.path(name)).corpus for name in joined}
    for corpus in places - joined:
        assert any(
            f"{name}: " in line for name in tasks.names() if definition.read(definition.path(name)).corpus == corpus
        )
    assert "iemocap6_dialogue: it asks for conversation" in line
    assert "iemocap6: one task of each corpus is used, here iemocap" in line
    assert set(SER10) <= set(names), "the diagonal of the matrix"


def test_beside_a_transfer_stands_its_targets_own_score_on_the_same_classes(whole):
    for name in ("transfer:emodb,ravdess", "transfer:ravdess,urdu", "across-languages:ser10,emovo"):
        made, own = tasks.resolve([name], whole[0])
        task, beside = tasks.load(made, tasks.Options(*whole)), tasks.load(own, tasks.Options(*whole))
        assert sorted(task.problem.classes) == sorted(beside.problem.classes)
        tested = [np.concatenate([t.problem.ids[f.test] for f in t.problem.folds]) for t in (task, beside)]
        assert set(tested[0]) == set(tested[1])


def test_what_is_absent_is_left_out_of_a_matrix_and_told(tmp_path):
    layouts.emodb(tmp_path)
    layouts.urdu(tmp_path)
    messages = []
    names = tasks.resolve(["transfer:ser10"], tmp_path, messages.append)
    assert [name for name in names if ":" in name] == [
        "transfer:urdu,emodb", "labels:emodb,anger+happiness+neutral+sadness", "transfer:emodb,urdu",
    ]  # fmt: skip
    assert f"emovo: emovo is absent under {tmp_path}" in messages[0]
    with pytest.raises(Refused, match=r"no task of song can be used[\s\S]*ravdess_song is absent"):
        tasks.resolve(["transfer:song"], tmp_path)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("transfer:emodb", "expected transfer:SOURCE,TARGET, as in transfer:emodb,urdu"),
        ("transfer:emodb,urdu,emovo", "expected transfer:SOURCE,TARGET"),
        ("transfer:", "expected transfer:SOURCE,TARGET"),
        ("transfer:emodb,emodb", "emodb and emodb are both on emodb; two corpora are expected"),
        ("transfer:emodb,emodb_text", "both on emodb"),
        ("transfer:iemocap_valence,emodb", "iemocap_valence asks for values"),
        ("transfer:emodb,meld_dialogue", "meld_dialogue asks for turns of conversations"),
        (
            "transfer:mosi_binary,emodb",
            "they share no class, and at least 2 classes are needed: mosi_binary has negative",
        ),
        ("transfer:meld3,emodb", "they share only neutral"),
        ("across-languages:ser10", "expected across-languages:SUITE,TASK"),
        ("across-languages:song,ravdess", "song has no corpus in another language than ravdess"),
        ("shots:emodb,0", "K is '0'; a positive whole number"),
        ("shots:emodb,-1", "positive whole number"),
        ("shots:emodb,1.5", "positive whole number"),
        ("shots:emodb,²", "positive whole number"),
        ("shots:emodb", "expected shots:TASK,K, as in shots:emodb,4"),
        ("shots:mosi,4", "mosi asks for values"),
        ("shots:meld_next,4", "meld_next asks for turns"),
        ("speaker:iemocap_arousal", "asks for values"),
        ("labels:emodb,anger", "at least 2 are needed"),
        ("labels:emodb,anger+joy", "emodb: no class joy; it has anger"),
    ],
)
def test_names_that_cannot_be_asked_say_what_is_expected(whole, name, words):
    with pytest.raises(Refused, match=words.replace(".", r"\.")):
        parsing.parse(name, tasks.Options(whole[0], whole[0]))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("transfer:emodb,emdb", "task for transfer: 'emdb': did you mean .*emodb"),
        ("trasfer:emodb,urdu", "kind of derived task 'trasfer': did you mean .*transfer"),
        ("across-languages:ser11,emodb", "suite for across-languages: 'ser11': did you mean ser10"),
        ("shots:nothing,4", "task for shots: 'nothing'"),
    ],
)
def test_unknown_names_within_offer_the_nearest(whole, name, words):
    with pytest.raises(UnknownName, match=words):
        tasks.resolve([name], whole[0])


def test_the_audit_of_a_wrong_name_ends_with_status_2_and_of_a_transfer_prints_the_algebra(whole, capsys):
    places = ["--data", str(whole[0]), "--cache", str(whole[1])]
    assert main(["audit", "transfer:emodb,emodb", *places]) == 2
    assert "two corpora are expected" in capsys.readouterr().err
    assert main(["audit", "transfer:ravdess,emodb", *places]) == 0
    assert "ravdess: neutral = 4 calm + 4 neutral" in capsys.readouterr().out


def test_corpora_that_share_a_language_are_left_out_together(whole, monkeypatch, tmp_path):
    suites = tmp_path / "suites.yaml"
    suites.write_text("mixed: [esd, casia, iemocap, emovo, urdu]\n")
    monkeypatch.setattr(catalogue, "SUITES", suites)
    problem = tasks.load("across-languages:mixed,emodb", tasks.Options(*whole)).problem
    groups = [{str(u).partition(":")[0] for u in problem.ids[group]} for group in problem.folds[0].inner]
    assert {"esd", "casia", "iemocap"} in groups, "esd has Mandarin and English"
    assert {"emovo"} in groups and {"urdu"} in groups


def test_what_a_suite_lacks_here_is_told_of_one_target_too(tmp_path):
    for corpus in ("emodb", "emovo"):
        layouts.TREES[corpus](tmp_path)
    messages, name = [], "across-languages:ser10,emodb"
    assert tasks.resolve([name], tmp_path, messages.append)[0] == name
    (message,) = messages
    assert "ser10,emodb trains without" in message and "meld is absent" in message and "emovo" not in message
