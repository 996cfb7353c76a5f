"""Frames of a teacher: its own, at the right places, computed once; and a run that learns them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import upstreams
from commons.errors import EmorepError, Notice
from tests.upstreams.pretraining.training import PLUGIN, buzzes, packed, run, speech, tiny
from upstreams import UpstreamError
from upstreams.pretraining.batches import MicroBatch
from upstreams.pretraining.checkpoints import checkpoints, facts_of, group_of_runs
from upstreams.pretraining.given_frames import GivenFrames
from upstreams.pretraining.launch import launch
from upstreams.pretraining.pack import Bounds, Pack, build
from upstreams.pretraining.recipe_sections import TeacherFrames

TEACHER = "fbank"
DISTIL = ("loss.side_targets=[distil]", f"distil.upstream={TEACHER}", "distil.width=2")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return speech(tmp_path_factory.mktemp("given") / "speech", 12)


def of(frames: GivenFrames, pack: Pack, start: int, samples: int) -> np.ndarray:
    rows = np.flatnonzero(pack.lengths >= 9600)
    micro = MicroBatch(0, rows, np.full(len(rows), start), np.full(len(rows), samples))
    return frames.of(micro, tiny().network)


def test_they_are_the_teachers_own_along_axes_that_vary_alike(data: Path) -> None:
    """With all axes the teacher's frames, less the mean of each place, can be made from them; fewer are the first."""
    pack, network = packed(data).pack, tiny().network
    model = upstreams.load(TEACHER)
    whole = GivenFrames(pack, TeacherFrames(upstream=TEACHER, width=model.width))
    given, near = [], []
    for utterance, samples in enumerate(pack.lengths.tolist()):
        micro = MicroBatch(0, np.array([utterance]), np.array([0]), np.array([samples]))
        given.append(whole.of(micro, network)[0])
        raw = model([torch.from_numpy(pack.samples(utterance))])[0][-1].numpy()
        middle = np.arange(len(given[-1])) * network.hop + network.min_samples / 2
        place = (middle / samples * len(raw)).astype(int)
        near.append(raw[place] - whole.means[place])
    rows, wanted = np.concatenate(given), np.concatenate(near)
    inputs = np.column_stack([rows, np.ones(len(rows))])
    rest = wanted - inputs @ np.linalg.lstsq(inputs, wanted, rcond=None)[0]
    assert np.abs(rest).max() < 0.01 * wanted.std()
    assert np.abs(rows[:, :8].var(0) - 1).max() < 0.3  # of every other frame
    means = np.stack([whole.centred(utterance).mean(0) for utterance in range(len(pack))]) @ whole.axes[:, :8]
    apart = np.corrcoef(means, rowvar=False) - np.eye(8)
    assert np.abs(apart).max() < 0.01  # of utterances
    few = GivenFrames(pack, TeacherFrames(upstream=TEACHER, width=4))
    assert few.width == 4
    assert np.allclose(of(few, pack, 0, 9600), of(whole, pack, 0, 9600)[..., :4], atol=1e-4)


