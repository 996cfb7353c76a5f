"""`--keep-weights` and `emorep apply`: kept heads give the recorded predictions of their test speakers again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import downstreams
import leaderboard
import run_benchmark
import tasks
from cells import applied_to, apply, keeping
from cells.request import parse, understood
from cells.workplace import Workplace
from commons.corridors.fitted import Answers, FurtherAnswers
from commons.corridors.record import REFERENCE
from leaderboard.records import further
from tests.cells.test_texts import WORDS
from tests.downstreams.problems import SHORT
from tests.tasks import layouts
from tests.tasks.derived.test_of_tables import of_emodb

TINY = """
from upstreams.huggingface.factories import random

def tiny():
    return random("wav2vec2_base", small=True)
"""
QUICK = {"steps": 2, "batch": 4, "scorings": 2, "averaged": 2, "random_rates": [1e-3]}
KEPT = [head for head in downstreams.names() if downstreams.resolve(head).keeps]


def own_settings(head: str) -> dict[str, object]:
    """Settings with which a head is trained in a moment."""
    tuned = QUICK | ({"top": 1} if head == "finetune_top3" else {}) if head.startswith("finetune") else {}
    return {**SHORT.get(head, {}), **tuned}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, with_demo: Callable[[Path], Path]) -> Path:
    """A folder with the kept weights of every head that can be kept, on the embedded corpus."""
    folder = tmp_path_factory.mktemp("kept")
    with_demo(folder / "cache")
    (folder / "tiny.py").write_text(TINY)
    names = []
    for head in KEPT:
        if chosen := own_settings(head):
            (folder / f"{head}.yaml").write_text(yaml.safe_dump(chosen))
        names.append(f"{head}@{folder / head}.yaml" if chosen else head)
    assert run_benchmark.main(words(folder, "{0}/tiny.py:tiny", *names, "--keep-weights")) == 0
    return folder


def words(folder: Path, upstream: str, *heads: str, task: str = "demo") -> list[str]:
    return ["-u", upstream.format(folder), "-t", task, "--limit", "24", "--seeds", "1", "--jobs", "1", "--results",
            str(folder / "results"), "--cache", str(folder / "cache"), "-d", *heads]  # fmt: skip


def utterances(folder: Path) -> pd.DataFrame:
    setting = understood(parse(words(folder, "fbank", "probe")), print).setting
    return Workplace().task("demo", setting).utterances


def results(folder: Path) -> Path:
    return folder / "results" / "limited"


def applied(folder: Path, cell: str, *more: str) -> pd.DataFrame:
    """What the command writes."""
    out = folder / "out.csv"
    words = [cell, *more, "--out", str(out), "--cache", str(folder / "cache"), "--results", str(results(folder))]
    assert apply.main(words) == 0
    return pd.read_csv(out)


def test_the_heads_of_a_fold_give_its_recorded_predictions(folder: Path) -> None:
    records = [one for one in leaderboard.load(results(folder))[0] if one.cell.downstream != REFERENCE]
    kept = {one.cell.downstream.partition("@")[0]: one for one in records if leaderboard.kept(results(folder), one)}
    assert sorted(kept) == sorted(KEPT), "further read-outs were not named, and are not kept"
    left = {path.stem.partition(" ")[0] for path in (results(folder) / "trainings").rglob("*.pt")}
    assert left == {"result", "ecapa"}, "no weights"
    table = utterances(folder)
    for head, record in kept.items():
        stored = leaderboard.predictions(results(folder), record)
        fold = record.task.folds[1]
        own = stored[stored["fold"] == fold].set_index("id")
        cell = record.cell
        at = leaderboard.weights(results(folder), record, 0)[0].parent.with_suffix(".json")
        files = table.loc[own.index, "path"].tolist()
        made = applied(folder, str(at), *files, "--fold", fold, "-u", f"{folder}/tiny.py:tiny")
        assert made["file"].tolist() == files and cell.upstream.startswith("tiny.py")
        columns = [f"score:{name}" for name in record.task.classes]
        assert np.abs(made[columns].to_numpy() - own[columns].to_numpy()).max() < 1e-5, head
        assert made["prediction"].tolist() == own["prediction"].tolist()
        for name, beside in further.stored(at, record).items():
            there = beside.table[beside.table["fold"] == fold].set_index("id")
            answers = made.set_index(own.index).loc[there.index]
            for column in there.filter(like="score:"):
                assert np.abs(answers[column.replace("score", name)] - there[column]).max() < 1e-5, (head, column)
            assert answers[name].fillna("").tolist() == there["prediction"].tolist()
        assert set(record.further) == (
            {"gender", "intensity", "phonemes"} if downstreams.resolve(head).further else set()
        )
    assert leaderboard.verify(results(folder)) == []


def test_probabilities_of_further_targets_are_averaged_and_sequences_are_left_out(folder: Path, capsys) -> None:
    [record] = [one for one in leaderboard.load(results(folder))[0] if one.cell.downstream.startswith("speecheq@")]
    where, files = ("-u", f"{folder}/tiny.py:tiny"), utterances(folder)["path"].tolist()[:2]
    cell = "/".join((record.cell.upstream, record.cell.task, record.cell.downstream))
    whole = applied(folder, cell, *files, *where)
    each = [applied(folder, cell, *files, "--fold", fold, *where) for fold in record.task.folds]
    gender = [name for name in whole if name.startswith("gender:")]
    assert np.allclose(whole[gender], np.mean([one[gender] for one in each], axis=0), atol=1e-6)
    assert np.allclose(whole[gender].sum(axis=1), 1, atol=1e-6) and len(gender) == 2
    several = [
        Answers(one[gender].to_numpy(), (FurtherAnswers("phonemes", ("a",), sequences=("a", "")),)) for one in each
    ]
    capsys.readouterr()
    assert apply.mean(several).further == () and "phonemes" in capsys.readouterr().err
    assert apply.mean(several[:1]).further == several[0].further and not capsys.readouterr().err


@pytest.mark.parametrize("head", ["finetune", "finetune_top3", "finetune_lora", "finetune_ecapa"])
def test_networks_that_are_trained_side_by_side_give_their_recorded_predictions(
    folder: Path, tmp_path: Path, head: str
) -> None:
    (tmp_path / "tiny.py").write_text(TINY.replace("wav2vec2_base", "wavlm_base"))
    fused, own = f"{folder}/tiny.py:tiny+{tmp_path}/tiny.py:tiny", tmp_path / "results"
    asked = words(folder, fused, f"{head}@{folder / head}.yaml", "--keep-weights")
    assert run_benchmark.main([*asked, "--results", str(own)]) == 0
    own /= "limited"
    [record] = [one for one in leaderboard.load(own)[0] if leaderboard.kept(own, one)]
    alone = [one for one in leaderboard.load(results(folder))[0] if one.cell.downstream == record.cell.downstream]
    assert record.upstream.fusion == "early" and record.downstream.trained == alone[0].downstream.trained
    assert record.downstream.trainable > 1.5 * alone[0].downstream.trainable
    stored = leaderboard.predictions(own, record)
    stored = stored[stored["fold"] == (fold := record.task.folds[0])].set_index("id")
    at = leaderboard.weights(own, record, 0)[0].parent.with_suffix(".json")
    made = applied(folder, str(at), *utterances(folder).loc[stored.index, "path"], "--fold", fold, "-u", fused)
    columns = [f"score:{name}" for name in record.task.classes]
    assert np.abs(made[columns].to_numpy() - stored[columns].to_numpy()).max() < 1e-5


def test_a_kept_encoder_is_an_upstream_whose_cells_are_marked(folder: Path) -> None:
    [record] = [one for one in leaderboard.load(results(folder))[0] if one.cell.downstream.startswith("finetune@")]
    kept, about = leaderboard.weights(results(folder), record, 0)
    own = about["folds"][record.task.folds[0]]
    encoder = kept / own["folder"] / "encoder"
    assert own["encoder"] == "hf:" and not list(kept.rglob("*.pt")) and not list(kept.rglob("*.bin"))
    shutil.copytree(encoder, folder / "copy")
    assert run_benchmark.main(words(folder, "hf:{0}/copy", "probe")) == 0
    marked = [one for one in leaderboard.load(results(folder))[0] if one.cell.upstream.startswith("hf:")]
    assert [one.marks for one in marked] == [sorted({*record.task.marks, "contaminated:labels"})] or all(
        "contaminated:labels" in one.marks for one in marked
    )
    assert marked[0].upstream.seen == {"demo": "labels"}


@pytest.mark.parametrize(
    ("name", "corpora"),
    [
        ("csv:mine.csv=Mine", {"emodb"}),
        ("unified:csv:mine.csv=Mine,urdu", {"emodb", "urdu"}),
        ("transfer:csv:mine.csv=Mine,urdu", {"emodb"}),
        ("transfer:emodb,urdu", {"emodb"}),
        ("emodb", {"emodb"}),
    ],
)
def test_the_corpora_that_teach_a_kept_encoder_are_named_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, corpora: set[str]
) -> None:
    """Of a table that holds recordings of EmoDB, EmoDB: that is what its cells are marked by."""
    layouts.emodb(tmp_path / "data")
    layouts.urdu(tmp_path / "data")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    of_emodb(tmp_path / "data", "mine", str)
    task = tasks.load(name, tasks.Options(tmp_path / "data", tmp_path / "cache"))
    assert set(keeping.corpora(task)) == corpora


def test_all_folds_are_averaged_and_the_upstream_must_be_the_same(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [record] = [one for one in leaderboard.load(results(folder))[0] if one.cell.downstream.startswith("probe@")
                and one.cell.upstream.startswith("tiny")]  # fmt: skip
    cell, files = f"{record.cell.upstream}/demo/{record.cell.downstream}", utterances(folder)["path"].tolist()[:2]
    where = ("-u", f"{folder}/tiny.py:tiny")
    whole = applied(folder, cell, *files, *where)
    assert "the mean of" in capsys.readouterr().err
    each = [applied(folder, cell, *files, "--fold", fold, *where) for fold in record.task.folds]
    scores = [name for name in whole if name.startswith("score:")]
    assert np.allclose(whole[scores], np.mean([one[scores] for one in each], axis=0), atol=1e-6)

    common = ["--results", str(results(folder)), "--cache", str(folder / "cache")]
    (folder / "other.py").write_text(TINY + "# another\n")
    refused = {
        (cell, *files): "name it with -u",
        (cell, *files, "-u", f"{folder}/other.py:tiny"): "is not the upstream that the head was fitted on",
        (cell, *files, "--fold", "nobody", *where): "unknown fold",
        (cell, str(folder / "tiny.py"), *where): "cannot be decoded",
        (cell, str(folder / "gone.wav"), *where): "unknown audio file",
        (cell, *where): "reads audio: name audio files",
        (cell.replace("probe", "prob"), *files): "did you mean",
        ("majority/demo/reference", *files): "were not kept; run it again with --keep-weights",
    }
    for given, said in refused.items():
        assert apply.main([*given, *common]) in (1, 2)
        assert said in capsys.readouterr().err, given


def test_weights_that_are_missing_are_made_and_damage_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = words(tmp_path, "fbank", "probe", "superb@{}".format(tmp_path / "s.yaml"))
    (tmp_path / "s.yaml").write_text("{epochs: 2, rates: [0.001], evaluations: 2}")
    assert run_benchmark.main(asked) == 0
    where = results(tmp_path)
    before = {path: path.read_bytes() for path in where.rglob("*.json")}
    assert not list(where.rglob("*.safetensors"))
    capsys.readouterr()
    assert run_benchmark.main([*asked, "--keep-weights"]) == 0
    assert capsys.readouterr().err.count("its weights were not kept; it is trained again for them") == 2
    assert all(path.read_bytes() == content for path, content in before.items()), "records stay as they are"
    held = list(where.rglob("head.safetensors"))
    assert run_benchmark.main([*asked, "--keep-weights"]) == 0
    assert "trained again" not in capsys.readouterr().err
    assert leaderboard.verify(where) == []

    [index] = [path for path in where.rglob("index.json") if "probe" in str(path)]
    held[0].write_bytes(held[0].read_bytes()[:-1] + b"\xff")
    index.write_text(json.dumps(json.loads(index.read_text()) | {"seed": 1}))
    lines = leaderboard.verify(where)
    assert any(str(held[0]) in line or str(index) in line for line in lines) and len(lines) in (1, 2)
    assert run_benchmark.main([*asked, "--force"]) == 0
    assert not list(where.rglob("*.safetensors")), "weights of replaced records go with them"
    assert leaderboard.verify(where) == []


def _spoken(folder: Path) -> Path:
    (folder / "spoken.csv").write_text("text;ID\nWhy?;a\nNo;b\n")
    return folder / "spoken.csv"


def test_texts_and_heads_that_cannot_be_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "words.py").write_text(WORDS)
    ids = utterances(tmp_path).index
    rows = [f"{one},{'x' * (1 + number % 5)} said {'y' * (number % 7)}z" for number, one in enumerate(ids)]
    (tmp_path / "said.csv").write_text("\n".join(["id,text", *rows]) + "\n")
    asked = words(tmp_path, "{0}/words.py:Words", "probe")
    assert run_benchmark.main([*asked, "--text", f"demo={tmp_path / 'said.csv'}", "--keep-weights"]) == 0
    [record] = [one for one in leaderboard.load(results(tmp_path))[0] if one.cell.downstream == "probe"]
    cell = f"{record.cell.upstream}/demo/probe"
    fold = record.task.folds[0]
    own = leaderboard.predictions(results(tmp_path), record).query("fold == @fold").set_index("id")
    up = ("-u", f"{tmp_path}/words.py:Words")
    made = applied(tmp_path, cell, "--text", str(tmp_path / "said.csv"), "--fold", fold, *up).set_index("id")
    assert np.abs(made.loc[own.index].filter(like="score:") - own.filter(like="score:")).max().max() < 1e-5
    (tmp_path / "lines.txt").write_text("No way\n\nYes, indeed, sir\n")
    assert applied(tmp_path, cell, "--text", str(tmp_path / "lines.txt"), *up)["id"].tolist() == [1, 3]
    beside = applied_to.with_texts(pd.DataFrame({"path": ["/x/a.wav"]}, index=["x/a.wav"]), _spoken(tmp_path))
    assert beside["text"].tolist() == ["Why?"]
    capsys.readouterr()
    common = ["--results", str(results(tmp_path)), "--cache", str(tmp_path / "cache"), *up]
    assert apply.main([cell, "a.wav", *common]) == 2
    assert "reads text: name texts (--text FILE)" in capsys.readouterr().err
