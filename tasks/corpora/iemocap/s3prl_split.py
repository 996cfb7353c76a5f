"""s3prl's own split of IEMOCAP, repeated from the files that its preprocessing writes.

`meta_data/Session{k}/train_meta_data.json` lists the utterances of the other sessions in an order that depends on the
machine it was made on. s3prl seeds torch with 0 and draws the dev part, a fifth, with `random_split`; the same files
give the same draw here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import numpy as np

from tasks.errors import TaskError


def draws(root: Path, tests: Mapping[str, np.ndarray], ids: np.ndarray) -> dict[str, np.ndarray] | None:
    """Dev rows by fold name as s3prl draws them, or None where the corpus folder holds no such files.

    Args:
        root: folder of the corpus, which may hold `meta_data`.
        tests: test rows by fold name, "session 1" to "session 5".
        ids: (N,) utterance ids.

    Raises:
        TaskError: a file is missing or is not s3prl's, or its utterances are not those of the task.
    """
    folder = root / "meta_data"
    if not folder.is_dir():
        return None
    everything = set(ids[np.concatenate(list(tests.values()))])
    row = {utterance: i for i, utterance in enumerate(ids)}
    drawn = {}
    for name, test in tests.items():
        session = folder / name.replace("session ", "Session")
        train, listed_test = (_listed(session / f"{part}_meta_data.json") for part in ("train", "test"))
        for path, listed, wanted in (
            ("train_meta_data.json", train, everything - set(ids[test])),
            ("test_meta_data.json", listed_test, set(ids[test])),
        ):
            odd = sorted(set(listed) ^ wanted)
            if odd:
                raise TaskError(
                    f"{session / path}: lists {len(listed)} utterances, the task has {len(wanted)}; {len(odd)} differ: "
                    f"{', '.join(odd[:5])}. Give s3prl's files for this very copy, or remove {folder}"
                )
        drawn[name] = np.array([row[utterance] for utterance in _dev(train)], dtype=np.int64)
    return drawn


def _listed(path: Path) -> list[str]:
    """Utterance ids of one of s3prl's files, in its order."""
    try:
        listed = [PurePosixPath(entry["path"]).stem for entry in json.loads(path.read_text())["meta_data"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TaskError(f"{path}: not a split file of s3prl's emotion task ({error!r})") from error
    if len(set(listed)) != len(listed):
        raise TaskError(f"{path}: lists an utterance twice")
    return listed


def _dev(train: list[str]) -> list[str]:
    """The part that `random_split` keeps for validation after `torch.manual_seed(0)`."""
    import torch

    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0)).tolist()
    return [train[i] for i in order[int((1 - 0.2) * len(train)) :]]
