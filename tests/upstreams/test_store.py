"""The store: no flipped byte, killed process, full disk or second process makes a feature wrong."""

import fcntl
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

import upstreams
from commons import files
from commons.corridors.features import Features
from tests.processes import Forked
from tests.upstreams.sounds import (
    ENERGY,
    SLOW,
    before_frames,
    extract,
    noise,
    plugin,
    speak,
    table,
    with_init,
    write,
)
from upstreams import UpstreamError
from upstreams.extraction import chunk_jobs, store, workers
from upstreams.inputs.audio import Segment, segments

COUNT = 24

EXTRACT = """
import signal
import sys
from pathlib import Path
import pandas as pd
import upstreams
from tests.upstreams.sounds import extract

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # where tests run in the background, it is ignored
    name, utterances, cache, jobs = sys.argv[1:5]
    try:
        exec(sys.argv[5] if len(sys.argv) > 5 else "")
        features = extract(name, pd.read_pickle(utterances), {"pooled"}, Path(cache), jobs=int(jobs), chunk=4)
    except upstreams.UpstreamError as error:
        sys.exit(f"error: {error}")
    print(features.counts["computed"], float(features.pooled[:, 0, 0, 0].sum()))
"""


@pytest.fixture
def utterances(tmp_path: Path) -> pd.DataFrame:
    made = speak(tmp_path, [noise(0.1 + 0.01 * i, i) for i in range(COUNT)])
    made.to_pickle(tmp_path / "utterances.pkl")
    return made


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def get(name: str, utterances: pd.DataFrame, cache: Path, jobs: int = 1) -> Features:
    """Features from chunks of four utterances."""
    return extract(name, utterances, {"pooled"}, cache, jobs=jobs, chunk=4)


def chunks(cache: Path) -> list[Path]:
    return sorted(cache.rglob("*.safetensors"))


def all_whole(cache: Path) -> bool:
    for path in chunks(cache):
        store.Chunk.open(path).verify()
    return True


@pytest.mark.parametrize("place", [0, 7, 8, 40, 0.5, -1])
def test_a_flipped_byte_is_found_and_made_again(
    tmp_path: Path, utterances: pd.DataFrame, cache: Path, place: float
) -> None:
    name = plugin(tmp_path, ENERGY)
    before = get(name, utterances, cache).pooled[:]
    victim = chunks(cache)[2]
    content = bytearray(victim.read_bytes())
    content[int(place * len(content)) if isinstance(place, float) else place] ^= 1
    victim.write_bytes(content)
    with pytest.warns(UserWarning, match=f"damaged file of features, .*{victim.name}"):
        again = get(name, utterances, cache)
    assert again.counts["computed"] == 4
    np.testing.assert_array_equal(again.pooled[:], before)
    assert all_whole(cache)


@pytest.mark.parametrize("size", [0, 5, 100, 1000])
def test_a_truncated_chunk_is_found_and_made_again(
    tmp_path: Path, utterances: pd.DataFrame, cache: Path, size: int
) -> None:
    name = plugin(tmp_path, ENERGY)
    before = get(name, utterances, cache).pooled[:]
    os.truncate(chunks(cache)[0], size)
    with pytest.warns(UserWarning, match="damaged"):
        np.testing.assert_array_equal(get(name, utterances, cache).pooled[:], before)


def test_damage_after_extraction_is_no_figure(tmp_path: Path, utterances: pd.DataFrame, cache: Path) -> None:
    features = get(plugin(tmp_path, ENERGY), utterances, cache)
    content = bytearray(chunks(cache)[0].read_bytes())
    content[-1] ^= 1
    chunks(cache)[0].write_bytes(content)
    with pytest.raises(UpstreamError, match="removed or damaged while in use"):
        features.pooled[:]


def test_a_changed_byte_of_audio_or_weights_is_a_miss(tmp_path: Path, utterances: pd.DataFrame, cache: Path) -> None:
    source = with_init("def __init__(self, file): self.scale = torch.load(file, weights_only=True)")
    source = source.replace("10 * values", "self.scale * values")
    weights = tmp_path / "weights.pt"
    torch.save(torch.tensor(10.0), weights)
    name = f"{plugin(tmp_path, source)}@{weights}"
    assert get(name, utterances, cache).counts["computed"] == COUNT
    path = Path(utterances["path"].iloc[3])
    samples, rate = soundfile.read(path, dtype="float32")
    samples[5] = np.nextafter(samples[5], np.float32(1))
    write(path, samples, rate)
    utterances = table([Path(path) for path in utterances["path"]])
    assert get(name, utterances, cache).counts["computed"] == 1
    torch.save(torch.tensor(10.000001), weights)
    assert get(name, utterances, cache).counts["computed"] == COUNT
    plugin(tmp_path, source + "\n# a remark\n")
    assert get(name, utterances, cache).counts["computed"] == COUNT


