"""What an upstream's code does to the process stays its own, and what goes wrong in it is said to be its fault."""

import os
import signal
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import upstreams
from tests.processes import Forked
from tests.upstreams.sounds import ENERGY, TINY, before_frames, extract, noise, plugin, speak, with_init
from upstreams import UpstreamError

GREEDY = """
import os, signal, torch, numpy as np
def spoil():
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("medium")
    torch.backends.mkldnn.enabled = False
    torch.backends.cudnn.benchmark = True
    if hasattr(torch.backends, "fp32_precision"):
        torch.backends.fp32_precision = "tf32"
    np.seterr(all="raise")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.chdir("/")
"""
RUN = """
import sys
from pathlib import Path
import pandas as pd
from commons import commands
from tests.upstreams.sounds import extract

def work():
    name, utterances, cache, jobs = sys.argv[1:]
    features = extract(name, pd.read_pickle(utterances), {"pooled"}, Path(cache), jobs=int(jobs), chunk=4)
    print(features.counts["computed"])
    return 0
commands.run(work, lambda said: print(said, file=sys.stderr), words="kept")
"""
COUNT = 16


@pytest.fixture
def utterances(tmp_path: Path) -> pd.DataFrame:
    made = speak(tmp_path, [noise(0.1 + 0.01 * (i % 3), i) for i in range(COUNT)])
    made.to_pickle(tmp_path / "utterances.pkl")
    return made


def state() -> tuple[object, ...]:
    return (
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.is_grad_enabled(),
        torch.get_num_threads(),
        torch.get_float32_matmul_precision(),
        torch.backends.mkldnn.enabled,
        np.geterr(),
        signal.getsignal(signal.SIGTERM),
        os.getcwd(),
    )


@pytest.mark.parametrize(
    "source",
    [
        ENERGY.replace("import torch", f"{GREEDY}\nspoil()\ntorch.set_default_device(None)"),
        GREEDY + with_init("def __init__(self): spoil(); torch.set_default_device(None)"),
        GREEDY + before_frames("spoil(); torch.set_default_device(None)"),
        GREEDY + ENERGY.replace("    min_samples", "    def fingerprint(self): spoil(); return 'x'\n\n    min_samples"),
        GREEDY + before_frames("spoil(); raise ValueError"),
    ],
    ids=["at import", "built", "called", "fingerprint", "raises"],
)
def test_what_a_plugin_sets_does_not_reach_the_next_upstream(
    tmp_path: Path, utterances: pd.DataFrame, source: str
) -> None:
    (tmp_path / "tiny").mkdir()
    names = ["fbank", "mfcc", plugin(tmp_path / "tiny", TINY, "tiny")]
    before = {name: extract(name, utterances, {"pooled"}, tmp_path / "before").pooled[:] for name in names}
    stood = state()
    try:
        extract(plugin(tmp_path, source), utterances, {"pooled"}, tmp_path / "after")
    except UpstreamError as error:
        assert "failed: ValueError" in str(error) or "gives features on meta" in str(error)
    assert state() == stood
    for name in names:
        np.testing.assert_array_equal(
            extract(name, utterances, {"pooled"}, tmp_path / "after").pooled[:], before[name], err_msg=name
        )


def test_a_plugin_keeps_the_defaults_it_set_itself(tmp_path: Path, utterances: pd.DataFrame) -> None:
    check = "assert torch.get_default_dtype() == torch.float64, 'lost'"
    source = before_frames(check).replace("import torch", "import torch\ntorch.set_default_dtype(torch.float64)")
    assert extract(plugin(tmp_path, source), utterances, {"pooled"}, tmp_path / "cache").counts["computed"] == COUNT


