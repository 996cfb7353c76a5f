"""Features that were extracted elsewhere, as an upstream."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import upstreams
from commons.errors import EmorepError, Refused
from tests.upstreams.sounds import extract, noise, speak
from upstreams.checks import check

SHAPES = {"vector": (5,), "frames": (4, 5), "layers": (3, 4, 5)}
FORMS = ("npy", "npz", "parquet")


@pytest.fixture(scope="module")
def utterances(tmp_path_factory) -> pd.DataFrame:
    return speak(tmp_path_factory.mktemp("wav"), [noise(0.2, i) for i in range(6)])


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def arrays(shape: tuple[int, ...], count: int = 6, dtype: str = "float32") -> dict[str, np.ndarray]:
    """Arrays of u0, u1 ... with other numbers of frames each, where there are frames."""
    rng = np.random.default_rng(0)
    return {
        f"u{i}": rng.standard_normal((*shape[:-2], shape[-2] + i, shape[-1]) if len(shape) > 1 else shape).astype(dtype)
        for i in range(count)
    }


def save(folder: Path, own: dict[str, np.ndarray], form: str = "npy") -> str:
    """Write arrays in a form; returns the upstream's name."""
    folder.mkdir(exist_ok=True)
    if form == "npz":
        np.savez(folder / "own.npz", **own)
        return f"features:{folder / 'own.npz'}"
    if form == "parquet":
        lists = pd.DataFrame({"id": list(own), "values": [array.tolist() for array in own.values()]})
        lists.iloc[::-1].to_parquet(folder / "own.parquet")
        return f"features:{folder / 'own.parquet'}"
    for name, array in own.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"{name}.npy", array)
    return f"features:{folder}"


def framed(array: np.ndarray) -> np.ndarray:
    return array.reshape((1,) * (3 - array.ndim) + array.shape).astype(np.float64)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_pooled_features_are_mean_and_deviation_of_the_arrays(utterances, cache, tmp_path, form, shape):
    own = arrays(shape)
    name = save(tmp_path / "own", own, form)
    features = extract(name, utterances, ["pooled"], cache, chunk=4)
    assert (features.depth, features.width) == (framed(own["u0"]).shape[0], 5)
    for row, id_ in enumerate(utterances.index):
        truth = framed(own[id_])
        np.testing.assert_allclose(features.pooled[row], [truth.mean(1), truth.std(1)], rtol=1e-5, atol=1e-6)
    assert features.counts["computed"] == 6
    again = extract(name, utterances, ["pooled"], cache)
    assert again.counts["computed"] == 0
    np.testing.assert_array_equal(again.pooled[:], features.pooled[:])
    if shape == SHAPES["vector"]:
        assert not features.pooled[:, 1].any(), "one frame has no deviation"


@pytest.mark.parametrize("dtype", ["float16", "float64", "int32"])
def test_frames_are_the_arrays_whatever_their_type_and_order(utterances, cache, tmp_path, dtype):
    own = {name: np.asfortranarray(10 * array) for name, array in arrays(SHAPES["layers"]).items()}
    own = {name: array.astype(dtype) for name, array in own.items()}
    name = save(tmp_path / "own", own)
    every, last = (extract(name, utterances, [kind], cache).frames for kind in ("frames:all", "frames:last"))
    for row, id_ in enumerate(utterances.index):
        truth = own[id_].astype(np.float16).transpose(1, 0, 2)
        np.testing.assert_array_equal(every[row], truth)
        np.testing.assert_array_equal(last[row], truth[:, -1:])


def test_a_parquet_of_columns_is_one_vector_an_utterance(utterances, cache, tmp_path):
    own = arrays(SHAPES["vector"])
    pd.DataFrame({"id": list(own), **{f"f{i}": [a[i] for a in own.values()] for i in range(5)}}).to_parquet(
        tmp_path / "own.parquet"
    )
    features = extract(f"features:{tmp_path / 'own.parquet'}", utterances, ["pooled"], cache)
    np.testing.assert_allclose(features.pooled[:, 0, 0], list(own.values()), rtol=1e-6)


