"""Fingerprints: sha256 (hex) over everything that decides the features of an upstream."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeGuard

from commons import hashing

if TYPE_CHECKING:
    import torch

    from upstreams.inputs import Format

CONTRACT = 1  # part of every fingerprint: raise it when windows, padding or checks change what features are
REGISTERED = ("_parameters", "_buffers", "_modules")  # of a torch module: in its state_dict


class Tensor(Protocol):
    """A torch tensor or a numpy array."""

    @property
    def dtype(self) -> object: ...

    @property
    def shape(self) -> tuple[int, ...]: ...


class Stateful(Protocol):
    """A torch module, or what gives its tensors as one does."""

    def state_dict(self) -> Mapping[str, object]: ...


def of_upstream(
    weights: str,
    files: Sequence[Path],
    beside: tuple[Path, list[Path]] | None,
    takes: Format,
    depth: int,
    width: int,
) -> str:
    """The fingerprint of an upstream.

    Args:
        weights: hash of its weights, or the fingerprint that it gives itself.
        files: a user's file and checkpoint.
        beside: the folder of a user's file, and the modules in it that the file imports.
    """
    parts = [weights, *(hashing.of_path(path) for path in files)]
    if beside and beside[1]:
        folder, modules = beside
        parts.append(recipe(files=[(os.path.relpath(file, folder), hashing.of_path(file)) for file in modules]))
    first, second, *others = takes.facts
    facts = (first, second, depth, width, *others)
    return recipe(contract=CONTRACT, parts=parts, facts=facts)


def recipe(**facts: object) -> str:
    """sha256 (hex) of plain facts: the fingerprint of an upstream that its settings and versions decide alone."""
    return hashing.of_json(facts)


def version(package: str) -> str:
    """A package's installed version without its build tag (2.13.0+cpu -> 2.13.0), read without importing it."""
    return metadata.version(package).split("+")[0]


def hash_weights(model: object) -> str:
    """sha256 over the modules, tensors and arrays that an object holds: itself, its attributes, lists and dicts."""
    digest = hashlib.sha256()
    for name, tensor in _weights(model):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()


def _weights(model: object) -> Iterator[tuple[str, Tensor]]:
    if _is_stateful(model):
        yield from _held("", model, set())
    else:
        yield from _held("", dict(getattr(model, "__dict__", {})), set())


def _held(name: str, value: object, above: set[int]) -> Iterator[tuple[str, Tensor]]:
    """Named tensors of a module, a tensor or a container; `above`: ids of the containers around it (no circles)."""
    if id(value) in above:
        return
    above = above | {id(value)}
    if _is_stateful(value):
        yield from ((f"{name}.{key}", v) for key, v in sorted(value.state_dict().items()) if _has_dtype(v))
        if hasattr(value, "named_modules"):  # what lies in plain attributes is in no state_dict
            for path, module in value.named_modules():
                plain = {key: v for key, v in vars(module).items() if key not in REGISTERED}
                yield from _held(f"{name}.{path}", plain, above)
    elif _has_dtype(value) and hasattr(value, "shape"):
        yield name, value
    elif isinstance(value, Mapping):
        for key, item in sorted(value.items(), key=lambda pair: str(pair[0])):
            yield from _held(f"{name}.{key}", item, above)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _held(f"{name}.{index}", item, above)


def _is_stateful(value: object) -> TypeGuard[Stateful]:
    return hasattr(value, "state_dict")


def _has_dtype(value: object) -> TypeGuard[Tensor]:
    return hasattr(value, "dtype")


def _bytes(tensor: Tensor) -> memoryview | bytes:
    """The raw bytes of a torch tensor (of any dtype) or numpy array."""
    if hasattr(tensor, "detach"):
        import torch

        held: torch.Tensor = tensor.detach()
        return held.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
    assert hasattr(tensor, "tobytes")
    return tensor.tobytes()
