"""Lists of test ids with a hash: the folds that a task must have on every complete copy of its corpus.

Lists of some tasks are in `definitions/folds`; for others, a list is written to the cache when a complete copy is first
read. `python -m tasks folds TASK --output FILE` writes a list.
"""

from __future__ import annotations

import json
import warnings
from contextlib import suppress
from pathlib import Path

from commons import files
from commons.errors import Notice
from tasks import definition
from tasks.splits.audit import Audit


def text(proof: Audit) -> str:
    """The fold list of an audit as JSON, one line for each fold."""
    folds = ",\n".join(f"  {json.dumps(fold.name)}: {json.dumps(fold.test_ids)}" for fold in proof.folds)
    facts = {"task": proof.task, "version": proof.version, "folds_sha256": proof.folds_hash}
    lines = "".join(f" {json.dumps(key)}: {json.dumps(value)},\n" for key, value in facts.items())
    return f'{{\n{lines} "test": {{\n{folds}\n }}\n}}\n'


def _read(path: Path) -> str:
    """The text of a file; empty where it cannot be read."""
    with suppress(OSError, ValueError):
        return path.read_text(encoding="utf-8")
    return ""


def _version(content: str) -> str | None:
    """The version of the task in a list; None where the text is no list."""
    with suppress(ValueError, KeyError, TypeError):
        return json.loads(content)["version"]
    return None


def check(proof: Audit, cache: Path) -> str | None:
    """A note where the folds of a complete copy differ from the task's list, else None.

    Where there is no list, one is written to the cache.
    """
    shipped = definition.FOLDER / "folds" / f"{proof.task}.json"
    path = shipped if shipped.exists() else cache / "folds" / shipped.name
    own, there = text(proof), _read(path)
    if there == own:
        return None
    if path == shipped or _version(there) == proof.version:
        return f"folds differ from the list in {path}: ids, labels or splits of this copy are not the same"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, own)
    except OSError as error:
        warnings.warn(f"the list of folds is not written: {error}", Notice, stacklevel=2)
    return None