def test_what_is_wrong_of_utterances_outside_the_task_does_not_matter(utterances, cache, tmp_path):
    own = arrays(SHAPES["vector"])
    frame = pd.DataFrame({"id": [*own, "elsewhere"], "values": [*(list(map(float, a)) for a in own.values()), None]})
    frame.to_parquet(tmp_path / "own.parquet")
    features = extract(f"features:{tmp_path / 'own.parquet'}", utterances, ["pooled"], cache)
    np.testing.assert_allclose(features.pooled[:, 0, 0], list(own.values()), rtol=1e-6)


PARQUETS = {
    "no id": ({"name": ["u0"], "a": [1.0]}, r"has no column id \(it has name, a\)"),
    "no values": ({"id": ["u0"]}, "expected one column of lists or else columns of numbers"),
    "words": ({"id": ["u0"], "a": [1.0], "emotion": ["joy"]}, "columns of numbers alone; it has emotion"),
    "lists and more": ({"id": ["u0"], "a": [[1.0]], "b": [2.0]}, "one column of lists or else .*; it has a"),
    "lists of words": ({"id": ["u0"], "a": [["joy"]]}, "id u0: holds string, and features are real numbers"),
    "twice": ({"id": ["u0", "u0"], "a": [1.0, 2.0]}, "holds the id 'u0' more than once"),
    "unlike lists": ({"id": ["u0"], "a": [[[1.0, 2.0], [3.0]]]}, "id u0: holds lists of 1 to 2 values"),
    "empty list": ({"id": ["u0", "u1"], "a": [[1.0], []]}, r"id u1: has the shape \(0,\)"),
    "empty lists": ({"id": ["u0", "u1"], "a": [[[1.0]], [[]]]}, r"id u1: has the shape \(1, 0\)"),
    "empty cell of lists": ({"id": ["u0", "u1"], "a": [[1.0], None]}, "id u1: holds an empty cell"),
    "empty cell": ({"id": ["u0", "u1"], "a": [1, None], "b": [1, 2]}, "id u1: holds NaN"),
}


@pytest.mark.parametrize("what", PARQUETS)
def test_a_wrong_parquet_is_one_clear_message(tmp_path, what):
    table, says = PARQUETS[what]
    pd.DataFrame(table).to_parquet(tmp_path / "own.parquet")
    with pytest.raises(EmorepError, match=rf"own\.parquet.*{says}"):
        list(check(f"features:{tmp_path / 'own.parquet'}"))


def test_names_may_be_paths_of_the_audio_with_and_without_its_ending(utterances, cache, tmp_path):
    own = arrays(SHAPES["vector"])
    by_id = extract(save(tmp_path / "ids", own), utterances, ["pooled"], cache).pooled[:]
    folder = Path(utterances["path"].iloc[0]).parent.name
    for number, spelling in enumerate(["{stem}", "{folder}/{stem}", "{folder}/{stem}.wav"]):
        stems = {spelling.format(folder=folder, stem=id_[1:]): array for id_, array in own.items()}
        features = extract(save(tmp_path / f"paths{number}", stems), utterances, ["pooled"], cache)
        np.testing.assert_array_equal(features.pooled[:], by_id)


def test_two_utterances_never_share_features(utterances, cache, tmp_path):
    parts = utterances.assign(path=utterances["path"].iloc[0])  # parts of one file
    with pytest.raises(EmorepError, match=r"0 may be of utterance 'u0' or of 'u1'; name features by utterance ids"):
        extract(save(tmp_path / "own", {"0": np.ones(5)}), parts, ["pooled"], cache)


def test_features_of_changed_audio_are_never_those_of_the_audio_before_the_change(utterances, cache, tmp_path):
    twins = utterances.assign(perturbation="white@10").rename(index=lambda one: f"{one}~white@10")
    both, own = pd.concat([utterances, twins]), arrays(SHAPES["vector"])
    by_path = {Path(path).stem: array for path, array in zip(utterances["path"], own.values(), strict=True)}
    for names in (own, by_path):
        with pytest.raises(EmorepError, match=r"no features of 6 of 12 utterances: u0~white@10, u1~white@10"):
            extract(save(tmp_path / "own", names), both, ["pooled"], cache)


