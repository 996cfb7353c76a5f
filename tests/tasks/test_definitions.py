"""Every definition is sound, and a wrong one says what is wrong."""

import json

import pytest
import yaml

import tasks
from commons.errors import UnknownName
from tasks import catalogue, corpora, definition
from tasks.errors import TaskError

# Tasks that results are published of: none of them may go. New tasks need no entry.
PROMISED = [
    "aesdd",
    "cafe",
    "casia",
    "cremad",
    "cremad_vote",
    "demo",
    "demo_arousal",
    "demo_dialogue",
    "demo_next",
    "emodb",
    "emodb_text",
    "emovo",
    "emovo_text",
    "esd",
    "esd_en",
    "esd_zh",
    "iemocap",
    "iemocap6",
    "iemocap6_dialogue",
    "iemocap_arousal",
    "iemocap_dominance",
    "iemocap_improvised",
    "iemocap_next",
    "iemocap_superb",
    "iemocap_valence",
    "indian_emospeech",
    "korean_emotion_tts",
    "m3ed",
    "m3ed_dialogue",
    "meld",
    "meld3",
    "meld_binary",
    "meld_dialogue",
    "meld_next",
    "mosei",
    "mosei_binary",
    "mosi",
    "mosi_binary",
    "msp_podcast",
    "msp_podcast_arousal",
    "msp_podcast_dominance",
    "msp_podcast_valence",
    "nemo",
    "ravdess",
    "ravdess_song",
    "resd",
    "savee",
    "shemo",
    "subesco",
    "tess",
    "urdu",
]

FIGURES = {"source": "s", "head": "h", "matches": True, "metrics": ["WA"], "values": {"a": [1, 2]}}


def test_the_tasks_that_were_promised_are_there():
    assert set(PROMISED) <= set(tasks.names()) and tasks.names() == sorted(tasks.names())


@pytest.mark.parametrize("name", tasks.names())
def test_labels_cover_the_corpus_and_name_nothing_else(name):
    task = definition.read(definition.path(name))
    corpus = corpora.module(task.corpus).CORPUS
    used = {value for values in task.labels.values() for value in values}
    assert not used & set(task.drop)
    if task.target == "emotion":
        assert used <= set(corpus.classes) | set(corpus.others) == used | set(task.drop)


@pytest.mark.parametrize("name", tasks.names())
def test_published_figures_have_a_source_and_a_reason_where_they_do_not_match(name):
    task = definition.read(definition.path(name))
    for figure in task.published:
        assert figure.source and 13 < figure.value < 100
        assert figure.matches or figure.difference
    keys = [(figure.upstream, figure.metric, figure.source) for figure in task.published]
    assert len(set(keys)) == len(keys)


def test_a_published_figure_is_where_the_paper_has_it():
    figures = {(f.upstream, f.metric, f.head): f for f in definition.read(definition.path("iemocap_superb")).published}
    assert figures["wavlm_base", "WA", "superb"].value == 65.94 and figures["wavlm_base", "WA", "superb"].matches
    emodb = {(f.upstream, f.metric, f.head): f for f in definition.read(definition.path("emodb")).published}
    assert emodb["hubert_base", "UA", "emobox"].value == 87.73 and not emodb["hubert_base", "UA", "emobox"].matches
    assert "speakers" in emodb["hubert_base", "UA", "emobox"].difference


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"lables": {}}, r"lables: unknown key \(known: .*labels"),
        ({"corpus": "emodbb"}, "corpus: no corpus 'emodbb'"),
        ({"kind": "ranking"}, "kind"),
        ({"headline": "XX"}, "no metric XX"),
        ({"headline": "WF1", "metrics": ["WA"]}, "headline WF1 is not among metrics"),
        ({"select_on": "CCC"}, "no metric CCC of a classification"),
        ({"labels": {"all": ["anger", "fear"]}}, "two classes"),
        ({"drop": ["anger"]}, "twice"),
        ({"folds": {"by": "speaker", "rule": "x"}}, "folds.rule: unknown key"),
        ({"dev": "test"}, "dev"),
        ({"title": None}, "title"),
        ({"published": [FIGURES]}, "a has 2 values for 1 metrics"),
    ],
)
def test_a_wrong_definition_names_file_and_key(tmp_path, change, words):
    content = yaml.safe_load(definition.path("emodb").read_text())
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content | change))
    with pytest.raises(TaskError, match=words) as error:
        definition.read(tmp_path / "mine.yaml")
    assert "mine.yaml" in str(error.value)


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "a: [", "!!python/object/apply:os.system ['true']"])
def test_a_file_that_is_no_definition_is_named(tmp_path, text):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(TaskError, match=r"mine\.yaml"):
        definition.read(tmp_path / "mine.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x]\nb: [*a, *a]\n",
        "version: 2020-99-99\n",
        "version: " + "9" * 5000,
        "labels: " + "[" * 20_000,
        "labels: " + "[" * 40 + "]" * 40,
        "title: !!binary aGk=\n",
        "? [1]\n: 2\n",
        "1: 2\n",
        "k" * 5000 + ": 1\n",
        "published: 7\n",
        "published: [{source: x, values: {a: [.nan]}}]\n",
        "folds: 2020-01-01\n",
    ],
)
def test_a_hostile_definition_is_one_line_and_hides_no_other(tmp_path, definitions, text):
    (tmp_path / "bad.yaml").write_text(text)
    (tmp_path / "emodb.yaml").write_text(definition.path("emodb").read_text())
    definitions(tmp_path)
    with pytest.raises(TaskError, match=r"bad\.yaml") as error:
        definition.read(tmp_path / "bad.yaml")
    assert "\n" not in str(error.value) and len(str(error.value)) < 3000
    listed = {row.task: row for row in tasks.describe(tmp_path)}
    assert listed["bad"].state == "broken" and "bad.yaml" in listed["bad"].problem
    assert listed["emodb"].state == "absent"


