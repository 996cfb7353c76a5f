"""Whole runs: the same on two processes as on one, after a kill, and when something goes wrong."""

from __future__ import annotations

import json
import random
import resource
import signal
import time
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType

import pytest
import torch

import upstreams
from commons.errors import Notice
from tests.upstreams.mockingjay import small as mockingjay
from tests.upstreams.npc import small as npc
from tests.upstreams.pretraining.training import (
    STILL,
    TINY,
    finish,
    free_port,
    packed,
    run,
    same,
    speech,
    start,
    tiny,
    weights,
)
from upstreams import UpstreamError
from upstreams.emotion2vec import checkpoint
from upstreams.emotion2vec.learner import SelfDistillation, initial
from upstreams.pretraining import record
from upstreams.pretraining.checkpoints import average, release
from upstreams.pretraining.launch import launch
from upstreams.pretraining.method import released
from upstreams.pretraining.processes import Processes
from upstreams.pretraining.runfolder import STATE, RunFolder
from upstreams.pretraining.train import adamw, train

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return speech(tmp_path_factory.mktemp("pretraining") / "speech")


LONG = ("log_every=1", "optimiser.steps=50")


@pytest.fixture(scope="module")
def straight(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict], dict[str, torch.Tensor]]:
    """The log and the last weights of a run that nothing stops."""
    folder = tmp_path_factory.mktemp("straight") / "run"
    return run(tiny(*LONG), data, folder), weights(folder, 50)


def wait_for(log: Path, lines: int) -> None:
    """Until a run in another process has logged so many steps."""
    until = time.monotonic() + 300
    while not (log.exists() and len(log.read_text().splitlines()) >= lines) and time.monotonic() < until:
        time.sleep(0.01)


def test_two_processes_equal_one(data: Path, tmp_path: Path) -> None:
    changes = [*STILL, "masking.noise=0.01"]
    finish(start(data, tmp_path / "two", *changes, processes=2))
    run(tiny(*changes), data, tmp_path / "one")
    begun, one, two = initial(tiny(*changes)).state_dict(), weights(tmp_path / "one", 20), weights(tmp_path / "two", 20)
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-4
    assert max(float((one[name] - begun[name]).abs().max()) for name in one) > 1e-2  # it did learn


def together(
    data: Path, *runs: Path, changes: tuple[tuple[str, ...], ...] = ((), ()), settings: dict[str, object] = TINY
) -> list[tuple[int, str]]:
    """Two processes of one run, as on two machines: each with a folder and settings of its own; status, errors."""
    meeting = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    started = [
        start(data, run, *own, settings=settings, variables={**meeting, "RANK": str(rank), "LOCAL_RANK": "0"})
        for rank, (run, own) in enumerate(zip(runs, changes, strict=True))
    ]
    return [(process.wait(timeout=600), process.communicate()[1]) for process in started]


# Few steps of NPC: gradients that are added up in another order differ by rounding, which grows (2e-5 after ten steps,
# 5e-2 after twenty), and decides now and then which code is drawn.
FIVE = ("model.codes=0", "optimiser.steps=5", "save_every=5", "log_every=1")
TWO = ("optimiser.steps=2", "save_every=1", "log_every=1")


@pytest.mark.parametrize("method, changes", [(mockingjay, ()), (npc, FIVE), (npc, TWO)])
def test_so_do_those_of_other_methods(method: ModuleType, changes: tuple[str, ...], data: Path, tmp_path: Path) -> None:
    """With batch norms, codes and dropout: what is drawn follows from the micro-batch, in whichever process."""
    said = together(data, tmp_path / "a", tmp_path / "b", changes=(changes, changes), settings=method.TINY)
    assert [status for status, _ in said] == [0, 0], said
    recipe = method.tiny(*changes)
    log, last = run(recipe, data, tmp_path / "one"), recipe.optimiser.steps
    assert log[-1]["loss"] < log[0]["loss"]
    one, two = weights(tmp_path / "one", last), weights(tmp_path / "a", last)
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-4


def test_processes_that_are_not_at_one_place_of_one_run_refuse(data: Path, tmp_path: Path) -> None:
    run(tiny(), data, tmp_path / "here", stop_at=7)
    for status, said in together(data, tmp_path / "here", tmp_path / "there", changes=((), ("loss.alpha=2",))):
        assert status == 1 and "processes 0 and 1" in said and "Traceback" not in said, said
        assert "step: 7 and 0" in said and "recipe: " in said and "speech: " not in said