def test_missing_and_surplus_ids_are_listed(utterances, cache, tmp_path):
    own = arrays(SHAPES["vector"], 10)
    few = save(tmp_path / "few", {name: own[name] for name in ("u0", "u9")})
    with pytest.raises(EmorepError, match=r"no features of 5 of 6 utterances: u1, u2, u3 and 2 more; .* holds u0, u9"):
        extract(few, utterances, ["pooled"], cache)
    with pytest.warns(
        UserWarning, match="4 features are of no utterance of the task and are left out: u6, u7, u8 and 1 more"
    ):
        extract(save(tmp_path / "many", own), utterances, ["pooled"], cache)


BAD = {
    "NaN": (np.array([1, np.nan, 1, 1, 1]), "NaN or infinite"),
    "infinite": (np.array([1, np.inf, 1, 1, 1]), "NaN or infinite"),
    "beyond float32": (np.full(5, 1e300), "NaN or infinite"),
    "other width": (np.ones(6), r"has the shape \(6,\)"),
    "other axes": (np.ones((2, 5)), r"has the shape \(2, 5\)"),
    "four axes": (np.ones((1, 1, 1, 5)), r"expected \(D,\), \(T, D\) or \(L, T, D\)"),
    "no frame": (np.ones((0, 5)), "each of at least 1"),
    "text": (np.array(["a"] * 5), "features are real numbers"),
    "complex": (np.ones(5) * 1j, "features are real numbers"),
    "pickled": (np.array([{}] * 5, dtype=object), "pickled objects never"),
}


@pytest.mark.parametrize("form", ["npy", "npz"])
@pytest.mark.parametrize("what", BAD)
def test_a_bad_array_is_refused_by_name(utterances, cache, tmp_path, what, form):
    array, says = BAD[what]
    name = save(tmp_path / "own", arrays(SHAPES["vector"]) | {"u3": array}, form)
    with pytest.raises(EmorepError, match=f"u3.*{says}"):
        extract(name, utterances, ["pooled"], cache)


@pytest.mark.parametrize("content", [b"", b"no numpy", b"\x93NUMPY\x01\x00"])
@pytest.mark.parametrize("file", ["own/u0.npy", "own.npz", "own.parquet"])
def test_a_damaged_file_is_one_message(tmp_path, file, content):
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(EmorepError, match=r"cannot be read .*pickled objects never"):
        upstreams.identify(upstreams.resolve(f"features:{path.parent if path.suffix == '.npy' else path}"))


def test_one_vector_an_utterance_has_no_frames(utterances, cache, tmp_path):
    name = save(tmp_path / "own", arrays(SHAPES["vector"]))
    with pytest.raises(EmorepError, match=r"one vector .* the head reads frames"):
        extract(name, utterances, ["frames:last"], cache)
    with pytest.raises(EmorepError, match="no network"):
        extract(name, utterances, ["live"], cache)


def test_the_fingerprint_follows_content_and_not_times_or_other_files(tmp_path):
    own = arrays(SHAPES["frames"])
    name = save(tmp_path / "own", own)

    def fingerprint() -> str:
        return upstreams.identify(upstreams.resolve(name)).fingerprint

    before = fingerprint()
    save(tmp_path / "own", own)
    (tmp_path / "own" / "readme.txt").write_text("notes")
    assert fingerprint() == before
    own["u5"][0, 0] += 1
    save(tmp_path / "own", own)
    assert fingerprint() != before


