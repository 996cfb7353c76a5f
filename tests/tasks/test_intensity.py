"""Intensities on one scale: the shipped map, wrong maps, places of utterances, and the tasks of levels."""

import numpy as np
import pandas as pd
import pytest

import tasks
from commons.errors import Refused
from commons.metrics import ORDINAL
from tasks import corpora, definition, intensity
from tasks.__main__ import main
from tasks.errors import TaskError
from tests.tasks import layouts

OF_LEVELS = [name for name in tasks.names() if definition.read(definition.path(name)).kind == ORDINAL]


def rows(levels, emotions=None, **columns):
    """Utterances with these levels."""
    emotions = emotions or ["anger"] * len(levels)
    return pd.DataFrame(
        {"intensity": levels, "emotion": emotions, **columns}, index=[f"u{i}" for i in range(len(levels))]
    )


def test_the_shipped_map_names_corpora_that_have_levels_and_their_levels():
    for corpus in intensity.read().levels:
        known = getattr(corpora.module(corpus), "INTENSITIES", None)
        if known:
            assert set(intensity.read().levels[corpus]) == set(known.values()) - {""}


@pytest.mark.parametrize("neutral", ["masked", "zero"])
def test_utterances_lie_at_their_level_and_neutral_ones_as_asked(neutral):
    given = rows(["low", "high", None, "medium", "low"], ["anger", "fear", "anger", "sadness", "neutral"])
    last = 0.0 if neutral == "zero" else np.nan
    places = intensity.read().levels["cremad"]
    np.testing.assert_array_equal(
        intensity.scaled("cremad", given, neutral), [places["low"], places["high"], np.nan, places["medium"], last]
    )


def test_a_corpus_without_levels_has_no_places():
    given = rows([None, None]).drop(columns="intensity")
    for neutral in ("masked", "zero"):
        assert np.isnan(intensity.scaled("esd", given.assign(emotion="neutral"), neutral)).all()
    assert intensity.contribution("esd", given) == "esd: none; masked 2 of 2 utterances"


@pytest.mark.parametrize("corpus", ["cremad", "esd"])
def test_a_level_that_the_map_does_not_know_is_refused(corpus):
    with pytest.raises(TaskError, match=rf"{corpus}: u0 has the level 'huge', which is not in .*intensity\.yaml"):
        intensity.scaled(corpus, rows(["huge", None]))


def test_arousal_gives_places_only_where_it_is_asked_for():
    given = rows([None] * 5, arousal=[1.0, 3.0, 4.4, 5.0, np.nan]).drop(columns="intensity")
    assert np.isnan(intensity.scaled("iemocap", given)).all()
    levelled = intensity.by_arousal("iemocap", given)
    np.testing.assert_array_equal(intensity.scaled("iemocap", levelled), [0, 0.5, 0.75, 1, np.nan])
    assert "1 at 0.75, 1 at 1; masked 1 of 5" in intensity.contribution("iemocap", levelled)
    assert intensity.by_arousal("emodb", given) is given


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("levels: {nowhere: {a: 0.1, b: 0.2}}", "no corpus 'nowhere'"),
        ("levels: {cafe: {low: 0.5, high: 1.5}}", "less than or equal to 1"),
        ("levels: {cafe: {low: 0.5, high: 0.5}}", "each above the one before"),
        ("levels: {cafe: {high: 1, low: 0.5}}", "each above the one before"),
        ("levels: {cafe: {low: 0.5}}", "two levels or more"),
        ("levels: {}\narousal: {iemocap: [5, 1]}", r"arousal of iemocap: \[smallest, largest\]"),
        ("levels: {}\nlevel: {}", "level: unknown key"),
        ("levels: [", "YAML"),
    ],
)
def test_a_wrong_map_is_refused_with_its_name(tmp_path, text, said):
    file = tmp_path / "map.yaml"
    file.write_text(text)
    with pytest.raises(TaskError, match=said) as refused:
        intensity.read(file)
    assert str(file) in str(refused.value)


@pytest.mark.parametrize("name", OF_LEVELS)
def test_levels_of_a_task_ascend_and_leave_out_neutral_speech(name):
    asked = definition.read(definition.path(name))
    assert len(asked.levels) == len(asked.labels) and list(asked.levels) == sorted(set(asked.levels))
    assert "neutral" not in asked.where["emotion"]
    assert {"speaker", "sentence", "emotion"} <= set(asked.pairs)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("labels:\n  low: [low]\n  high: [high]", "labels:\n  high: [high]\n  low: [low]", "from the lowest up"),
        ("low: [low]", "low: [tiny]", "level 'tiny' is not in intensity.yaml"),
        ("low: [low]", "low: [low, high]", "levels of one place"),
        ("corpus: cafe", "corpus: emodb", "has no levels of emodb"),
        ("target: intensity", "target: emotion", "has the target intensity"),
        ("pairs: [speaker, sentence, emotion]", "pairs: []", "has pairs and levels"),
        ("pairs: [speaker, sentence, emotion]", "pairs: [speaker, mood]", "pairs: mood: no such column"),
        ("UA, level_MAE", "UA, CCC", "no metric CCC of a ordinal"),
    ],
)
def test_a_wrong_task_of_levels_says_what_is_wrong(tmp_path, before, after, said):
    text = definition.path("cafe_intensity").read_text()
    assert before in text
    file = tmp_path / "cafe_intensity.yaml"
    file.write_text(text.replace(before, after))
    with pytest.raises(TaskError, match=said):
        definition.read(file)


def test_pairs_of_a_task_are_one_speaker_sentence_and_emotion_at_all_levels(tmp_path):
    layouts.cafe(tmp_path / "data")
    task = tasks.load("cafe_intensity", tasks.Options(tmp_path / "data", tmp_path / "cache"))
    assert task.problem.kind == ORDINAL and task.problem.classes == ("low", "high")
    sizes = task.utterances.groupby(list(task.definition.pairs)).size()
    assert set(sizes) == {2} and len(sizes) == 5 * 6


def test_the_command_prints_what_each_corpus_contributes(tmp_path, capsys):
    layouts.cafe(tmp_path / "data")
    layouts.cremad(tmp_path / "data")
    folders = ["--data", str(tmp_path / "data"), "--cache", str(tmp_path / "cache")]
    assert main(["intensity", *folders]) == 0
    both = capsys.readouterr().out
    assert "cafe: 30 at 0.5, 30 at 1; masked 5 of 65 utterances" in both
    assert "cremad: 10 at 0.333, 10 at 0.667, 10 at 1; masked 6 of 36 utterances" in both
    assert main(["intensity", "cafe", "--neutral", "zero", *folders]) == 0
    assert capsys.readouterr().out == "cafe: 5 at 0, 30 at 0.5, 30 at 1; masked 0 of 65 utterances\n"


def test_kinds_of_derived_tasks_that_need_classes_refuse_levels(tmp_path):
    with pytest.raises(Refused, match="asks for levels"):
        tasks.resolve(["shots:demo_intensity,4"], tmp_path)