def test_a_log_without_a_state_begins_anew_and_a_torn_line_is_dropped(data: Path, tmp_path: Path) -> None:
    log = tmp_path / "run" / "log.jsonl"
    run(tiny("log_every=1", "optimiser.steps=4"), data, tmp_path / "run", stop_at=3)
    (tmp_path / "run" / STATE).unlink()
    assert [line["step"] for line in run(tiny("log_every=1", "optimiser.steps=4"), data, tmp_path / "run", 2)] == [1, 2]
    for torn in ('{"step": 3, "lo', '{"step": 3, "lo\n', '{"step": 2, "loss": 1.0}'):
        log.write_text(log.read_text() + torn)
        assert [line["step"] for line in run(tiny("log_every=1", "optimiser.steps=4"), data, tmp_path / "run", 3)][
            :2
        ] == [1, 2]
    assert [line["step"] for line in run(tiny("log_every=1", "optimiser.steps=4"), data, tmp_path / "run")] == [
        1, 2, 3, 4,
    ]  # fmt: skip


def test_rate_clip_and_precision_may_change_on_the_way_and_the_log_tells(data: Path, tmp_path: Path) -> None:
    run(tiny(), data, tmp_path / "run", stop_at=5)
    slower = ("optimiser.rate=1e-3", "optimiser.clip=0.5", "precision=bf16")
    lines = run(tiny(*slower), data, tmp_path / "run")
    assert lines[1] == {
        "step": 5,
        "changed": {"optimiser.rate": [3e-3, 1e-3], "optimiser.clip": [None, 0.5], "precision": ["fp32", "bf16"]},
    }
    assert lines[2]["step"] == 10 and lines[2]["rate"] < 1e-3
    assert checkpoint.read(tmp_path / "run" / "step-00000020.safetensors").facts["recipe"]["precision"] == "bf16"
    with pytest.raises(UpstreamError, match=r"another run \(optimiser\.rate differ\)"):  # it is done: nothing goes on
        run(tiny(*slower, "optimiser.rate=2e-3"), data, tmp_path / "run")


def test_a_run_that_is_killed_goes_on_bit_for_bit(data: Path, tmp_path: Path, straight) -> None:
    killed = start(data, tmp_path / "killed", *LONG)
    wait_for(tmp_path / "killed" / "log.jsonl", 12)
    killed.kill()
    killed.communicate()
    assert not (tmp_path / "killed" / "step-00000050.safetensors").exists()
    lines = run(tiny(*LONG), data, tmp_path / "killed")
    assert [line["step"] for line in lines] == list(range(1, 51))
    assert [line["loss"] for line in lines] == [line["loss"] for line in straight[0]]
    assert same(weights(tmp_path / "killed", 50), straight[1])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_saves_and_the_same_command_goes_on(
    data: Path, tmp_path: Path, straight, number: signal.Signals
) -> None:
    handled = (
        f"import signal; signal.signal({int(number)}, signal.default_int_handler)"  # as where a terminal started it
    )
    stopped = start(data, tmp_path / "run", *LONG, before=handled)
    wait_for(tmp_path / "run" / "log.jsonl", 7)
    stopped.send_signal(number)
    out, err = stopped.communicate(timeout=300)
    state = torch.load(tmp_path / "run" / STATE, weights_only=True)
    step = state["position"]["step"]
    assert stopped.returncode == 128 + number and f"step {step} of 50" in out and 7 <= step < 50, err
    assert same(weights(tmp_path / "run", step), state["student"])  # what is done can be used at once
    run(tiny(*LONG), data, tmp_path / "run")
    assert same(weights(tmp_path / "run", 50), straight[1])


def test_the_log_tells_what_a_run_needs_to_be_judged_by(data: Path, tmp_path: Path) -> None:
    lines = run(tiny("optimiser.steps=40"), data, tmp_path / "run")
    assert [line["step"] for line in lines] == list(range(5, 41, 5))
    for key in ("frame_loss", "utterance_loss", "target_var", "prediction_var", "utterance_target_var", "rate",
                "ema_decay", "gradient_norm", "frames_per_second", "share_of_peak", "memory_mb"):  # fmt: skip
        assert all(line[key] > 0 for line in lines[:-1]), key
    assert lines[-1]["loss"] < 0.85 * lines[0]["loss"]


