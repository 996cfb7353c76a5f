"""A folder of fine-tuned weights in the layout of the hub, with a file that says where they come from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from commons import files
from upstreams.errors import UpstreamError
from upstreams.huggingface.tokenizer import FILES as TOKENIZER
from upstreams.huggingface.weights import CONFIGURATION, PREPROCESSOR, WEIGHTS, Weights
from upstreams.pretraining.checkpoints import Facts

if TYPE_CHECKING:
    import torch

ABOUT = "emorep.json"


def write(
    folder: Path,
    weights: Weights,
    configuration: dict[str, object],
    module: torch.nn.Module,
    unused: tuple[str, ...],
    facts: Facts,
) -> None:
    """Write the library's module with its configuration, and what prepares its inputs, as `weights` has it.

    Raises:
        UpstreamError: it cannot be written.
    """
    from safetensors.torch import save

    state = {name: own.detach().contiguous() for name, own in module.state_dict().items() if name not in unused}
    try:
        files.write(folder / CONFIGURATION, json.dumps(configuration, indent=1) + "\n")
        if weights.preprocessor:
            files.write(folder / PREPROCESSOR, json.dumps(weights.preprocessor, indent=1) + "\n")
        if source := weights.tokenizer:
            for name in TOKENIZER:
                if (source / name).is_file():
                    shutil.copyfile(source / name, folder / name)
        files.write(folder / ABOUT, json.dumps(facts, indent=1) + "\n")
        files.write(folder / WEIGHTS[0], save(state, {"format": "pt"}))
    except OSError as error:
        raise UpstreamError(f"{folder}: weights cannot be written ({error.strerror or error}); make room") from error


def facts_of(folder: Path) -> Facts:
    """Where the weights of a folder come from, if it was written here; else nothing is known.

    Raises:
        UpstreamError: the file is damaged.
    """
    path = folder / ABOUT
    if not path.is_file():
        return Facts()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Facts(tuned_from=str(content["tuned_from"]), licence=str(content["licence"]), seen=dict(content["seen"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UpstreamError(f"{path}: cannot be read ({error}); copy the folder again") from error
