"""Makes torchaudio 2.9 and later importable, and s3prl with it. Three repairs, each made only where it is needed:

1. A wheel linked to CUDA does not load beside a CPU-only torch. Nothing here needs its compiled part, and torchaudio
   runs without it if told that there is none.
2. transformers imports torchaudio wherever it is installed, and fails with it: so the first comes before transformers.
3. s3prl calls `torchaudio.set_audio_backend` and imports `torchaudio.sox_effects`, which 2.9 took away. The first never
   did anything for an upstream, the second is needed for none but effects on a waveform: stand-ins suffice.
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

EXTENSION = "torchaudio._extension"


def repair() -> None:
    """The first two: from now on torchaudio imports without its compiled part where that does not load.

    Idempotent; imports nothing itself.
    """
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def repair_for_s3prl() -> None:
    """All three. Raises ImportError where torchaudio is not installed."""
    repair()
    torchaudio: Any = importlib.import_module("torchaudio")
    if not hasattr(torchaudio, "set_audio_backend"):
        torchaudio.set_audio_backend = lambda backend: None
    try:
        importlib.import_module("torchaudio.sox_effects")
    except ImportError:
        torchaudio.sox_effects = sys.modules["torchaudio.sox_effects"] = _no_effects()


class _Finder(MetaPathFinder):
    """Finds torchaudio's compiled part, for a loader that forgives it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path) if fullname == EXTENSION else None
        if spec and spec.origin:
            spec.loader = _Forgiving(fullname, spec.origin)
        return spec


class _Forgiving(SourceFileLoader):
    """Leaves a stub that says there is no compiled part, where running the module fails."""

    def exec_module(self, module: ModuleType) -> None:
        stub: Any = module
        try:
            super().exec_module(module)
        except (OSError, ImportError):
            stub._IS_TORCHAUDIO_EXT_AVAILABLE = stub._IS_ALIGN_AVAILABLE = False
            stub._check_cuda_version = lambda: None
            stub.fail_if_no_align = lambda function: function


def _no_effects() -> ModuleType:
    def gone(*_: object, **__: object) -> None:
        raise NotImplementedError("torchaudio 2.9 and later have no sox effects; install torchaudio<2.9 for them")

    stub: Any = ModuleType("torchaudio.sox_effects")
    stub.apply_effects_tensor = stub.apply_effects_file = gone
    return stub