def test_the_axes_are_those_along_which_utterances_differ(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A teacher whose first value varies from frame to frame alone, its second with the place, and its third less, and
    from utterance to utterance."""
    pack = packed(data).pack

    def computed(self: GivenFrames, model: object, utterance: int) -> np.ndarray:
        count = 30 + 2 * utterance
        frames = np.zeros((count, upstreams.load(TEACHER).width), "<f2")
        order = np.random.default_rng(utterance).permutation(count)
        frames[:, 0] = np.resize([9, -9], count)[order]
        frames[:, 1] = np.arange(count)  # larger in the mean of longer utterances
        frames[:, 2] = utterance % 3 + np.resize([0.5, -0.5], count)[order]
        return frames

    monkeypatch.setattr(GivenFrames, "_computed", computed)
    monkeypatch.setattr("upstreams.pretraining.given_frames.VERSION", 0)  # not the frames of other tests
    monkeypatch.setattr("upstreams.pretraining.given_frames.FEW", 0)  # a place's mean is its own
    frames = GivenFrames(pack, TeacherFrames(upstream=TEACHER, width=1))
    micro = MicroBatch(0, np.arange(3), np.zeros(3, int), pack.lengths[:3])
    given = frames.of(micro, tiny().network)[:, :, 0]
    levels = [own[:t].mean() for own, t in zip(given, tiny().network.frames(micro.samples), strict=True)]
    assert np.abs(np.diff(levels)) == pytest.approx(np.full(2, 1 / np.hypot(0.5, np.std([0, 1, 2]))), rel=0.1)


def test_a_teacher_may_have_one_value_a_frame_but_not_the_same_one_always(data: Path, tmp_path: Path) -> None:
    pack = packed(data).pack
    assert of(GivenFrames(pack, TeacherFrames(upstream="loudness")), pack, 0, 9600).shape[2] == 1
    (file := tmp_path / "still.py").write_text(PLUGIN.replace("SEEN", "{}").replace(".clone()", ".mul(0)"))
    with pytest.raises(UpstreamError, match="its frames are all alike"):
        GivenFrames(pack, TeacherFrames(upstream=f"{file}:Bands"))


def test_they_follow_the_crop(data: Path) -> None:
    pack = packed(data).pack
    frames = GivenFrames(pack, TeacherFrames(upstream=TEACHER, width=8))
    hop = tiny().network.hop
    assert np.array_equal(of(frames, pack, 10 * hop, 4800), of(frames, pack, 0, 4800 + 10 * hop)[:, 10:])


def test_they_are_computed_once_and_anew_where_a_file_is_damaged(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For each layer; of a run that was killed the shards that are done are kept."""
    monkeypatch.setattr("upstreams.pretraining.pack.SHARD_FILES", 1 << 33)  # no hash of a file ends a shard,
    monkeypatch.setattr("upstreams.pretraining.pack.LONGEST", 4 / (1 << 33))  # but four files do
    pack = build([data], tmp_path, Bounds(0.3, 1.2))
    assert len(pack.paths) == 3
    compute, computed = GivenFrames._computed, list[int]()

    def counted(self: GivenFrames, model: object, utterance: int) -> np.ndarray:
        computed.append(utterance)
        if len(computed) == 6:
            raise UpstreamError("killed")
        return compute(self, model, utterance)

    monkeypatch.setattr(GivenFrames, "_computed", counted)
    wanted = TeacherFrames(upstream=TEACHER, width=8)
    with pytest.raises(UpstreamError, match="killed"):
        GivenFrames(pack, wanted)
    first = GivenFrames(pack, wanted)
    assert computed == [*range(6), *range(4, 12)]
    file = next(path for path in sorted(tmp_path.glob("packs/*.frames")) if path.stem.startswith(pack.paths[0].stem))
    content = bytearray(file.read_bytes())
    content[7] ^= 1
    file.write_bytes(content)
    again = GivenFrames(pack, wanted)
    assert computed[14:] == [*range(4)] and np.array_equal(of(first, pack, 0, 9600), of(again, pack, 0, 9600))


def test_a_network_learns_them_and_says_who_taught_it(data: Path, tmp_path: Path, recwarn) -> None:
    recipe = tiny(*DISTIL, "loss.summary=2", "optimiser.steps=40", "batch.equal_lengths=true")
    lines = run(recipe, buzzes(tmp_path / "buzzes"), tmp_path / "run")
    assert lines[-1]["side_loss"] < 0.9 * lines[0]["side_loss"]
    assert lines[-1]["summary_loss"] < lines[0]["summary_loss"]
    last = checkpoints(tmp_path / "run")[-1]
    teacher = facts_of(last, "emotion2vec")["teacher"]
    assert teacher["layer"] == 0 and teacher["fingerprint"] == upstreams.load(TEACHER).fingerprint()
    assert f"taught by {teacher['title']}" in upstreams.load(f"emotion2vec@{last}").title
    one = tiny(*DISTIL, "optimiser.steps=1")
    for said in ({"x": "audio"}, {"x": "audio"}):
        launch(one, [data], tmp_path / "said", tmp_path / "cache", "cpu", seen=said)
    assert upstreams.load(f"emotion2vec@{tmp_path / 'said'}").seen == {"x": "audio"}
    assert not [warning for warning in recwarn if issubclass(warning.category, Notice)]


def test_a_run_with_other_targets_of_the_same_frames_is_another(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, groups = tiny(*DISTIL, "optimiser.steps=1"), set()
    for folder in ("before", "now"):
        run(recipe, data, tmp_path / folder)
        groups.add(group_of_runs(checkpoints(tmp_path / folder)[-1], "emotion2vec"))
        monkeypatch.setattr("upstreams.pretraining.given_frames.TARGETS", 99)
    assert len(groups) == 2
    with pytest.raises(UpstreamError, match=r"holds another run \(distil differ\)"):
        run(recipe, data, tmp_path / "before")


def test_of_whom_a_teacher_has_learnt_a_network_has_learnt_too(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "theirs.py"
    groups = set()
    for number, (seen, expected) in enumerate(
        {"'unknown'": {"x": "audio", "unknown": "audio"}, "{'y': 'audio'}": {"x": "audio", "y": "audio"}}.items()
    ):
        file.write_text(PLUGIN.replace("SEEN", seen))
        recipe = tiny(*DISTIL[:1], f"distil.upstream={file}:Bands", "optimiser.steps=1", "checkpoints=1")
        folder = tmp_path / str(number)
        launch(recipe, [data], folder, tmp_path / "cache", "cpu", seen={"x": "audio"})
        assert upstreams.load(f"emotion2vec@{folder}").seen == expected
        said = facts_of(last := checkpoints(folder)[-1], "emotion2vec")
        assert str(tmp_path) not in str(said) and said["recipe"]["distil"]["upstream"].startswith("theirs.py:Bands~")
        groups.add(group_of_runs(last, "emotion2vec"))
        onwards = tiny(f"init={last}", "optimiser.steps=1", "checkpoints=1")
        launch(onwards, [data], tmp_path / f"{number} onwards", tmp_path / "cache", "cpu", seen={"z": "audio"})
        assert upstreams.load(f"emotion2vec@{tmp_path / f'{number} onwards'}").seen == expected | {"z": "audio"}
    assert len(groups) == 2
    file.write_text(PLUGIN.replace("SEEN", "{'y': 'labels'}"))
    with pytest.raises(UpstreamError, match=r"teacher or .* learnt from labels of y, .*--seen"):
        run(recipe, data, tmp_path / "unsaid")
    with pytest.raises(UpstreamError, match=r"holds another run \(distil differ\)"):
        launch(recipe, [data], folder, tmp_path / "cache", "cpu", seen={"x": "audio"})


@pytest.mark.parametrize(("wanted", "said"), [
    ({"upstream": "opensmile"}, "gives no frames of speech at 16 kHz"),
    ({"upstream": "text_ngrams"}, "gives no frames of speech at 16 kHz"),
    ({"upstream": TEACHER, "layer": 3}, "has layers 0 to 0, and no layer 3"),
    ({"upstream": "fbenk"}, "fbank"),
])  # fmt: skip
def test_a_teacher_that_cannot_be_is_refused(data: Path, wanted: dict[str, object], said: str) -> None:
    with pytest.raises(EmorepError, match=said):
        GivenFrames(packed(data).pack, TeacherFrames(**wanted))


def test_a_recipe_names_the_teacher_where_it_is_a_target() -> None:
    for changes in (DISTIL[:1], DISTIL[1:]):
        with pytest.raises(UpstreamError, match=r"loss\.side_targets has distil where distil names an upstream"):
            tiny(*changes)