def test_files_that_changed_since_the_plan_are_not_stored_under_the_old_fingerprint(utterances, cache, tmp_path):
    own = arrays(SHAPES["frames"])
    planned = upstreams.identify(upstreams.resolve(save(tmp_path / "own", own)))
    save(tmp_path / "own", {name: 2 * array for name, array in own.items()})
    with pytest.raises(EmorepError, match="changed since the run was planned"):
        upstreams.extract(planned, utterances, ["pooled"], upstreams.Extraction(cache))


def test_facts_stand_in_about_yaml(utterances, cache, tmp_path):
    name = save(tmp_path / "own", arrays(SHAPES["frames"]))
    assert upstreams.identify(upstreams.resolve(name)).seen == "unknown"
    about = tmp_path / "own" / "about.yaml"
    about.write_text("title: ours\nhop: 0.01\nseen: {EmoDB: audio}\nlicence: MIT\nsource: lab/encoder\n")
    facts = upstreams.identify(upstreams.resolve(name))
    assert (facts.title, facts.step, facts.licence, facts.weights) == ("ours", 0.01, "MIT", "lab/encoder")
    assert facts.seen == {"emodb": "audio"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("hops: 1\n", r"hops: unknown key \(known: title, hop, seen"),
        ("hop: 0\n", "hop: Input should be greater than 0; the file holds 0"),
        ("seen: {iemocap: maybe}\n", "seen.iemocap: Input should be 'audio' or 'labels'; the file holds 'maybe'$"),
        ("seen: [iemocap]\n", r"seen: Input .*dictionary or .*'unknown'; the file holds \['iemocap'\]$"),
    ],
)
def test_a_wrong_fact_is_one_clear_message(tmp_path, content, says):
    name = save(tmp_path / "own", arrays(SHAPES["frames"]))
    (tmp_path / "own" / "about.yaml").write_text(content)
    with pytest.raises(EmorepError, match=rf"about\.yaml: {says}"):
        upstreams.identify(upstreams.resolve(name))


def test_frames_are_aligned_with_others_only_where_their_step_is_known(utterances, cache, tmp_path):
    name = save(tmp_path / "own", arrays(SHAPES["frames"]))
    assert extract(f"fbank+{name}", utterances, ["pooled"], cache).parts == (80, 5)
    with pytest.raises(EmorepError, match=r"the step between those of features:.* is not known; give it as `hop`"):
        extract(f"fbank+{name}", utterances, ["frames:last"], cache)
    (tmp_path / "own" / "about.yaml").write_text("hop: 0.05\n")
    frames = extract(f"fbank+{name}", utterances, ["frames:last"], cache).frames
    assert [len(frames[row]) for row in range(6)] == [4, 5, 6, 7, 8, 9]


def test_a_chunk_at_a_time_is_in_memory(utterances, cache, tmp_path):
    """Chunks of the store hold at most so many utterances, and no array of all is made."""
    extract(save(tmp_path / "own", arrays(SHAPES["layers"])), utterances, ["pooled"], cache, chunk=2)
    assert len(list(cache.rglob("*.safetensors"))) == 3


def test_the_folder_of_the_store_says_whose_features_it_holds(utterances, cache, tmp_path):
    name = save(tmp_path / "own", arrays(SHAPES["vector"]))
    extract(name, utterances, ["pooled"], cache)
    (about,) = cache.rglob("about.json")
    assert json.loads(about.read_text())["upstream"] == name
    assert str(tmp_path) not in upstreams.resolve(name).record_name


def test_the_documented_line_prints_the_ids_of_a_task(tmp_path, with_demo, monkeypatch, capsys):
    page = (Path(__file__).parents[2] / "docs" / "fusion.md").read_text(encoding="utf-8")
    (line,) = re.findall(r'`python -c "(import tasks; .*)"` prints the ids', page)
    with_demo(tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    exec(line.replace("emodb", "demo"), {})
    assert len(capsys.readouterr().out.split()) > 100


@pytest.mark.parametrize("name", ["features:", "Features:", "fbank+features:"])
def test_features_of_no_folder_are_refused(name):
    with pytest.raises(Refused, match="the folder or file of features is missing; name it as features:FOLDER"):
        upstreams.resolve(name)
