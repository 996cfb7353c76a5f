"""The pretrain command: what it takes from the environment, and what it says of nonsense there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from commons.errors import Refused
from tests.upstreams.pretraining.training import TINY, speech
from upstreams import UpstreamError
from upstreams.__main__ import main
from upstreams.pretraining import ablation, launch
from upstreams.pretraining.processes import World, of_environment

TORCHRUN = {"WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}


def test_a_world_is_what_torchrun_says() -> None:
    assert of_environment(TORCHRUN) == World(size=4, rank=3, local_rank=1)


@pytest.mark.parametrize("environment", [{}, {"WORLD_SIZE": "1"}, {"WORLD_SIZE": "", "LOCAL_RANK": ""}, {"RANK": "x"}])
def test_without_torchrun_there_is_one_process(environment: dict[str, str]) -> None:
    assert of_environment(environment) == World()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        *(({"WORLD_SIZE": junk}, "WORLD_SIZE is .*; expected a whole number of at least 1")
          for junk in ("two", "0", "-1", "1.5", "1e3", " ", "9" * 9999)),
        ({"LOCAL_RANK": "first"}, "LOCAL_RANK is 'first'; expected a whole number of at least 0"),
        ({"RANK": "x"}, "RANK is 'x'"),
        ({"RANK": "4"}, "RANK is 4; expected less than WORLD_SIZE, 4"),
        ({"RANK": "", "MASTER_PORT": ""}, "WORLD_SIZE is 4, but there is no RANK, MASTER_PORT; start several"),
    ],
)  # fmt: skip
def test_a_world_that_cannot_be_is_refused_by_name(changes: dict[str, str], said: str) -> None:
    with pytest.raises(Refused, match=said):
        of_environment(TORCHRUN | changes)


@pytest.mark.parametrize("name", ["WORLD_SIZE", "LOCAL_RANK"])
def test_the_command_says_so_in_one_line_and_reads_no_speech(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, "nonsense")
    assert main(["pretrain", "small", "--data", str(tmp_path / "none")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {name} is 'nonsense'")


def test_a_run_that_cannot_be_written_is_refused_before_speech_is_decoded(tmp_path: Path, capsys) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("gone")
    for name, said in (("file", "file is a file; a folder is expected"), ("link", "is a link to gone, which is not")):
        data, run = str(tmp_path / "no_speech"), str(tmp_path / name)
        assert main(["pretrain", "small", "--data", data, "--run", run, "--device", "cpu"]) == 1
        assert said in capsys.readouterr().err


def test_cache_and_runs_lie_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOREP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("EMOREP_RUNS", str(tmp_path / "runs"))
    config = tmp_path / "mine.yaml"
    config.write_text(yaml.safe_dump({**TINY, "optimiser": {"steps": 1}, "checkpoints": 1}))
    command = ["pretrain", str(config), "--data", str(speech(tmp_path / "speech", 6)), "--device", "cpu", "--jobs", "1"]
    assert main(command) == 0
    assert list((tmp_path / "runs" / "mine").glob("step-00000001.safetensors"))
    assert list((tmp_path / "cache" / "packs").glob("*.pcm"))
    assert main([*command, "--cache", str(tmp_path / "other"), "--run", str(tmp_path / "own")]) == 0
    assert list((tmp_path / "other" / "packs").glob("*.pcm")) and (tmp_path / "own" / "recipe.json").exists()


def test_each_process_takes_the_gpu_of_its_local_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    world = of_environment(TORCHRUN)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert {launch.device_of(asked, world) for asked in ("auto", "cuda")} == {torch.device("cuda:1")}
    assert launch.device_of("cpu", world) == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert launch.device_of("auto", world) == torch.device("cpu")


def test_average_of_a_path_that_is_no_run_is_a_wrong_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["average", str(tmp_path / "none")]) == 2
    assert "unknown folder of a run" in capsys.readouterr().err
    assert main(["average", str(tmp_path / "file")]) == 2
    assert "is a file; expected the folder of a run" in capsys.readouterr().err
    assert main(["average", str(tmp_path)]) == 1
    assert "holds no checkpoint of a run" in capsys.readouterr().err


@pytest.mark.parametrize("jobs", ["0", "-1", "1e9", "junk"])
def test_jobs_are_a_whole_number(jobs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["pretrain", "small", "--data", str(tmp_path), f"--jobs={jobs}"])
    assert ended.value.code == 2 and "--jobs: expected a whole number" in capsys.readouterr().err


@pytest.mark.parametrize(
    "title", ["name: ../../x", "variants: {../../x: [], y: [loss.alpha=0.1]}", "name: ..", "name: a/b"]
)
def test_an_ablation_does_not_leave_the_folder_of_runs(title: str, tmp_path: Path) -> None:
    lines = ["title: mine", "config: small", title]
    lines += [] if "variants" in title else ["variants: {x: [], y: [loss.alpha=0.1]}"]
    (tmp_path / "mine.yaml").write_text("\n".join(lines))
    with pytest.raises(UpstreamError, match="is no name of a folder"):
        ablation.load(str(tmp_path / "mine.yaml"))