def test_nan_is_reported_with_its_place_and_the_last_state_kept(data: Path, tmp_path: Path) -> None:
    run(tiny(), data, tmp_path / "run", stop_at=3)
    state = tmp_path / "run" / STATE
    whole, position = state.read_bytes(), torch.load(state, weights_only=True)["position"]
    content = torch.load(state, weights_only=True)
    content["student"]["modality_encoders.AUDIO.project_features.2.bias"][0] = float("nan")
    torch.save(content, state)
    poisoned = state.read_bytes()
    said = r"NaN or infinity at step 4 \(epoch 1, batch 1\) in micro-batch 0.*\.wav.*--set init=.*step-00000003"
    with pytest.raises(UpstreamError, match=said):
        run(tiny(), data, tmp_path / "run")
    assert state.read_bytes() == poisoned != whole and position["step"] == 3


def test_nan_before_anything_was_saved_says_that_there_is_nothing_to_go_on_from(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UpstreamError, match=r"NaN or infinity at step \d .*; no state was saved yet; begin again with"):
        run(tiny("optimiser.rate=1e30"), data, tmp_path / "run")


def test_a_second_process_does_not_write_into_the_folder_of_one_that_trains(data: Path, tmp_path: Path) -> None:
    first = start(data, tmp_path / "run", *LONG)
    wait_for(tmp_path / "run" / "log.jsonl", 1)
    try:
        with pytest.raises(UpstreamError, match=r"another process trains in .*run; wait for it, or name "):
            run(tiny(*LONG), data, tmp_path / "run")
    finally:
        first.kill()
        first.communicate(timeout=600)
    assert run(tiny(*LONG), data, tmp_path / "run")[-1]["step"] == 50, "a claim ends with its process"


def test_collapse_is_reported_and_the_last_state_kept(data: Path, tmp_path: Path) -> None:
    for key in ("target", "prediction"):
        changes = (f"collapse.{key}=50", "collapse.after=10", "save_every=5")
        with pytest.raises(UpstreamError, match=rf"collapsed at step 15 .*{key}s differ.*state at step 10 is kept"):
            run(tiny(*changes), data, tmp_path / key)


