"""Makes torchaudio 2.9 and later importable, and s3prl with it. Three repairs, each made only where it is needed:

1. A wheel linked to CUDA does not load beside a CPU-only torch. Nothing here needs its compiled part, and torchaudio
   runs without it if told that there is none.
2. transformers imports torchaudio wherever it is installed, and fails with it: so the first comes before transformers.
3. s3prl calls `torchaudio.set_audio_backend` and imports `torchaudio.sox_effects`, which 2.9 took away. The first never
   did anything for an upstream, the second is needed for none but effects on a waveform: stand-ins suffice.
"""

import importlib
import sys
from types import ModuleType
from typing import Any


def repair() -> None:
    """The first two: import torchaudio, its compiled part stubbed out only if it does not load. Cheap a second time."""
    if "torchaudio" in sys.modules:
        return
    try:
        import torchaudio  # noqa: F401
    except (OSError, ImportError):
        for name in [name for name in sys.modules if name.split(".")[0] == "torchaudio"]:
            del sys.modules[name]
        sys.modules["torchaudio._extension"] = _no_extension()


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


def _no_extension() -> ModuleType:
    stub: Any = ModuleType("torchaudio._extension")
    stub._IS_TORCHAUDIO_EXT_AVAILABLE = stub._IS_ALIGN_AVAILABLE = False
    stub._check_cuda_version = lambda: None
    stub.fail_if_no_align = lambda function: function
    return stub


def _no_effects() -> ModuleType:
    def gone(*_: object, **__: object) -> None:
        raise NotImplementedError("torchaudio 2.9 and later have no sox effects; install torchaudio<2.9 for them")

    stub: Any = ModuleType("torchaudio.sox_effects")
    stub.apply_effects_tensor = stub.apply_effects_file = gone
    return stub