@pytest.mark.parametrize("jobs", [1, 2])
def test_kill_9_at_any_moment_loses_a_chunk_a_worker_at_most(
    tmp_path: Path, utterances: pd.DataFrame, cache: Path, jobs: int
) -> None:
    name = plugin(tmp_path, SLOW)
    kept = 0
    for delay in (0.0, 0.07) if jobs == 1 else (0.05,):
        process = Forked(EXTRACT, name, tmp_path / "utterances.pkl", cache, jobs)
        while len(chunks(cache)) <= kept and process.poll() is None:
            time.sleep(0.005)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.communicate()  # workers hold its error output until they end
        assert len(chunks(cache)) > kept and all_whole(cache)
        kept = len(chunks(cache))
    done = {row.key for path in chunks(cache) for row in store.Chunk.open(path).rows}
    features = get(name, utterances, cache)
    assert features.counts["computed"] <= COUNT - len(done)
    np.testing.assert_array_equal(features.pooled[:], get(name, utterances, tmp_path / "fresh").pooled[:])


def test_two_processes_share_a_store_and_the_work(tmp_path: Path, utterances: pd.DataFrame, cache: Path) -> None:
    name = plugin(tmp_path, SLOW.replace("0.02", "0.1"))
    both = [Forked(EXTRACT, name, tmp_path / "utterances.pkl", cache, 1) for _ in range(2)]
    answers = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], answers
    (first, one), (second, other) = (answer.split() for answer, _ in answers)
    assert one == other and all_whole(cache)
    assert COUNT <= int(first) + int(second) < 1.9 * COUNT
    assert get(name, utterances, cache).counts["computed"] == 0


def test_a_worker_that_dies_is_reported_and_what_was_done_is_kept(
    tmp_path: Path, utterances: pd.DataFrame, cache: Path
) -> None:
    die = "import os; len(waveforms[0]) == 2400 and not os.path.exists(FLAG) and os.kill(os.getpid(), 9)"
    name = plugin(tmp_path, f"FLAG = {str(tmp_path / 'mended')!r}\n{before_frames(die)}")
    with pytest.raises(UpstreamError, match=r"killed by SIGKILL.*fewer --jobs.*run again; it worked on .*wav"):
        get(name, utterances, cache, jobs=2)
    kept = len(chunks(cache))
    (tmp_path / "mended").touch()
    features = get(name, utterances, cache, jobs=2)
    assert features.counts["computed"] == COUNT - 4 * kept and all_whole(cache)


def test_a_worker_told_to_end_ends_in_the_middle_of_a_call(
    tmp_path: Path, utterances: pd.DataFrame, cache: Path
) -> None:
    begun = tmp_path / "begun"
    name = plugin(tmp_path, before_frames(f"import time; open({str(begun)!r}, 'w').close(); time.sleep(30)"))
    identity = upstreams.identify(upstreams.resolve(name))
    kept = store.Kept(identity.named.name, identity.fingerprint, "fp32", "pooled", identity.depth, identity.width)
    worker = workers.Worker(workers.Setup(identity.named, kept.fingerprint, kept.precision, str(cache), "audio"))
    with ThreadPoolExecutor(1) as pool:
        report = pool.submit(worker, chunk_jobs.Job(tuple(segments(utterances)), (kept,)))
        while not begun.exists():
            time.sleep(0.01)
        worker.stop()
        with pytest.raises(UpstreamError, match="ended with status 1"):  # by itself: it was not killed
            report.result()


def test_weights_that_differ_in_every_worker_are_refused(tmp_path: Path, utterances: pd.DataFrame, cache: Path) -> None:
    unseeded = plugin(tmp_path, with_init("def __init__(self): self.net = torch.nn.Linear(2, 2)"))
    with pytest.raises(UpstreamError, match="another model each time it is built"):
        get(unseeded, utterances, cache, jobs=2)
    assert not chunks(cache)


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_leaves_whole_chunks_and_no_other_file(
    tmp_path: Path, utterances: pd.DataFrame, cache: Path, jobs: int
) -> None:
    process = Forked(EXTRACT, plugin(tmp_path, SLOW), tmp_path / "utterances.pkl", cache, jobs)
    while not chunks(cache) and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode not in (0, None)
    assert all_whole(cache) and not list(cache.rglob(f".*{files.SUFFIX}"))


