"""Checkpoints of s3prl's pre-training: pickles, loaded without trust, and the settings in them."""

from __future__ import annotations

import pickle
import re
import zipfile
from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from upstreams.errors import REFUSED_PICKLE, UpstreamError
from upstreams.pretraining.checkpoints import ANEW

if TYPE_CHECKING:
    from torch import Tensor

KALDI = {"frame_length": 25.0, "frame_shift": 10.0, "use_log_fbank": True, "dither": 0.0}
Value = TypeVar("Value", int, float, bool)
OLD = {"gamma": "weight", "beta": "bias"}  # what early checkpoints call those of layer norms
STARTS = (b"PK\x03\x04", b"\x80")  # of torch.save, today's and that of versions before 1.6


def is_pickle(path: Path) -> bool:
    """Whether the file begins as torch.save writes them. Raises UpstreamError where it cannot be read."""
    try:
        with open(path, "rb") as file:
            start = file.read(9)
    except OSError as error:
        raise UpstreamError(f"{path} cannot be read ({error.strerror or error}); expected a checkpoint") from error
    return start[8:9] != b"{" and start.startswith(STARTS)


def load(path: Path) -> dict[str, object]:
    """The content of a file. Of all classes, argparse.Namespace alone is allowed in it: it held settings.

    Raises UpstreamError: damaged, no dict, or more than weights and settings in it.
    """
    import torch

    try:
        with torch.serialization.safe_globals([Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UpstreamError(f"{path} {REFUSED_PICKLE}") from error
    except (RuntimeError, EOFError, ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        reason = str(error).partition("\n")[0]
        raise UpstreamError(f"{path} is damaged, or no PyTorch checkpoint ({reason}); {ANEW}") from error
    if not isinstance(content, dict):
        raise UpstreamError(f"{path}: holds a {type(content).__name__}; expected a dict of weights and settings")
    return content


def renamed(weights: Mapping[str, Tensor], names: Sequence[tuple[str, str]], path: Path) -> dict[str, Tensor]:
    """Weights in float32 under our names; `names`: (pattern of theirs, ours), the first that fits.

    Raises UpstreamError for a weight that none fits.
    """
    own = {}
    for theirs, tensor in weights.items():
        name = next((re.sub(f"^{old}", new, theirs) for old, new in names if re.match(old, theirs)), None)
        if name is None:
            raise UpstreamError(f"{path}: holds the weight {theirs}, which this network has not; is it of another one?")
        stem, _, last = name.rpartition(".")
        own[f"{stem}.{OLD.get(last, last)}"] = tensor.float()
    return own


def section(settings: Mapping[str, object], key: str, path: Path) -> Mapping[str, object]:
    """A part of the settings. Raises UpstreamError where there is none."""
    part = settings.get(key)
    if not isinstance(part, Mapping):
        raise UpstreamError(f"{path}: its settings have no section {key}; is it of another version of s3prl?")
    return part


def setting(settings: Mapping[str, object], key: str, kind: type[Value], path: Path) -> Value:
    """One of the settings, of this type. Raises UpstreamError where it is not there or of another type."""
    value = settings.get(key)
    if isinstance(value, int | float | str) and isinstance(value, bool) == (kind is bool):
        with suppress(ValueError):
            return kind(value)
    raise UpstreamError(f"{path}: its setting {key} is {value!r}; expected a value of type {kind.__name__}")


def refuse(settings: Mapping[str, object], only: Mapping[str, object], path: Path) -> None:
    """Raises UpstreamError where a setting is there and is not the only one that can be had."""
    for key, value in only.items():
        if settings.get(key, value) != value:
            raise UpstreamError(f"{path}: its setting {key} is {settings[key]!r}; only {value!r} can be computed here")


def kaldi_bins(fbank: Mapping[str, object], path: Path) -> int:
    """Number of energies. Raises UpstreamError where Kaldi's other settings are not the usual ones."""
    refuse(fbank, KALDI, path)
    if strange := sorted(set(fbank) - {*KALDI, "num_mel_bins"}):
        raise UpstreamError(f"{path}: its fbank has the settings {', '.join(strange)}, which cannot be computed here")
    return setting(fbank, "num_mel_bins", int, path)
