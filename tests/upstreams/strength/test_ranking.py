"""Relative attributes: strengths follow what sets a speaker's emotional utterances apart from neutral ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from upstreams import UpstreamError
from upstreams.strength import table as tables
from upstreams.strength.ranking import learnt, ordered, strengths


def made_up(speakers: int = 4, each: int = 12) -> tuple[np.ndarray, pd.DataFrame, np.ndarray]:
    """Functionals of which one grows with a hidden strength, others with the speaker alone; and that strength."""
    rng = np.random.default_rng(0)
    rows, hidden = [], []
    for speaker in range(speakers):
        for emotion in ("neutral", "anger", "joy"):
            for _ in range(each):
                strength = 0.0 if emotion == "neutral" else rng.uniform(0.3, 1)
                rows.append((f"s{speaker}", emotion, [3 * strength, 5 * speaker, 0.0, *rng.normal(0, 0.3, 5)]))
                hidden.append(strength)
    x = np.array([values for *_, values in rows])
    x[:, 0] += 4 * x[:, 1] / 5  # speakers differ more in it than their utterances do
    return x, pd.DataFrame({"speaker": [r[0] for r in rows], "emotion": [r[1] for r in rows]}), np.array(hidden)


def test_strengths_lie_in_0_to_1_and_follow_the_hidden_ones() -> None:
    x, table, hidden = made_up()
    values = strengths(learnt(x, table), x, table)
    assert values.min() >= 0 and values.max() <= 1
    emotional = table["emotion"] != "neutral"
    assert np.corrcoef(values[emotional], hidden[emotional])[0, 1] > 0.8
    assert values[~emotional].mean() < 0.4 * values[emotional].mean()


def test_they_depend_on_the_seed_alone_and_not_on_scales() -> None:
    x, table, _ = made_up()
    other = x * [1, 9, 1, 0.1, 1, 1, 1, 1]
    once = strengths(learnt(x, table), x, table)
    assert np.array_equal(once, strengths(learnt(x, table), x, table))
    np.testing.assert_allclose(once, strengths(learnt(other, table), other, table), atol=1e-3)


def test_pairs_of_speakers_held_out_are_counted() -> None:
    x, table, _ = made_up()
    held = (table["speaker"] == "s3").to_numpy()
    ranking = learnt(x[~held], table[~held])
    shares = ordered(ranking, x[held], table[held])
    assert set(shares) == {"anger", "joy"} and min(shares.values()) > 0.95
    own, values = table[held], ranking.values(x[held])["joy"]
    joy, calm = (values[(own["emotion"] == name).to_numpy()] for name in ("joy", "neutral"))
    assert shares["joy"] == np.mean(joy[:, None] > calm)
    alone = held & (table["emotion"] != "anger").to_numpy()
    assert set(ordered(ranking, x[alone], table[alone])) == {"joy"}
    assert set(learnt(x[alone], table[alone]).weights) == {"joy"}


def written(folder: Path, text: str, *files: str) -> Path:
    for name in files:
        (folder / name).write_bytes(b"RIFF")
    path = folder / "mine.csv"
    path.write_text(text)
    return path


def test_a_table_is_checked_and_its_lines_named(tmp_path: Path) -> None:
    files = [f"{i}.wav" for i in range(4)]
    cases = {
        "path,speaker\n0.wav,a\n": "has no column emotion",
        "path,speaker,emotion\n0.wav,a,neutral\n1.wav,,anger\n": "line 3: has no speaker",
        "path,speaker,emotion\n0.wav,a,neutral\n1.wav,a, \n": "line 3: has no emotion",
        "path,speaker,emotion\nnone.wav,a,neutral\n": r"1 of its audio files are not there, such as .*none\.wav",
        "path,speaker,emotion\n0.wav,a,neutral\n1.wav,b,anger\n": "no speaker has both 'neutral' and other emotions",
        "path,speaker,emotion\n0.wav,a,neutral\n1.wav,a,joy\n2.wav,b,fear\n": "no speaker of fear has 'neutral'",
    }
    for text, said in cases.items():
        with pytest.raises(UpstreamError, match=said):
            tables.load([written(tmp_path, text, *files)])
    with pytest.raises(UpstreamError, match="cannot be used as a table"):
        tables.load([tmp_path / "none.csv"])


def test_speakers_of_files_without_a_corpus_are_apart(tmp_path: Path) -> None:
    several = [tmp_path / name for name in ("one", "two")]
    for folder in several:
        folder.mkdir()
    files = [
        written(folder, "path,speaker,emotion\n0.wav,a,neutral\n1.wav,a,anger\n", "0.wav", "1.wav")
        for folder in several
    ]
    assert files[0].name == files[1].name and tables.load(files)["speaker"].nunique() == 2


def test_held_out_speakers_are_whole_and_of_every_corpus(tmp_path: Path) -> None:
    rows = [f"{i}.wav,{s},{e},{c}" for i, (s, e, c) in enumerate(
        (s, e, c) for c in ("one", "two") for s in "abc" for e in ("neutral", "anger")
    )]  # fmt: skip
    path = written(tmp_path, "path,speaker,emotion,corpus\n" + "\n".join(rows), *(f"{i}.wav" for i in range(12)))
    table = tables.load([path])
    held = tables.held_out(table)
    assert set(table["speaker"][held]) == {"one/c", "two/c"} and not set(table["speaker"][~held]) & {"one/c", "two/c"}
    assert tables.seen(table) == {"one": "labels", "two": "labels"}
    unknown = tables.load([written(tmp_path, "path,speaker,emotion\n0.wav,a,neutral\n1.wav,a,anger\n")])
    assert tables.seen(unknown) is None
    for table in (unknown, pd.concat([unknown.assign(corpus=c, speaker=f"{c}/a") for c in ("one", "two")])):
        with pytest.raises(UpstreamError, match="one speaker each"):
            tables.held_out(table)