def test_a_full_disk_loses_nothing(data: Path, tmp_path: Path) -> None:
    run(tiny("save_every=5"), data, tmp_path / "run", stop_at=5)
    before = (tmp_path / "run" / STATE).read_bytes()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limit[1]))
    try:
        with pytest.raises(UpstreamError, match=r"cannot be written .*the run goes on from its last whole state"):
            run(tiny("save_every=5"), data, tmp_path / "run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert (tmp_path / "run" / STATE).read_bytes() == before
    assert not list((tmp_path / "run").glob(".*"))
    run(tiny("save_every=5"), data, tmp_path / "run")
    run(tiny("save_every=5"), data, tmp_path / "straight")
    assert same(weights(tmp_path / "run", 20), weights(tmp_path / "straight", 20))


def test_another_recipe_or_other_audio_does_not_go_on_in_a_folder(data: Path, tmp_path: Path) -> None:
    run(tiny("optimiser.steps=2"), data, tmp_path / "run")
    with pytest.raises(UpstreamError, match=r"holds another run \(loss\.alpha, seed differ\)"):
        run(tiny("optimiser.steps=2", "seed=7", "loss.alpha=2"), data, tmp_path / "run")
    run(tiny("optimiser.steps=2", "log_every=1"), data, tmp_path / "run")
    with pytest.raises(UpstreamError, match=r"holds another run \(audio differ\)"):
        run(tiny("optimiser.steps=2"), speech(tmp_path / "other", 5), tmp_path / "run")
    (tmp_path / "run" / STATE).write_bytes(b"rubbish")
    with pytest.raises(UpstreamError, match="cannot be read as a training state"):
        run(tiny("optimiser.steps=2"), data, tmp_path / "run")


def test_a_run_of_an_earlier_version_goes_on(data: Path, tmp_path: Path) -> None:
    """Its folder holds the same recipe, and its state the same parts."""
    run(tiny(), data, tmp_path / "run", stop_at=1)
    pack = packed(data).pack
    before = json.loads((Path(__file__).parent / "recipe_of_before.json").read_text())
    (tmp_path / "run" / record.FILE).write_text(json.dumps({**before, "audio": pack.key}))
    assert RunFolder(tmp_path / "run").claim(tiny(), pack) == {}
    state = torch.load(tmp_path / "run" / STATE, weights_only=True)
    assert set(state) == {"position", "student", "teacher", "heads", "optimiser"}
    assert state["position"] == {"step": 1, "epoch": 0, "index": 1}


def test_a_runs_checkpoints_are_upstreams_and_their_average_is_one(data: Path, tmp_path: Path) -> None:
    run(tiny(), data, tmp_path / "run")
    names = upstreams.expand(f"emotion2vec@{tmp_path / 'run'}/*")
    assert [name.rpartition("-")[2] for name in names] == ["00000010.safetensors", "00000020.safetensors"]
    path = average(tmp_path / "run", 2)
    mean, (ten, twenty) = checkpoint.read(path).weights, (weights(tmp_path / "run", step) for step in (10, 20))
    assert all(torch.allclose(mean[name], (ten[name] + twenty[name]) / 2, atol=1e-7) for name in mean)
    prints = {upstreams.load(name).fingerprint() for name in (*names, f"emotion2vec@{path}")}
    assert len(prints) == 3
    layers = upstreams.load(f"emotion2vec@{path}")([torch.randn(16000)])[0]
    assert layers.shape == (4, 47, 32) and layers.isfinite().all()
    with pytest.raises(UpstreamError, match="holds 2 checkpoints"):
        average(tmp_path / "run", 3)


def test_what_is_released_is_the_checkpoint_in_lean(data: Path, tmp_path: Path) -> None:
    run(tiny(), data, tmp_path / "run")
    path, half = average(tmp_path / "run", 2), tmp_path / "released.safetensors"
    release(path, half, released)
    whole, lean = checkpoint.read(path), checkpoint.read(half)
    assert set(whole.weights) - set(lean.weights) == {name for name in whole.weights if ".decoder." in name} != set()
    assert all(torch.equal(lean.weights[name], whole.weights[name].half().float()) for name in lean.weights)
    assert lean.facts == {**whole.facts, "released_from": path.name}
    assert half.stat().st_size < 0.55 * path.stat().st_size
    wave = torch.randn(16000)
    ours, theirs = (upstreams.load(f"emotion2vec@{file}")([wave])[0] for file in (path, half))
    assert (ours - theirs).abs().max() < 0.01 * ours.abs().max()


def test_the_student_is_published_and_the_teacher_beside_it_under_its_own_name(data: Path, tmp_path: Path) -> None:
    run(tiny(), data, tmp_path / "run")
    state, student = torch.load(tmp_path / "run" / STATE, weights_only=True), weights(tmp_path / "run", 20)
    assert same(student, state["student"]) and not same(student, state["teacher"])
    teacher = tmp_path / "run" / "step-00000020.teacher.safetensors"
    assert same(checkpoint.read(teacher).weights, state["teacher"])
    assert upstreams.load(f"emotion2vec@{teacher}").fingerprint()
    assert not any("teacher" in name for name in upstreams.expand(f"emotion2vec@{tmp_path / 'run'}/*"))


def test_a_teacher_that_cannot_keep_up_is_warned_of(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for decay, warned in (("0.9", False), ("0.999", True)):
        launch(tiny("optimiser.steps=40", f"teacher.end_decay={decay}", f"teacher.decay={decay}"), [data],
               tmp_path / decay, data.parent / "cache", "cpu")  # fmt: skip
        assert ("96 % of the teacher's weights" in capsys.readouterr().err) == warned
    slow = ("teacher.end_decay=0.999", "teacher.decay=0.999", "loss.side_targets=[log_mel]")
    assert tiny(*slow).warnings() and not tiny(*slow, "loss.frame=0", "loss.alpha=0").warnings()


def test_a_run_begins_with_the_weights_it_is_given(data: Path, tmp_path: Path) -> None:
    run(tiny("optimiser.steps=2", "checkpoints=1"), data, tmp_path / "first")
    file = tmp_path / "first" / "step-00000002.safetensors"
    given, begun = weights(tmp_path / "first", 2), initial(tiny(f"init={file}", "model.tokens=5")).state_dict()
    assert begun.keys() == given.keys()
    assert [name for name in given if not torch.equal(given[name], begun[name])] == [
        "modality_encoders.AUDIO.extra_tokens"
    ]
    with pytest.raises(UpstreamError, match=r"does not fit .*blocks\.2\."):
        initial(tiny(f"init={file}", "model.depth=3"))
    with pytest.raises(UpstreamError, match="cannot be read"):
        initial(tiny(f"init={tmp_path / 'none.pt'}"))


def test_biases_gains_and_alibi_scale_do_not_decay(data: Path) -> None:
    learner = SelfDistillation(tiny(), packed(data), CPU)
    student = learner.student
    names = {p: name for name, p in student.named_parameters()}
    decayed, spared = ([names[p] for p in group["params"]] for group in adamw(learner, tiny()).param_groups)
    assert len(decayed) + len(spared) == len(names)
    assert all(name.endswith("weight") or name.endswith("extra_tokens") for name in decayed)
    assert all(name.endswith((".bias", "alibi_scale")) or student.get_parameter(name).ndim == 1 for name in spared)
    assert any(name.endswith("alibi_scale") for name in spared)


def test_bf16_keeps_weights_average_and_losses_in_float32(data: Path, tmp_path: Path) -> None:
    wide = run(tiny("optimiser.steps=5", "precision=fp32"), data, tmp_path / "fp32")
    half = run(tiny("optimiser.steps=5", "precision=bf16"), data, tmp_path / "bf16")
    state = torch.load(tmp_path / "bf16" / STATE, weights_only=True)
    assert {tensor.dtype for part in ("student", "teacher") for tensor in state[part].values()} == {torch.float32}
    assert half[0]["loss"] == pytest.approx(wide[0]["loss"], rel=0.02)


@pytest.mark.parametrize("said", [None, {}, {"nemo": "audio"}])
def test_weights_say_what_they_have_seen(data: Path, tmp_path: Path, said: dict[str, str] | None) -> None:
    recipe = tiny("optimiser.steps=1")
    train(recipe, packed(data), tmp_path / "run", CPU, Processes(), lambda step, line: False, seen=said)
    assert upstreams.load(f"emotion2vec@{tmp_path / 'run'}").seen == ("unknown" if said is None else said)


def test_what_a_finished_run_has_seen_is_not_told_anew(data: Path, tmp_path: Path, recwarn) -> None:
    """Its checkpoint keeps what was said first; who says something else hears that."""
    recipe, run = tiny("optimiser.steps=1"), tmp_path / "run"
    for said in {"nemo": "audio"}, {"nemo": "audio"}, None:
        launch(recipe, [data], run, tmp_path / "cache", "cpu", seen=said)
    assert not [warning for warning in recwarn if issubclass(warning.category, Notice)]
    for other in {}, {"nemo": "audio", "emodb": "audio"}:
        with pytest.warns(Notice, match=r"step-00000001\.safetensors was written before .*: nemo\. With another"):
            launch(recipe, [data], run, tmp_path / "cache", "cpu", seen=other)
    assert upstreams.load(f"emotion2vec@{run}").seen == {"nemo": "audio"}


def test_what_a_run_has_seen_is_warned_about_where_it_goes_on_with_something_else(data: Path, tmp_path: Path) -> None:
    recipe, speech, stop = tiny("optimiser.steps=4"), packed(data), lambda step, line: step == 2
    for seen in (None, {"nemo": "audio"}):
        said = pytest.warns(Notice, match=r"step-00000002\.safetensors was written before .*: not known\.")
        with said if seen else nullcontext():
            train(recipe, speech, tmp_path / "run", CPU, Processes(), stop, seen)


def test_a_flipped_bit_of_the_state_is_noticed(data: Path, tmp_path: Path) -> None:
    run(tiny(), data, tmp_path / "run", stop_at=3)
    state = tmp_path / "run" / STATE
    whole, position = state.read_bytes(), torch.load(state, weights_only=True)["position"]
    folder, draw, noticed = RunFolder(tmp_path / "run"), random.Random(0), 0
    for _ in range(40):
        content = bytearray(whole)
        content[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        state.write_bytes(content)
        kept = Kept()
        try:
            assert vars(folder.resume({"student": kept})) == position
        except UpstreamError as error:
            noticed += "begins anew" in str(error) and "weights_only" not in str(error)
            continue
        state.write_bytes(whole)
        untouched = Kept()
        folder.resume({"student": untouched})
        assert same(kept.content, untouched.content)  # it hit what pads the file
    assert noticed > 20


class Kept:
    """Keeps what it is loaded from."""

    def state_dict(self) -> dict[str, object]:
        return {}

    def load_state_dict(self, content: dict) -> None:
        self.content = content
