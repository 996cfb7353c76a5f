"""Extraction: right figures in the right rows, whatever is batched, cut, padded, shared or already there."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import upstreams
from commons.corridors.features import Features
from commons.errors import EmorepError, Refused
from tests.upstreams.sounds import ENERGY, before_frames, extract, extract_in_batches, noise, plugin, speak, with_init
from upstreams import UpstreamError
from upstreams.extraction import chunk_jobs
from upstreams.frozen import Frozen
from upstreams.inputs.audio import windows


@pytest.fixture
def energy(tmp_path: Path) -> str:
    return plugin(tmp_path, ENERGY)


@pytest.fixture
def utterances(tmp_path: Path) -> pd.DataFrame:
    return speak(tmp_path, [noise(0.2 + 0.1 * (i % 4), i) for i in range(10)])


def truth(waveform: np.ndarray) -> np.ndarray:
    """(2, T, 3): what ENERGY gives."""
    frames = waveform[: len(waveform) // 160 * 160].reshape(-1, 160)
    values = np.stack([(frames**2).mean(1), np.abs(frames).mean(1), frames[:, 0]], 1)
    return np.stack([values, 10 * values])


def expected(waveforms: list[np.ndarray]) -> np.ndarray:
    return np.stack([np.stack([t.mean(1), t.std(1)]) for t in map(truth, waveforms)])


def waves(utterances: pd.DataFrame) -> list[np.ndarray]:
    import soundfile

    return [soundfile.read(path, dtype="float32")[0] for path in utterances["path"]]


def get(name: str, utterances: pd.DataFrame, cache: Path, needs: tuple[str, ...] = ("pooled",), **more) -> Features:
    """Features from chunks of three utterances."""
    return extract(name, utterances, needs, cache, **{"device": "cpu", "jobs": 1, "chunk": 3, **more})


@pytest.mark.parametrize("jobs", [1, 2])
def test_each_row_has_its_own_mean_and_deviation(utterances: pd.DataFrame, tmp_path: Path, jobs: int) -> None:
    loud = plugin(tmp_path, before_frames("print('{}', flush=True)"))  # which must not pass for a worker's answer
    features = get(loud, utterances, tmp_path / "cache", jobs=jobs)
    assert list(features.ids) == list(utterances.index)
    assert (features.depth, features.width, features.pooled.shape) == (2, 3, (10, 2, 2, 3))
    np.testing.assert_allclose(features.pooled[:], expected(waves(utterances)), rtol=1e-5, atol=1e-7)
    assert features.counts == {"computed": 10, "reused": 0, "padded": 0, "windowed": 0}
    assert features.audio_seconds == pytest.approx(utterances["duration"].sum())


def test_frames_are_ragged_and_whole(energy: str, utterances: pd.DataFrame, tmp_path: Path) -> None:
    last = get(energy, utterances, tmp_path / "cache", ("frames:last",)).frames
    both = get(energy, utterances, tmp_path / "cache", ("frames:all", "frames:last", "pooled"))
    assert last.layers == (1,) and both.frames.layers == (0, 1)
    for row, wave in enumerate(waves(utterances)):
        true = truth(wave).transpose(1, 0, 2)
        assert both.frames[row].dtype == np.float16
        np.testing.assert_allclose(both.frames[row], true, rtol=1e-3, atol=1e-6)
        np.testing.assert_array_equal(last[row], both.frames[row][:, 1:])
    np.testing.assert_array_equal(np.diff(last.offsets), [len(w) // 160 for w in waves(utterances)])
    np.testing.assert_allclose(both.pooled[:], expected(waves(utterances)), rtol=1e-5, atol=1e-7)


def test_a_union_of_needs_takes_one_pass_and_makes_only_what_is_lacking(
    tmp_path: Path, utterances: pd.DataFrame
) -> None:
    calls = tmp_path / "calls"
    name, cache = plugin(tmp_path, before_frames(f"open({str(calls)!r}, 'a').write('.')")), tmp_path / "cache"
    get(name, utterances, cache, ("pooled", "frames:last"))
    assert len(calls.read_text()) == 10
    get(name, utterances, cache, ("frames:last",))
    assert len(calls.read_text()) == 10
    features = get(name, utterances, cache, ("pooled", "frames:all"))
    assert len(calls.read_text()) == 20 and features.counts["computed"] == 10
    assert len(list((cache / "features").glob("*/about.json"))) == 3


def test_a_second_time_nothing_is_decoded_or_computed(energy: str, utterances: pd.DataFrame, tmp_path: Path) -> None:
    first = get(energy, utterances, tmp_path / "cache")
    for path in utterances["path"]:
        Path(path).unlink()
    again = get(energy, utterances.iloc[::-1], tmp_path / "cache")
    assert again.counts["computed"] == 0 and again.counts["reused"] == 10
    np.testing.assert_array_equal(again.pooled[:], first.pooled[:][::-1])


def test_identical_contents_are_made_once(energy: str, utterances: pd.DataFrame, tmp_path: Path) -> None:
    twice = pd.concat([utterances, utterances.set_axis([f"again{i}" for i in range(10)])])
    features = get(energy, twice, tmp_path / "cache")
    assert features.counts["computed"] == 10 and features.counts["reused"] == 10
    np.testing.assert_array_equal(features.pooled[:10], features.pooled[10:])


def test_segments_channels_and_files_are_told_apart(energy: str, tmp_path: Path) -> None:
    stereo = np.stack([noise(2, 1), noise(2, 2)], 1)
    base = speak(tmp_path, [stereo])
    rows = pd.concat([base] * 5).set_axis([f"p{i}" for i in range(5)])
    rows["start"], rows["end"] = [np.nan, 0.5, 0.5, 0.5, 1.0], [np.nan, 1.0, 1.0, 1.0, 1.5]
    rows["channel"] = [np.nan, np.nan, 0, 1, 1]
    early, late = stereo[8000:16000], stereo[16000:24000]
    parts = [stereo.mean(1), early.mean(1), early[:, 0], early[:, 1], late[:, 1]]
    features = get(energy, rows, tmp_path / "cache")
    np.testing.assert_allclose(features.pooled[:], expected(parts), rtol=1e-4, atol=1e-7)


def test_long_audio_runs_in_windows_and_pools_as_if_it_had_not(tmp_path: Path) -> None:
    long = noise(7.3) + np.linspace(0, 2, round(7.3 * 16000), dtype=np.float32)
    utterances = speak(tmp_path, [long, noise(0.5)])
    name = plugin(tmp_path, ENERGY.replace("    min_samples", "    max_seconds = 1\n    min_samples"))
    features = get(name, utterances, tmp_path / "cache", ("pooled", "frames:all"))
    assert features.counts["windowed"] == 1
    np.testing.assert_allclose(features.pooled[:], expected([long, noise(0.5)]), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(features.frames[0], truth(long).transpose(1, 0, 2), rtol=1e-3, atol=1e-5)
    assert get(name, utterances, tmp_path / "cache").counts["windowed"] == 1  # known the second time too


@pytest.mark.parametrize("seconds", [30.0001, 31.0, 59.99, 60.1, 1200.0, 7201.3])
def test_windows_cover_the_audio_and_none_is_short(tmp_path: Path, energy: str, seconds: float) -> None:
    upstream = upstreams.load(energy)
    samples = np.zeros(round(seconds * 16000), dtype=np.int8)
    lengths = [len(window) for window in windows(samples, upstream.audio)]
    assert sum(lengths) == len(samples)
    assert len(lengths) == int(np.ceil(len(samples) / 480000)) > 1
    assert max(lengths) <= 480000 + 160 and max(lengths) - min(lengths) <= 2 * 160
    assert all(length % 160 == 0 for length in lengths[:-1])


def test_twenty_milliseconds_are_padded_and_counted(tmp_path: Path) -> None:
    utterances = speak(tmp_path, [noise(0.02), noise(0.001), noise(0.5)])
    for name in upstreams.names()[:4]:
        features = get(name, utterances, tmp_path / "cache")
        assert features.counts["padded"] == 2, name
        assert np.isfinite(features.pooled[:]).all()


def test_batches_hold_equal_lengths_alone(energy: str) -> None:
    lengths = [160, 160, 160, 320, 160] + [480] * 70
    pieces = [chunk_jobs.Piece(owner, np.zeros(n, np.float32)) for owner, n in enumerate(lengths)]
    limits = chunk_jobs.limits_of(upstreams.load(energy).audio, "cuda")
    batches = list(chunk_jobs.batches(pieces, limits, ragged=False))
    assert [piece for batch in batches for piece in batch] == pieces
    assert [len(batch) for batch in batches] == [3, 1, 1, 32, 32, 6]


NO_MEMORY = [
    torch.OutOfMemoryError("Allocation failed"),
    RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
]


class Scarce:
    """What ENERGY gives, on a GPU that holds `most` waveforms at a time: more raise `error`."""

    sample_rate, hop, depth, width, min_samples = 16000, 160, 2, 3, 160

    def __init__(self, most: int, error: Exception) -> None:
        self.most, self.error = most, error
        self.sizes: list[int] = []

    def __call__(self, waveforms: list[torch.Tensor]) -> list[torch.Tensor]:
        self.sizes.append(len(waveforms))
        if len(waveforms) > self.most:
            raise self.error
        return [torch.from_numpy(truth(wave.numpy())) for wave in waveforms]


@pytest.mark.parametrize("error", NO_MEMORY)
def test_out_of_memory_halves_the_batch_and_says_so_when_it_cannot(error: Exception) -> None:
    batch = [chunk_jobs.Piece(i, torch.full((160,), float(i))) for i in range(7)]
    model = Scarce(2, error)
    outputs = chunk_jobs.forward(batch, Frozen(model, "scarce"), lambda _, output: output.clone())
    assert [int(output[0, 0, 2]) for output in outputs] == list(range(7)) and max(model.sizes) == 7
    with pytest.raises(UpstreamError, match="GPU's memory"):
        chunk_jobs.forward(batch, Frozen(Scarce(0, error), "scarce"), lambda _, output: output)


class ScarceInPooling(Scarce):
    """The same, but what runs out is the memory for a copy of the features."""

    def __init__(self, most: int, error: Exception) -> None:
        super().__init__(1000, error)
        sizes = self.sizes

        class Features(torch.Tensor):
            @classmethod
            def __torch_function__(cls, function, types, arguments=(), options=None):
                if function in (torch.Tensor.float, torch.Tensor.transpose) and sizes[-1] > most:
                    raise error
                return super().__torch_function__(function, types, arguments, options or {})

        self.kind = Features

    def __call__(self, waveforms: list[torch.Tensor]) -> list[torch.Tensor]:
        return [output.as_subclass(self.kind) for output in super().__call__(waveforms)]


@pytest.mark.parametrize("need", ["pooled", "frames:last"])
@pytest.mark.parametrize("error", NO_MEMORY)
def test_memory_that_runs_out_in_pooling_halves_the_batch_too(
    energy: str, tmp_path: Path, need: str, error: Exception
) -> None:
    utterances = speak(tmp_path, [noise(0.2, seed) for seed in range(7)])
    limits, model = chunk_jobs.Limits(7, float("inf")), ScarceInPooling(2, error)

    def made(model: Scarce, cache: Path) -> list[np.ndarray]:
        features = extract_in_batches(energy, utterances, need, cache, limits, Frozen(model, "energy"))
        return [features.pooled[row] if need == "pooled" else features.frames[row] for row in range(7)]

    np.testing.assert_array_equal(made(model, tmp_path / "scarce"), made(Scarce(7, error), tmp_path / "plenty"))
    assert model.sizes == [7, 3, 1, 2, 4, 2, 2]


def test_features_that_are_not_finite_name_the_file_and_are_never_stored(tmp_path: Path) -> None:
    utterances = speak(tmp_path, [noise(0.2), 0 * noise(0.2), noise(0.3)])
    divide = "frames = frames / frames.abs().sum()"
    name = plugin(tmp_path, ENERGY.replace("        values =", f"        {divide}\n        values ="))
    for need in ("pooled", "frames:last"):
        with pytest.raises(UpstreamError, match=r"not finite.*1\.wav"):
            get(name, utterances, tmp_path / "cache", (need,))
    assert not list((tmp_path / "cache").rglob("*.safetensors"))
    huge = plugin(tmp_path, ENERGY.replace("10 * values", "1e9 + values"))
    assert np.isfinite(get(huge, utterances, tmp_path / "cache").pooled[:]).all()
    with pytest.raises(UpstreamError, match="too large for float16"):
        get(huge, utterances, tmp_path / "cache", ("frames:last",))


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_bad_file_stops_with_its_name_and_loses_nothing_done(
    energy: str, utterances: pd.DataFrame, tmp_path: Path, jobs: int
) -> None:
    bad = Path(utterances["path"].iloc[4])
    good = bad.read_bytes()
    bad.write_bytes(good[:100])
    for _ in range(20):  # jobs come in any order: until all but the bad file's chunk are there
        with pytest.raises(UpstreamError, match=r"4\.wav"):
            get(energy, utterances, tmp_path / "cache", jobs=jobs)
        if len(list((tmp_path / "cache").rglob("*.safetensors"))) == 3:
            break
    bad.write_bytes(good)
    features = get(energy, utterances, tmp_path / "cache", jobs=jobs)
    assert 1 <= features.counts["computed"] <= 3
    np.testing.assert_allclose(features.pooled[:], expected(waves(utterances)), rtol=1e-5, atol=1e-7)


def test_a_model_that_raises_names_the_file_it_was_on(tmp_path: Path) -> None:
    utterances = speak(tmp_path, [noise(0.2), 0 * noise(0.2), noise(0.3)])
    name = plugin(tmp_path, before_frames("if not waveforms[0].any(): raise ValueError('silence')"))
    with pytest.raises(UpstreamError, match=r"ValueError: silence .*energy\.py, line 9.*1\.wav"):
        get(name, utterances, tmp_path / "cache")


def test_progress_runs_from_nothing_to_all_that_had_to_be_made(
    energy: str, utterances: pd.DataFrame, tmp_path: Path
) -> None:
    seen: list[tuple[float, float]] = []
    get(energy, utterances.iloc[:4], tmp_path / "cache")
    get(energy, utterances, tmp_path / "cache", progress=lambda done, total: seen.append((done, total)))
    total = utterances["duration"].iloc[4:].sum()
    assert seen[0] == (0.0, pytest.approx(total)) and seen[-1] == (pytest.approx(total), pytest.approx(total))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    seen.clear()
    get(energy, utterances, tmp_path / "cache", progress=lambda done, total: seen.append((done, total)))
    assert seen == []


def test_requests_that_make_no_sense_are_refused(energy: str, utterances: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(UpstreamError, match="there are no features 'frames'; expected"):
        get(energy, utterances, tmp_path, ("frames",))
    with pytest.raises(UpstreamError, match="no features are asked for"):
        get(energy, utterances, tmp_path, ())
    with pytest.raises(Refused, match="device 'gpu' is unknown"):
        extract(energy, utterances, {"pooled"}, tmp_path, device="gpu")
    if not torch.cuda.is_available():
        with pytest.raises(EmorepError, match="no GPU"):
            extract("random:wav2vec2_base", utterances, {"pooled"}, tmp_path, device="cuda")


def test_bf16_is_kept_apart_from_fp32(tmp_path: Path, utterances: pd.DataFrame) -> None:
    name = plugin(tmp_path, with_init("def to(self, device): pass"))
    assert get(name, utterances, tmp_path / "cache").counts["computed"] == 10
    assert get(name, utterances, tmp_path / "cache", precision="bf16").counts["computed"] == 10


@pytest.mark.parametrize(
    "rows",
    [3, -1, slice(None), slice(2, 9, 3), [4, 1, 1, 9], np.array([], dtype=int), np.arange(10) % 2 == 0],
    ids=["int", "negative", "all", "stepped", "list", "empty", "mask"],
)
def test_pooled_features_are_indexed_like_numpy(energy: str, utterances: pd.DataFrame, tmp_path: Path, rows) -> None:
    pooled = get(energy, utterances, tmp_path / "cache").pooled
    whole = np.asarray(pooled)
    assert whole.shape == pooled.shape and len(pooled) == 10
    for rest in ((), (0,), (1, 1), (slice(None), 0), (0, -1), (slice(None), slice(1)), (1, 0, slice(0, 2)), (0, 0, 2)):
        index = (rows, *rest)
        np.testing.assert_array_equal(pooled[index], whole[index])
    with pytest.raises(IndexError):
        pooled[rows, 2]
    with pytest.raises(IndexError):
        pooled[rows, [0, 1]]


def test_features_say_at_which_precision_and_where(tmp_path: Path, utterances: pd.DataFrame, energy: str) -> None:
    fixed = get(energy, utterances, tmp_path / "cache", precision="bf16")
    assert (fixed.precision, fixed.device) == ("fp32", "cpu")
    movable = plugin(tmp_path, with_init("def to(self, device): pass"))
    for _ in range(2):  # made now, and from the store
        features = get(movable, utterances, tmp_path / "cache", precision="bf16")
        assert (features.precision, features.device) == ("bf16", "cpu")
    assert extract("fbank", utterances, {"pooled"}, tmp_path / "cache", device="cuda", jobs=1).device == "cpu"


NETWORK = """
import torch

class Energy(torch.nn.Module):
    sample_rate, hop, depth, width, seen = 16000, 160, 1, 3, {}

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = torch.nn.Linear(160, 3)
        self.second = self.first  # the same weights, counted once

    def forward(self, waveforms):
        return [self.second(w[: len(w) // 160 * 160].reshape(1, -1, 160)) for w in waveforms]
"""


@pytest.mark.parametrize("jobs", [1, 2])
def test_parameters_are_counted_where_something_is_made(utterances: pd.DataFrame, tmp_path: Path, jobs: int) -> None:
    network = plugin(tmp_path, NETWORK)
    assert get(network, utterances, tmp_path / "cache", jobs=jobs).parameters == 160 * 3 + 3
    assert get(network, utterances, tmp_path / "cache", jobs=jobs).parameters is None, "nothing had to be made"


def test_what_has_no_network_has_no_parameters(energy: str, utterances: pd.DataFrame, tmp_path: Path) -> None:
    assert get(energy, utterances, tmp_path / "cache").parameters is None
