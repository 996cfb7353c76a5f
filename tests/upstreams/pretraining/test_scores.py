"""Files of frame scores: read as they were written, or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from tests.upstreams.mockingjay.small import scored, tiny
from tests.upstreams.pretraining.training import packed, speech
from upstreams import UpstreamError
from upstreams.pretraining.launch import prepare
from upstreams.pretraining.scores import Scored, Scores, hash_of, write


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return speech(tmp_path_factory.mktemp("scores") / "speech")


def with_scores(scores: Path):
    return tiny("masking.kind=intensity", f"scores={scores}")


def test_scores_of_other_audio_or_of_part_of_it_are_refused(data: Path, tmp_path: Path) -> None:
    pack = packed(data, tiny()).pack
    lacking = scored(tmp_path / "lacking.parquet", pack, leave_out=pack.names[3])
    with pytest.raises(UpstreamError, match=rf"1 of {len(pack)} files .*has no scores, such as {pack.names[3]}"):
        packed(data, with_scores(lacking))
    other = speech(tmp_path / "speech", 30)
    soundfile.write(other / "05.wav", np.random.default_rng(9).standard_normal(9000) / 9, 16000)
    theirs = scored(tmp_path / "theirs.parquet", packed(other, tiny()).pack)
    with pytest.raises(UpstreamError, match=r"scores of other audio, such as 05\.wav"):
        packed(data, with_scores(theirs))
    assert packed(other, with_scores(theirs)).scores
    (tmp_path / "rubbish.parquet").write_bytes(b"rubbish")
    for name, said in (("rubbish", "cannot be used"), ("none", "no such file")):
        with pytest.raises(UpstreamError, match=f"{name}.parquet: {said}.*strength score"):
            packed(data, with_scores(tmp_path / f"{name}.parquet"))


@pytest.mark.parametrize("frames", [1, 40, 10**6])
def test_scores_are_the_same_however_many_are_written_together(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frames: int
) -> None:
    """A group of rows may end between two files; other programs may end one within a file."""
    pack = packed(data, tiny()).pack
    whole = Scores(scored(tmp_path / "whole.parquet", pack), pack)
    monkeypatch.setattr("upstreams.pretraining.scores.GROUP", frames)
    table = pq.read_table(scored(tmp_path / "written.parquet", pack))
    metadata = pq.read_metadata(tmp_path / "written.parquet").metadata
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "others.parquet", row_group_size=frames)
    for name in ("written", "others"):
        own = Scores(tmp_path / f"{name}.parquet", pack)
        for utterance in range(len(pack)):
            asked = utterance, 0, int(pack.lengths[utterance]), tiny().network.acoustic
            assert np.array_equal(own.of(*asked), whole.of(*asked))


def test_scores_whose_rows_lie_apart_or_are_no_numbers_are_refused(data: Path, tmp_path: Path) -> None:
    pack, file = packed(data, tiny()).pack, tmp_path / "scores.parquet"
    table, metadata = pq.read_table(scored(file, pack)), pq.read_metadata(file).metadata
    rows = np.arange(len(table))
    nan = pa.array(np.where(rows == 5, np.nan, 0.5).astype(np.float32))
    for wrong, said in ((table.take(np.roll(rows, 3)), "lie apart"), (table.set_column(2, "score", nan), "no numbers"),
                        (table.slice(0, 0), "has no scores"), (table.drop_columns("time"), "time")):  # fmt: skip
        pq.write_table(wrong.replace_schema_metadata(metadata), file)
        with pytest.raises(UpstreamError, match=rf"scores\.parquet: .*{said}"):
            Scores(file, pack)


def test_scores_of_a_part_are_those_of_its_place_in_the_file(tmp_path: Path) -> None:
    """Of a crop, and of a later part of a long file: scores here are the time."""
    (folder := tmp_path / "speech").mkdir()
    for name, seconds in (("a", 0.9), ("b", 3.5)):
        noise = np.random.default_rng(0).standard_normal(round(16000 * seconds))
        soundfile.write(folder / f"{name}.wav", 0.1 * noise, 16000)
    recipe = tiny()
    pack, times = packed(folder, recipe).pack, np.arange(0, 4, 0.016)
    assert pack.names == ("a.wav", "b.wav", "b.wav", "b.wav")
    rows = [Scored(name, audio, times, times) for name, audio in hash_of(pack).items()]
    write(tmp_path / "scores.parquet", rows, {}, "time")
    own, framing = Scores(tmp_path / "scores.parquet", pack), recipe.network.acoustic
    for utterance, before in enumerate((0, 0, pack.lengths[1], pack.lengths[1] + pack.lengths[2])):
        for start, samples in ((0, 8000), (4000, 6400)):
            values = own.of(utterance, start, samples, framing)
            middle = (before + start + 160 * np.arange(len(values)) + 200) / 16000
            assert len(values) == framing.frames(np.array(samples)) and np.abs(values - middle).max() < 1e-5


def test_files_of_one_name_below_two_folders_have_no_scores(tmp_path: Path) -> None:
    for name, own in (("a", 0.1), ("b", 0.2)):
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / "x.wav", np.full(9000, own), 16000)
    pack = prepare(tiny(), [tmp_path / "a", tmp_path / "b"], tmp_path / "cache").pack
    with pytest.raises(UpstreamError, match=r"two files are called x\.wav"):
        hash_of(pack)
