"""Where the copy of a repository is: in a folder of copies, in the hub's cache, or still to be downloaded."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from commons.errors import EmorepError, some
from upstreams import hub
from upstreams.errors import UpstreamError
from upstreams.huggingface.tokenizer import FILES as TOKENIZER
from upstreams.huggingface.tokenizer import holds_one
from upstreams.huggingface.weights import CONFIGURATION, INDEX, PREPROCESSOR, WEIGHTS, Stored

HERE = "EMOREP_WEIGHTS"  # names a folder of copies of repositories: $EMOREP_WEIGHTS/facebook/wav2vec2-base
UNPREPARED = ("whisper", "wav2vec2-bert")  # need no preprocessor_config.json: config.json says what they do
OF_TEXT = ("bert", "roberta", "xlm-roberta")  # need a tokenizer in its place


def find(repository: str, revision: str = "", otherwise: str = "", copies: str = "", weights: bool = True) -> Stored:
    """A copy of a repository: from the folder of copies, from the hub's cache, or downloaded.

    Args:
        otherwise: the upstream's name, which also takes a folder: the error message says so.
        copies: a folder with copies of repositories, copies/facebook/wav2vec2-base; "": there is none.
        weights: whether the weights are needed, or only the other files.

    Raises:
        UpstreamError: it is nowhere; says what to download and where to put it.
    """
    if copies and not revision and (folder := Path(copies) / repository).is_dir():
        return Stored(folder, repository)
    folder = _cached(repository, revision or "main", weights) or _fetch(repository, revision, otherwise, weights)
    return Stored(folder, f"{repository}@{folder.name}")


def _cached(repository: str, revision: str, weights: bool) -> Path | None:
    """The snapshot of a repository in the hub's cache, if it holds everything that is needed."""
    from huggingface_hub import try_to_load_from_cache

    configuration = try_to_load_from_cache(repository, CONFIGURATION, revision=revision)
    if not isinstance(configuration, str):
        return None
    folder = Path(configuration).parent
    stored = Stored(folder, "")
    try:
        # None: the cache does not know whether the repository has this file; other programs download without it.
        unknown = try_to_load_from_cache(repository, PREPROCESSOR, revision=revision) is None
        kind = stored.configuration.get("model_type")
        if kind in OF_TEXT:
            return folder if holds_one(folder) and (not weights or stored.files) else None
        if unknown and kind not in UNPREPARED:
            return None
        return folder if not weights or stored.files else None
    except EmorepError:
        return None


def _fetch(repository: str, revision: str, otherwise: str, weights: bool) -> Path:
    """The folder of the downloaded files: safetensors if the repository has them. Raises UpstreamError."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        commit, names = hub.files(repository, revision)
        if CONFIGURATION not in names:
            said = f"has no {CONFIGURATION}, so transformers cannot read it; it holds {some(names)}"
            raise UpstreamError(f"{repository}: {said}")
        kind = next((kind for kind in WEIGHTS if kind in names or kind + INDEX in names), None)
        stem, suffix = os.path.splitext(kind or WEIGHTS[0])
        wanted = [CONFIGURATION]
        if weights:
            wanted += [n for n in names if n in (kind, f"{kind}{INDEX}")]
            wanted += [n for n in names if kind not in names and n.startswith(f"{stem}-") and n.endswith(suffix)]
        wanted += [n for n in names if n in TOKENIZER and PREPROCESSOR not in names]
        paths = [hf_hub_download(repository, name, revision=commit) for name in wanted]
        with suppress(EntryNotFoundError):  # the cache then stores that there is none
            hf_hub_download(repository, PREPROCESSOR, revision=commit)
        return Path(paths[0]).parent
    except EmorepError:
        raise
    except Exception as error:  # of the hub's client, of its libraries or of the system
        at = f"@{revision}" if revision else ""
        asked = f" --revision {revision}" if revision else ""
        large = " --include 'model*.safetensors*'" if weights else ""
        older = f"('pytorch_model*.bin*' if it has no {WEIGHTS[0]}), " if weights else ""
        forms = [f"{otherwise}@FOLDER"] * bool(otherwise) + ["hf:FOLDER"] * weights
        raise UpstreamError(
            f"{repository}{at} is not on this machine and cannot be downloaded ({hub.reason(error)}). On a machine "
            "with a network run\n"
            f"    hf download {repository}{asked} --include '*.json' --include '*.txt'{large} --local-dir FOLDER\n"
            f"{older}copy FOLDER here, and name it {' or '.join(forms)}. Or set {HERE} to a folder of your choice and "
            f"copy FOLDER to ${HERE}/{repository}"
        ) from error