def test_a_full_disk_names_the_folder_and_leaves_no_half_file(
    tmp_path: Path, utterances: pd.DataFrame, cache: Path
) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))"
    name = plugin(tmp_path, ENERGY)
    process = Forked(EXTRACT, name, tmp_path / "utterances.pkl", cache, 1, limit)
    _, errors = process.communicate()
    assert process.returncode == 1
    assert errors.startswith(f"error: cannot write features to {cache}/features/") and "--cache" in errors
    assert not chunks(cache) and not list(cache.rglob(f".*{files.SUFFIX}"))
    assert get(name, utterances, cache).counts["computed"] == COUNT


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that an unprivileged user reaches, which a test's own temporary folder is not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_a_read_only_cache_is_read_and_is_not_written(open_folder: Path) -> None:
    utterances = speak(open_folder, [noise(0.1, i) for i in range(6)])
    name, cache = plugin(open_folder, ENERGY), open_folder / "cache"
    get(name, utterances.iloc[:3], cache)
    for path in [cache, *cache.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    superuser = os.geteuid() == 0
    if superuser:
        os.seteuid(65534)
    try:
        assert get(name, utterances.iloc[:3], cache).counts["reused"] == 3
        with pytest.raises(UpstreamError, match=f"cannot write features to {cache}.*Permission denied.*--cache"):
            get(name, utterances, cache)
    finally:
        if superuser:
            os.seteuid(0)
        for path in [cache, *(path for path in cache.rglob("*") if path.is_dir())]:
            path.chmod(0o755)


def test_a_cache_that_is_a_file_is_named(tmp_path: Path, utterances: pd.DataFrame) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UpstreamError, match=f"{tmp_path}/file.*--cache"):
        get(plugin(tmp_path, ENERGY), utterances, tmp_path / "file")


def test_temporary_files_of_killed_writers_alone_are_swept(
    tmp_path: Path, utterances: pd.DataFrame, cache: Path
) -> None:
    name = plugin(tmp_path, ENERGY)
    get(name, utterances.iloc[:4], cache)
    folder = chunks(cache)[0].parent
    killed, living = folder / f".killed{files.SUFFIX}", folder / f".living{files.SUFFIX}"
    killed.touch(), living.touch()
    with open(living, "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        for path in (killed, living):
            os.utime(path, (time.time() - 60,) * 2)
        get(name, utterances, cache)
        assert living.exists() and not killed.exists()


def test_folders_and_keys_are_those_of_earlier_versions() -> None:
    """Else every stored feature would be made again."""
    kept = store.Kept("fbank", 64 * "f", "fp32", "frames:last", 1, 80)
    assert str(kept.folder(Path("cache"))) == "cache/features/fbank-afece330a96ddb3f"
    part = Segment("a.wav", 64 * "a", start=0.5, end=None, channel=1, seconds=2.0)
    whole = Segment("b.wav", 64 * "b", start=None, end=None, channel=None, seconds=2.0)
    assert kept.key(part) == "f4a961e0d185668d185895e6d9694842"
    assert kept.key(whole) == "00f6d04705954ecf36c4d085748d0494"


def test_the_same_weights_under_another_path_are_extracted_once(tmp_path: Path, utterances: pd.DataFrame) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    first = plugin(tmp_path / "a", ENERGY)
    second = plugin(tmp_path / "b", ENERGY)
    assert first != second
    made = [extract(name, utterances[:4], {"pooled"}, tmp_path / "cache") for name in (first, second)]
    assert [own.counts["computed"] for own in made] == [4, 0] and np.array_equal(made[0].pooled, made[1].pooled)


def test_names_that_are_no_file_names_have_folders_of_their_own(tmp_path: Path) -> None:
    names = ["random:a", "a/../b.py:C", "..", "ü" * 300, "a" * 400, "random%3Aa"]
    folders = [store.Kept(name, f"{i}", "fp32", "pooled", 1, 1).folder(tmp_path) for i, name in enumerate(names)]
    assert len(set(folders)) == len(names)
    for folder in folders:
        folder.mkdir(parents=True)
        assert folder.resolve().parent == (tmp_path / "features").resolve()


def test_a_store_below_is_read_and_never_written(utterances: pd.DataFrame, cache: Path, tmp_path: Path) -> None:
    """Also where a file of it is damaged: what it held is made again, in the store above."""
    first = get("fbank", utterances[:8], cache)
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}
    above = upstreams.Extraction(tmp_path / "above", "cpu", 1, 4, below=(cache,))
    identity = upstreams.identify(upstreams.resolve("fbank"))
    both = upstreams.extract(identity, utterances[:12], {"pooled"}, above)
    assert (both.counts["computed"], both.counts["reused"]) == (4, 8)
    everything = both.pooled[:]
    assert np.array_equal(everything[:8], first.pooled[:])
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*")} == before
    damaged = chunks(cache)[0]
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    with pytest.warns(UserWarning, match="a cache that is only read"):
        again = upstreams.extract(identity, utterances[:12], {"pooled"}, above)
    assert again.counts["computed"] == 4 and damaged.exists()
    assert np.array_equal(again.pooled[:], everything)
