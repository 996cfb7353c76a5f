"""Jobs by Ray: two simulated machines, of which one is lost. One cluster serves the module: it needs long to start."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cells import runs
from commons.errors import Refused
from tests.cells.distributed import assert_same, run

pytest.importorskip("ray", reason="needs Ray: pip install emorep[ray]")


@pytest.fixture(scope="module")
def cluster() -> Iterator[object]:
    import ray
    from ray.cluster_utils import Cluster

    # Ray gives its processes a low priority, with which they would wait long on a busy machine.
    eager = {"include_dashboard": False, "_system_config": {"worker_niceness": 0}}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **eager})
    yield made
    ray.shutdown()
    made.shutdown()


def settings(folder: Path, *lines: str) -> list[str]:
    (folder / "ray.yaml").write_text("\n".join(["minutes: 0.006", *lines]))
    return ["--engine", "ray", "--engine-config", str(folder / "ray.yaml")]


def test_ray_gives_what_this_machine_gives_though_a_machine_is_lost(cluster, tmp_path: Path, capsys) -> None:
    assert run(tmp_path / "local", tmp_path / "cache") == 0
    other, results = cluster.add_node(num_cpus=1), tmp_path / "results"

    def lose() -> None:
        """Remove the second machine while jobs run."""
        while not any(one.running() for one in runs.known(results / "limited")):
            time.sleep(0.05)
        cluster.remove_node(other)

    losing = threading.Thread(target=lose)
    losing.start()
    address = ["--address", cluster.address]
    assert run(results, tmp_path / "another cache", *settings(tmp_path, "cpus: 1"), *address) == 0
    losing.join()
    assert_same(results, tmp_path / "local")
    assert run(tmp_path / "none", tmp_path / "cache", *settings(tmp_path, "cpus: 64"), *address) == 1
    assert "no machine of the Ray cluster has what one job asks for (64 CPU" in capsys.readouterr().err
    much = settings(tmp_path, "cpus: 1", "memory: 100000")
    assert run(tmp_path / "none", tmp_path / "cache", *much, *address) == 1
    assert "asks for (1 CPU, 1e+05 GB of memory; the largest have" in capsys.readouterr().err


def test_settings_of_ray_are_checked(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"--engine ray has no setting 'partition'; known: .*gpus"):
        from cells import engine_settings

        settings(tmp_path, "partition: gpu")
        engine_settings.chosen("ray", tmp_path / "ray.yaml", None)