def test_a_missing_key_is_named(tmp_path):
    content = yaml.safe_load(definition.path("emodb").read_text())
    del content["folds"]
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(TaskError, match="folds: Field required"):
        definition.read(tmp_path / "mine.yaml")


def test_suites_hold_tasks_that_exist_and_no_task_has_a_suites_name():
    for name, members in catalogue.suites().items():
        assert set(members) <= set(tasks.names())
        assert name not in tasks.names() and name not in catalogue.COMPUTED


def test_names_are_resolved_in_order_and_once(tmp_path):
    assert tasks.resolve(["urdu", "song", "emodb", "ravdess_song"], tmp_path) == ["urdu", "ravdess_song", "emodb"]
    assert tasks.resolve(["all"], tmp_path) == [row.task for row in tasks.describe(tmp_path) if not row.synthetic]
    assert tasks.resolve(["gender:emodb"], tmp_path) == ["gender:emodb"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("emdb", "did you mean .*emodb"),
        ("EmoDB", "did you mean emodb"),
        ("gendre:emodb", "did you mean gender"),
        ("gender:emdb", "did you mean .*emodb"),
        ("xyzzy", "see .*--list$"),
        ("../emodb", "emodb"),
    ],
)
def test_an_unknown_name_offers_the_nearest(tmp_path, name, words):
    with pytest.raises(UnknownName, match=words):
        tasks.resolve([name], tmp_path)
    with pytest.raises(UnknownName, match=words):
        tasks.load(name, tasks.Options(tmp_path, tmp_path))


def test_here_without_data_is_told(tmp_path):
    with pytest.raises(TaskError, match=r"no corpus under .* is complete"):
        tasks.resolve(["here"], tmp_path)
    with pytest.raises(TaskError, match=r"no corpus under .* is complete"):  # nor is it dropped beside other names
        tasks.resolve(["demo", "here"], tmp_path)


def test_shipped_fold_lists_hold_every_utterance_once():
    shipped = sorted((definition.FOLDER / "folds").glob("*.json"))
    assert [path.stem for path in shipped] == ["emodb", "emovo", "meld", "ravdess", "ravdess_song", "urdu"]
    for path in shipped:
        content = json.loads(path.read_text())
        ids = [utterance for test in content["test"].values() for utterance in test]
        tested = 2610 if path.stem == "meld" else corpora.module(path.stem).CORPUS.files  # an official test part
        assert len(set(ids)) == len(ids) == tested


def test_a_broken_definition_is_listed_as_such_and_hides_no_other(tmp_path, definitions):
    for name in ("emodb", "demo"):
        (tmp_path / f"{name}.yaml").write_text(definition.path(name).read_text())
    (tmp_path / "spoilt.yaml").write_text("title: [oops")
    definitions(tmp_path)
    rows = {row.task: row for row in tasks.describe(tmp_path)}
    assert rows["spoilt"].state == "broken" and "spoilt.yaml" in rows["spoilt"].problem
    assert rows["demo"].state == "complete" and rows["emodb"].state == "absent"