@pytest.fixture
def no_ctrl_c() -> Iterator[None]:
    """Ctrl-C is ignored, so that a KeyboardInterrupt cannot be the user's."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


RAISING = [
    ("input()", r"Energy failed: EOFError: .*energy\.py, line \d+"),
    ("__import__('sys').stdin.read(1) or 1 / 0", "ZeroDivisionError"),
    ("raise KeyboardInterrupt", "Energy failed: KeyboardInterrupt"),
    ("raise type('Own', (BaseException,), {})('mine')", "Energy failed: Own: mine"),
    ("raise SystemExit(0)", "Energy failed: SystemExit: 0"),
    ("raise GeneratorExit", "Energy failed: GeneratorExit"),
]
# What a worker process answers to otherwise than this one: its standard input, signals, the end of the process.
IN_WORKERS = [RAISING[0], RAISING[2], RAISING[4]]


@pytest.mark.usefixtures("no_ctrl_c")
@pytest.mark.parametrize(
    ("line", "said", "jobs"), [*((*one, 1) for one in RAISING), *((*one, 2) for one in IN_WORKERS)]
)
def test_what_a_plugin_raises_is_its_fault(
    tmp_path: Path,
    utterances: pd.DataFrame,
    line: str,
    said: str,
    jobs: int,
) -> None:
    with pytest.raises(UpstreamError, match=said):
        extract(plugin(tmp_path, before_frames(line)), utterances, {"pooled"}, tmp_path / "cache", jobs=jobs, chunk=4)


@pytest.mark.usefixtures("no_ctrl_c")
@pytest.mark.parametrize(
    "fact", ["depth", "sample_rate", "seen", "title", "max_seconds", "label", "ragged", "fingerprint", "to"]
)
@pytest.mark.parametrize("error", ["RuntimeError('no')", "KeyboardInterrupt", "SystemExit(3)"])
def test_facts_that_raise_are_the_plugins_fault(tmp_path: Path, fact: str, error: str) -> None:
    source = ENERGY + f"    @property\n    def {fact}(self): raise {error}\n"
    with pytest.raises(UpstreamError, match=r"Energy: .* of it failed: \w+.*energy\.py, line \d+"):
        upstreams.identify(upstreams.resolve(plugin(tmp_path, source)))


LEFT = {
    "thread": "import threading, time; getattr(torch, 'left', 0) or threading.Thread(target=time.sleep, args=(3600,), "
    "name='mine').start(); torch.left = 1",
    "fork": "import os, time; pid = os.fork(); pid or time.sleep(3600)",
    "child": "import os; os.fork()",
}


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("left", LEFT)
def test_threads_and_copies_that_a_plugin_leaves_neither_hang_nor_double_the_run(
    tmp_path: Path, utterances: pd.DataFrame, left: str, jobs: int
) -> None:
    name = plugin(tmp_path, before_frames(LEFT[left]))
    process = Forked(RUN, name, tmp_path / "utterances.pkl", tmp_path / "cache", jobs)
    out, errors = process.communicate(timeout=600)  # what is left would run for an hour
    assert process.returncode == 0 and out == f"{COUNT}\n", errors
    if left != "child":  # one that ended at once left nothing
        assert "energy.py:Energy leaves" in errors


def runs(process: str) -> bool:
    """Whether a process of this id still runs; one that ended may wait for its new parent to notice."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def await_calls(process: Forked, begun: Path, count: int) -> None:
    """Until so many processes are in a plug-in's call, each of which writes its id to a file."""
    while not begun.exists() or len(begun.read_text().split()) < count:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_command_and_workers_with_one_line(
    tmp_path: Path, utterances: pd.DataFrame, number: signal.Signals, jobs: int
) -> None:
    begun = tmp_path / "begun"
    line = f"import time, os; open({str(begun)!r}, 'a').write(str(os.getpid()) + ' '); time.sleep(3600)"
    process = Forked(
        f"import signal; signal.signal({int(number)}, signal.SIG_DFL)\n{RUN}",
        plugin(tmp_path, before_frames(line)),
        tmp_path / "utterances.pkl",
        tmp_path / "cache",
        jobs,
    )
    await_calls(process, begun, jobs)
    process.send_signal(number)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 128 + number
    assert errors == f"stopped by {number.name}; kept\n"
    for worker in begun.read_text().split():
        assert not Path(f"/proc/{worker}").exists()


@pytest.mark.parametrize("jobs", [1, 2])
def test_opensmile_is_stopped_with_one_line(tmp_path: Path, jobs: int) -> None:
    """Its own code calls back into Python, where a signal would be lost and its features would be NaN."""
    pytest.importorskip("opensmile")
    speak(tmp_path, [noise(3, seed) for seed in range(32)]).to_pickle(tmp_path / "utterances.pkl")
    heeding = f"import signal; signal.signal({int(signal.SIGINT)}, signal.SIG_DFL)\n{RUN}"
    process = Forked(heeding, "opensmile", tmp_path / "utterances.pkl", tmp_path / "cache", jobs)
    while not list((tmp_path / "cache").rglob("*.safetensors")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=600)
    assert (process.returncode, errors) == (128 + signal.SIGINT, "stopped by SIGINT; kept\n")


def test_a_worker_that_is_asked_to_end_in_a_callback_ends_with_one_line(
    tmp_path: Path, utterances: pd.DataFrame
) -> None:
    """Python swallows what is raised in a weak reference's callback."""
    lines = (
        "import os, signal, time, weakref",
        "thing = type('Thing', (), {})()",
        "kept = weakref.ref(thing, lambda _: (os.kill(os.getpid(), signal.SIGTERM), time.sleep(0.1)))",
        "del thing",
        "time.sleep(3600)",
    )
    name = plugin(tmp_path, before_frames("; ".join(lines)))
    process = Forked(RUN, name, tmp_path / "utterances.pkl", tmp_path / "cache", 2)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 1 and "a worker process ended with status 1" in errors
    assert len(errors.splitlines()) == 1


def test_a_worker_whose_parent_was_killed_ends_in_the_middle_of_a_call(
    tmp_path: Path, utterances: pd.DataFrame
) -> None:
    begun = tmp_path / "begun"
    line = f"import time, os; open({str(begun)!r}, 'a').write(str(os.getpid()) + ' '); time.sleep(3600)"
    process = Forked(RUN, plugin(tmp_path, before_frames(line)), tmp_path / "utterances.pkl", tmp_path / "cache", 2)
    await_calls(process, begun, 2)
    process.kill()
    process.communicate(timeout=600)  # the workers hold its error output until they end, and a call lasts an hour
    assert process.returncode == -signal.SIGKILL
    workers = begun.read_text().split()
    assert len(workers) == 2 and not any(map(runs, workers))


def test_pools_of_threads_are_no_fault(tmp_path: Path, utterances: pd.DataFrame) -> None:
    source = with_init("def __init__(self): from concurrent.futures import ThreadPoolExecutor as P; self.pool = P(1)")
    source = source.replace("        frames =", "        self.pool.submit(int).result()\n        frames =")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        features = extract(plugin(tmp_path, source), utterances, {"pooled"}, tmp_path / "cache")
    assert features.counts["computed"] == len(utterances)


def test_torchs_advice_to_trust_a_file_is_not_passed_on(tmp_path: Path) -> None:
    torch.save({"a": Path("b")}, tmp_path / "weights.pt")
    source = with_init("def __init__(self, file): self.net = torch.load(file)")
    with pytest.raises(UpstreamError, match=r"torch refuses the file.*energy\.py, line") as raised:
        upstreams.identify(upstreams.resolve(f"{plugin(tmp_path, source)}@{tmp_path / 'weights.pt'}"))
    assert "weights_only" not in str(raised.value) and "\n" not in str(raised.value)
