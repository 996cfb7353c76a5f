"""Lists of test ids with a hash: what a task's folds must be on every whole copy of its corpus.

For some tasks they ship, in `definitions/folds`; for others the list is kept in the cache when a whole copy is first
read. `python -m tasks folds TASK --output FILE` writes one.
"""

from __future__ import annotations

import json
import warnings
from contextlib import suppress
from pathlib import Path

from commons import files
from tasks import definition
from tasks.splits.audit import Audit


def text(proof: Audit) -> str:
    """A certificate's fold list as JSON, one line a fold."""
    folds = ",\n".join(f"  {json.dumps(fold.name)}: {json.dumps(fold.test_ids)}" for fold in proof.folds)
    facts = {"task": proof.task, "version": proof.version, "folds_sha256": proof.folds_hash}
    lines = "".join(f" {json.dumps(key)}: {json.dumps(value)},\n" for key, value in facts.items())
    return f'{{\n{lines} "test": {{\n{folds}\n }}\n}}\n'


def _read(path: Path) -> str:
    """A file's text, empty where it cannot be read."""
    with suppress(OSError, ValueError):
        return path.read_text(encoding="utf-8")
    return ""


def _version(content: str) -> str | None:
    """The task's version that a list is of; None if it is no list."""
    with suppress(ValueError, KeyError, TypeError):
        return json.loads(content)["version"]
    return None


def check(proof: Audit, cache: Path) -> str | None:
    """Compare a whole copy's folds with the list that ships or was kept; keep one where there is none.

    Returns:
        A note where they differ, else None.
    """
    shipped = definition.FOLDER / "folds" / f"{proof.task}.json"
    path = shipped if shipped.exists() else cache / "folds" / shipped.name
    own, there = text(proof), _read(path)
    if there == own:
        return None
    if path == shipped or _version(there) == proof.version:
        return f"folds differ from the list in {path}: this copy's ids, labels or splits are other than that one's"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, own)
    except OSError as error:
        warnings.warn(f"the list of folds is not kept: {error}", stacklevel=2)
    return None
