"""Makes torchaudio 2.9 and later importable, and s3prl with it. Three repairs, each made only where it is needed:

1. A wheel that is linked to CUDA does not load beside a CPU-only torch. Nothing here needs its compiled part, and
   torchaudio runs without that part if a stub says that there is none.
2. transformers imports torchaudio where it is installed, and fails if that fails: the first repair must come before.
3. s3prl calls `torchaudio.set_audio_backend` and imports `torchaudio.sox_effects`, which 2.9 removed. No upstream needs
   the first, and the second only serves effects on waveforms: stubs are enough.
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType

EXTENSION = "torchaudio._extension"


def repair() -> None:
    """The first two: from now on torchaudio is imported without its compiled part if that does not load.

    It imports nothing itself; further calls do nothing.
    """
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def repair_for_s3prl() -> None:
    """All three. Raises ImportError where torchaudio is not installed."""
    repair()
    torchaudio = importlib.import_module("torchaudio")
    if not hasattr(torchaudio, "set_audio_backend"):
        vars(torchaudio)["set_audio_backend"] = lambda backend: None
    try:
        importlib.import_module("torchaudio.sox_effects")
    except ImportError:
        vars(torchaudio)["sox_effects"] = sys.modules["torchaudio.sox_effects"] = _no_effects()


class _Finder(MetaPathFinder):
    """Finds the compiled part of torchaudio, for a loader that ignores its failure."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path) if fullname == EXTENSION else None
        if spec and spec.origin:
            spec.loader = _Forgiving(fullname, spec.origin)
        return spec


class _Forgiving(SourceFileLoader):
    """Loads the module, or a stub that says that there is no compiled part."""

    def exec_module(self, module: ModuleType) -> None:
        try:
            super().exec_module(module)
        except (OSError, ImportError):
            vars(module).update(
                _IS_TORCHAUDIO_EXT_AVAILABLE=False,
                _IS_ALIGN_AVAILABLE=False,
                _check_cuda_version=lambda: None,
                fail_if_no_align=lambda function: function,
            )


def _no_effects() -> ModuleType:
    def gone(*_: object, **__: object) -> None:
        raise NotImplementedError("torchaudio 2.9 and later have no sox effects; install torchaudio<2.9 for them")

    stub = ModuleType("torchaudio.sox_effects")
    vars(stub).update(apply_effects_tensor=gone, apply_effects_file=gone)
    return stub
