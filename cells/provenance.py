"""The environment in which figures were made, a part of every record."""

from __future__ import annotations

import platform
import resource
import shutil
import subprocess
import sys
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path

from commons import device, hashing

ROOMS = ("commons", "cells", "tasks", "upstreams", "downstreams", "leaderboard")
SOURCES = (".py", ".yaml", ".json")
PACKAGES = "torch torchaudio transformers s3prl opensmile pyworld numpy scipy soundfile soxr pyroomacoustics"


@cache
def versions() -> dict[str, str]:
    """Versions of Python and of the packages that figures depend on."""
    installed = {"python": platform.python_version()}
    for name in PACKAGES.split():
        with suppress(metadata.PackageNotFoundError):  # an extra that is not installed
            installed[name] = metadata.version(name)
    return installed


@cache
def program() -> dict[str, str]:
    """A hash of this program's source files, and the versions of the packages that figures depend on.

    Processes that do jobs of one plan must agree in them.
    """
    house = Path(__file__).parents[1]
    paths = sorted(path for room in ROOMS for path in (house / room).rglob("*") if path.suffix in SOURCES)
    hashes = [(path.relative_to(house).as_posix(), hashing.of_file(path)) for path in paths]
    packages = {name: version for name, version in versions().items() if name != "python"}
    return {"emorep": hashing.of_json(hashes)} | packages


@cache
def git_commit() -> str | None:
    """The commit of this program, with `+` where files differ from it; None outside a clone."""
    here = Path(__file__).parents[1]
    if not (here / ".git").exists() or not shutil.which("git"):
        return None

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", here, *words], capture_output=True, text=True, check=False).stdout.strip()

    commit = git("rev-parse", "--short=12", "HEAD")
    return f"{commit}{'+' if git('status', '--porcelain', '-uno') else ''}" if commit else None


def peak_gpu_memory() -> float | None:
    """Peak memory of torch on the GPU so far, MB; None where no GPU was used."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    return device.peak_memory("cuda")


def processor(device: str) -> str:
    """The name of this machine's processor, and after `;` that of the GPU where `device` is one."""
    names = [_processor()]
    if device.startswith("cuda"):
        import torch

        with suppress(RuntimeError, AssertionError):  # the upstream ran on another machine, which had a GPU
            names.append(torch.cuda.get_device_name(device))
    return "; ".join(names)


@cache
def _processor() -> str:
    if sys.platform == "darwin":
        asked = subprocess.run(
            ["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=False
        )
        return asked.stdout.strip() or platform.machine()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        names = [
            value.strip() for key, _, value in (line.partition(":") for line in lines) if key.strip() == "model name"
        ]
        if names:
            return names[0]
    return platform.processor() or platform.machine()


def peak_memory() -> float:
    """Peak resident memory so far of the largest of this program's processes, MB."""
    peaks = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return max(peaks) / (1e6 if sys.platform == "darwin" else 1024)