def test_a_label_that_the_corpus_lacks_is_named(tmp_path):
    text = definition.path("emodb").read_text().replace("neutral: [neutral]", "neutral: [neutrl]")
    (tmp_path / "typo.yaml").write_text(text)
    with pytest.raises(TaskError, match=r"typo.yaml.*emodb has no neutrl"):
        definition.read(tmp_path / "typo.yaml")


def test_a_corpus_without_a_task_says_what_to_write(tmp_path, definitions):
    definitions(tmp_path)
    with pytest.raises(TaskError, match=r"write .*urdu\.yaml"):
        tasks.resolve(["urdu"], tmp_path)


def test_settings_that_a_task_does_not_use_are_not_in_its_key():
    """Cells that are done stay done when definitions learn to say more."""
    left_out = {"published", "title", "counts", "also"}  # as cells.keys leaves them out
    dumped = definition.read(definition.path("emodb")).model_dump(mode="json", exclude=left_out)
    assert list(dumped) == [
        "name",
        "version",
        "corpus",
        "kind",
        "target",
        "labels",
        "drop",
        "where",
        "folds",
        "dev",
        "metrics",
        "headline",
        "select_on",
        "downstream",
        "speakers_shared",
        "pooled_only",
    ]
    assert dumped["folds"] == {"by": "speaker", "groups": []}
    assert definition.read(definition.path("nemo")).model_dump()["folds"]["by"] == "speaker"
    assert definition.read(definition.path("esd")).model_dump()["folds"]["k"] == 5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "regression"}, "a regression has no labels"),
        ({"kind": "regression", "labels": {}, "target": "gender"}, "its target is one of arousal"),
        ({"kind": "regression", "labels": {}, "target": "arousal"}, "no metric .* of a regression"),
        ({"next_turn": True}, "next_turn is for a conversation"),
        ({"dev": "partition"}, "needs folds"),
        ({"group_by": "room"}, "group_by"),
        ({"folds": {"by": "speaker", "k": 1}}, "folds.k"),
    ],
)
def test_kinds_and_rules_that_do_not_fit_are_named(tmp_path, change, words):
    content = yaml.safe_load(definition.path("emodb").read_text())
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content | change))
    with pytest.raises(TaskError, match=words):
        definition.read(tmp_path / "mine.yaml")


def test_other_counts_than_a_whole_copys_are_told(tmp_path, monkeypatch):
    demo = definition.read(definition.path("demo"))
    right = dict.fromkeys(demo.labels, 0) | {
        name: sum(parts.values())
        for name, parts in tasks.load("demo", tasks.Options(tmp_path, tmp_path)).counts["merged"].items()
    }
    wrong = right | {"anger": right["anger"] + 1}
    for counts, said in ((right, False), (wrong, True)):
        monkeypatch.setattr(definition, "read", lambda file, counts=counts: definition.varied(demo, counts=counts))
        task = tasks.load("demo", tasks.Options(tmp_path, tmp_path))
        assert ("partial" in task.marks) == said
        assert any(f"anger {right['anger']} of {wrong['anger']}" in note for note in task.notes) == said


@pytest.mark.parametrize("make", [definition.varied, lambda base, **changes: definition.new(**dict(base) | changes)])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "nonsense"}, "emodb: kind: Input should be 'classification', .* or 'distribution'"),
        ({"lables": {}}, "lables: unknown key"),
        ({"headline": "CCC"}, "no metric CCC of a classification"),
        ({"labels": {"anger": ("anger",)}}, "two classes"),
        ({"labels": {1: (1,), 2: (2,)}}, "labels.1"),
        ({"also": ("mood",)}, "also: mood: no such column of utterances"),
        ({"also": ("emotion",)}, "do not name the target emotion"),
        ({"also": ("gender", "gender")}, "name each further target once"),
    ],
)
def test_a_definition_that_a_program_makes_is_validated_too(make, change, words):
    with pytest.raises(TaskError, match=words):
        make(definition.read(definition.path("emodb")), **change)


def test_a_varied_definition_differs_in_what_is_changed_alone():
    base = definition.read(definition.path("iemocap_superb"))
    other = definition.varied(base, name="other", published=())
    assert type(other) is type(base) is definition.Definition
    assert other.model_dump(exclude={"name", "published"}) == base.model_dump(exclude={"name", "published"})
    assert definition.varied(base) == base


def test_a_program_may_ask_of_a_corpus_that_ships_no_reader():
    base = definition.read(definition.path("emodb"))
    assert definition.varied(base, corpus="mine", labels={"joy": ("joy",), "awe": ("awe",)}).corpus == "mine"
