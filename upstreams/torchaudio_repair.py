"""Makes torchaudio (2.9 and later) importable where its compiled part does not load.

Every torchaudio wheel of the registry is linked to CUDA and fails beside a CPU-only torch; transformers then fails
with it. Nothing here needs the compiled part, and torchaudio runs without it if told that there is none.
"""

import sys
from types import ModuleType
from typing import Any


def repair() -> None:
    """Import torchaudio, with its compiled part stubbed out only if it does not load. Cheap when called again."""
    if "torchaudio" in sys.modules:
        return
    try:
        import torchaudio  # noqa: F401
    except (OSError, ImportError):
        for name in [name for name in sys.modules if name.split(".")[0] == "torchaudio"]:
            del sys.modules[name]
        sys.modules["torchaudio._extension"] = _stub()


def _stub() -> ModuleType:
    stub: Any = ModuleType("torchaudio._extension")
    stub._IS_TORCHAUDIO_EXT_AVAILABLE = stub._IS_ALIGN_AVAILABLE = False
    stub._check_cuda_version = lambda: None
    stub.fail_if_no_align = lambda function: function
    return stub
