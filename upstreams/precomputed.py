"""`features:FOLDER`: features that were extracted elsewhere, as an upstream.

The features of an utterance are the array (D,), (T, D) or (L, T, D) that has the utterance's id as its name, or the
path of its audio in the corpus, with or without the ending. Facts that the arrays do not tell stand in about.yaml in
the folder, or in FILE.yaml beside FILE.npz and FILE.parquet:

    title: our encoder, step 100000
    hop: 0.02                  # seconds between frames; needed only to align frames with those of another upstream
    seen: {iemocap: audio}     # corpora it was trained on: audio or labels; {}: none; left out: unknown
    licence: CC BY 4.0
    source: our-lab/encoder    # where its weights came from
    modality: audio            # or text, audio+text: what the features were made of
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from commons import yamlfile
from commons.corridors.features import NEEDS, Features
from commons.corridors.record import Seen
from commons.corridors.utterances import Modality
from commons.errors import Notice, NotThere, Refused, some
from commons.faults import faults
from commons.places import expanded
from commons.progress import Progress
from upstreams import fingerprints
from upstreams.errors import UpstreamError
from upstreams.extraction import Extraction, pooling
from upstreams.extraction.models import Models
from upstreams.extraction.store import Kept, Location, Row, Store, write_chunk
from upstreams.extraction.stored_features import Frames, Locations, Pooled
from upstreams.given_files import GivenFiles, frames_of, opened
from upstreams.identity import Identity
from upstreams.named import GIVEN, Named, record_name_of

if TYPE_CHECKING:
    import pandas as pd

READING = 1  # of the rules by which arrays become features; part of every fingerprint
SHOWN = 3  # ids that a message names
CHUNK, BYTES = 64, 1 << 27  # utterances, and bytes of arrays, in one file of the store at most


class About(BaseModel):
    """The facts in about.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = ""
    hop: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    seen: Seen = "unknown"
    licence: str = ""
    source: str = ""
    modality: Modality = "audio"


@dataclass(frozen=True)
class Entry:
    """The features of one utterance, as keys of the store see them; the fingerprint covers the numbers."""

    name: str
    rule: ClassVar[str] = "given"

    @property
    def content(self) -> tuple[str]:
        return (self.name,)


def resolve(path: str) -> Named:
    """The features of a folder or file.

    Raises:
        Refused: no folder is named; NotThere: there is none.
    """
    if not path:
        raise Refused(f"upstream {GIVEN!r}: the folder or file of features is missing; name it as {GIVEN}FOLDER")
    full = expanded(path).resolve()
    if not full.exists():
        raise NotThere("folder or file of features", full)
    here = Path.cwd()
    name = GIVEN + (full.relative_to(here) if full.is_relative_to(here) else full).as_posix()
    return Named(name, record_name_of(name), target="", given=str(full))


def identify(named: Named) -> Identity:
    """The facts of the features: sizes of the first array, and the hash of all files.

    Raises:
        Refused: the folder or file holds no features, or about.yaml a wrong fact.
        UpstreamError: a file cannot be read.
    """
    path = path_of(named)
    files, about = opened(path), _about(path)
    name, array = next(files.read(files.names[:1]))
    depth, _, width = frames_of(array, files.place(name)).shape
    return Identity(
        named=named,
        title=about.title or f"features of {path.name}",
        display_name="",
        depth=depth,
        width=width,
        seen="unknown" if about.seen == "unknown" else {name.casefold(): how for name, how in about.seen.items()},
        weights=about.source,
        licence=about.licence,
        precision="fp32",
        movable=False,
        takes=None,
        fingerprint=_fingerprint(files, about),
        modality=about.modality,
        step=math.inf if array.ndim == 1 else about.hop,
    )


def path_of(named: Named) -> Path:
    """The folder or file that holds the features."""
    assert named.given is not None, named.name
    return Path(named.given)


def _fingerprint(files: GivenFiles, about: About) -> str:
    try:
        return fingerprints.recipe(given=READING, files=files.hashes(), hop=about.hop, modality=about.modality)
    except OSError as error:
        raise UpstreamError(f"{error.filename}: cannot be read ({error.strerror})") from error


def _about(path: Path) -> About:
    file = path / "about.yaml" if path.is_dir() else path.with_suffix(".yaml")
    if not file.exists():
        return About()
    try:
        content = yamlfile.mapping(file, "facts of the features, one `name: value` a line", may_be_empty=True)
        return About.model_validate(content)
    except yamlfile.NotYaml as error:
        raise Refused(str(error)) from None
    except ValidationError as error:
        raise Refused(f"{file}: {faults(error, About.model_fields)[0]}") from None


def extract(
    identity: Identity,
    utterances: pd.DataFrame,
    needs: Iterable[str],
    options: Extraction,
    progress: Progress | None = None,
    models: Models | None = None,
) -> Features:
    """What upstreams.extract returns. Means and deviations are computed once, and kept in the store.

    Raises:
        UpstreamError: features are missing, of other sizes or not finite; the files changed since they were identified;
            or frames are asked for and there are none.
    """
    started = time.perf_counter()
    kinds = _kinds(identity, needs)
    who, path = identity, path_of(identity.named)
    files = opened(path)
    names = matched(utterances, files.names, who.named.name)
    entries = [Entry(name) for name in names]
    verified = (models or Models()).verified
    kept = [Kept(who.named.name, who.fingerprint, who.precision, kind, who.depth, who.width) for kind in kinds]
    stores = [Store(options.cache, one, verified, options.below) for one in kept]
    lacking = _lacking(stores, entries)
    if lacking:
        if _fingerprint(files, _about(path)) != who.fingerprint:
            raise UpstreamError(f"{path}: changed since the run was planned; run the command again")
        _fill(who, files, lacking, stores, options.chunk or CHUNK, progress)
        if left := _lacking(stores, entries):
            raise UpstreamError(
                f"features of {left[0].name} are gone from {stores[0].folder} after they were written; check the disk"
            )
    there = [_locations(store, entries) for store in stores]
    pooled = next((Pooled(Locations.of(own), who.depth, who.width)
                   for store, own in zip(stores, there, strict=True) if store.kept.kind == "pooled"), None)  # fmt: skip
    frames = next((Frames(Locations.of(own), store.kept.layers)
                   for store, own in zip(stores, there, strict=True) if store.kept.kind != "pooled"), None)  # fmt: skip
    spent = time.perf_counter() - started
    return Features(
        ids=np.array(utterances.index, dtype=np.str_),
        upstream=who.named.name,
        fingerprint=who.fingerprint,
        precision=who.precision,
        device="cpu",
        depth=who.depth,
        width=who.width,
        pooled=pooled,
        frames=frames,
        counts={"computed": len(lacking), "reused": len(names) - len(lacking), "padded": 0, "windowed": 0},
        seconds={"decode": 0.0, "forward": 0.0, "write": 0.0, "total": spent},
        audio_seconds=float(utterances["duration"].sum()) if "duration" in utterances.columns else None,
        parameters=None,
    )


def _kinds(identity: Identity, needs: Iterable[str]) -> list[str]:
    """The kinds of features to keep. Raises UpstreamError: there are none of a kind."""
    wanted = set(needs)
    pooling.refuse_absent(identity, wanted)
    refuse_absent(identity, wanted)
    if "frames:all" in wanted:
        wanted.discard("frames:last")
    return [kind for kind in NEEDS if kind in wanted]


def refuse_absent(identity: Identity, needs: Collection[str]) -> None:
    """Raise UpstreamError where features are needed that the files do not have."""
    name = identity.named.name
    if "live" in needs:
        raise UpstreamError(f"{name}: holds features and no network, and the head trains one; use another head")
    if math.inf == identity.step and any(need.startswith("frames") for need in needs):
        raise UpstreamError(
            f"{name}: holds one vector (D,) for each utterance and the head reads frames; extract arrays (T, D) or "
            "(L, T, D), or use a head on pooled features such as probe"
        )


def matched(utterances: pd.DataFrame, names: Iterable[str], whose: str) -> list[str]:
    """The name of each utterance's features, by its id or else by the path of its audio; surplus names are warned of.

    Features of changed audio are named by ids alone: the path is that of the audio before the change.

    Raises:
        UpstreamError: an utterance has none, or two utterances have the same.
    """
    known = set(names)
    paths = utterances["path"] if "path" in utterances.columns else [""] * len(utterances)
    if "perturbation" in utterances.columns:
        paths = utterances["path"].where(utterances["perturbation"].isna(), "")
    owner: dict[str, str] = {}
    missing: list[str] = []
    chosen: list[str] = []
    for id_, path in zip(map(str, utterances.index), map(str, paths), strict=True):
        name = id_ if id_ in known else next((one for one in _paths(path) if one in known), None)
        if name is None:
            missing.append(id_)
            continue
        if name in owner:
            raise UpstreamError(
                f"{whose}: {name} may be of utterance {owner[name]!r} or of {id_!r}; name features by utterance ids"
            )
        owner[name] = id_
        chosen.append(name)
    if missing:
        raise UpstreamError(
            f"{whose}: has no features of {len(missing)} of {len(utterances)} utterances: {some(missing, SHOWN)}; name "
            f"each by the utterance's id, or by the path of its audio in the corpus. It holds "
            f"{some(sorted(known), SHOWN)}"
        )
    if surplus := sorted(known - owner.keys()):
        message = (
            f"{whose}: {len(surplus)} features are of no utterance of the task and are left out: {some(surplus, SHOWN)}"
        )
        warnings.warn(message, Notice, stacklevel=3)
    return chosen


def _paths(path: str) -> Iterator[str]:
    """The ends of an audio file's path, the longest first, without and with the file's ending."""
    parts = Path(path).parts
    for start in range(len(parts)):
        end = "/".join(parts[start:])
        yield from (end.removesuffix(Path(path).suffix), end)


def _lacking(stores: list[Store], entries: list[Entry]) -> list[Entry]:
    there = [store.find([store.kept.key(entry) for entry in entries]) for store in stores]
    return [
        entry
        for entry in entries
        if not all(store.kept.key(entry) in own for store, own in zip(stores, there, strict=True))
    ]


def _locations(store: Store, entries: list[Entry]) -> list[Location]:
    keys = [store.kept.key(entry) for entry in entries]
    there = store.find(keys)
    return [there[key] for key in keys]


def _fill(
    who: Identity, files: GivenFiles, lacking: list[Entry], stores: list[Store], most: int, progress: Progress | None
) -> None:
    """Write what the stores lack, some utterances at a time."""
    for store in stores:
        store.prepare()
    chunk: list[tuple[Entry, np.ndarray]] = []
    size = done = 0
    for name, array in files.read([entry.name for entry in lacking]):
        chunk.append((Entry(name), sized(array, files.place(name), who)))
        size += chunk[-1][1].nbytes
        if len(chunk) == most or size > BYTES:
            _write(chunk, stores)
            done, size, chunk = done + len(chunk), 0, []
            if progress:
                progress(done, len(lacking))
    if chunk:
        _write(chunk, stores)


def sized(array: np.ndarray, place: str, who: Identity) -> np.ndarray:
    """An array as (L, T, D) float32. Raises UpstreamError: it has other sizes than the first, or bad numbers."""
    frames = frames_of(array, place)
    one_vector = array.ndim == 1
    if (frames.shape[0], frames.shape[2]) != (who.depth, who.width) or one_vector != (who.step == math.inf):
        first = f"({who.width},)" if who.step == math.inf else f"({who.depth} layers, T frames, {who.width} values)"
        raise UpstreamError(f"{place}: has the shape {array.shape}, and the first array is {first}; all must be alike")
    return frames


def _write(chunk: list[tuple[Entry, np.ndarray]], stores: list[Store]) -> None:
    for store in stores:
        rows = [Row(store.kept.key(entry), False, False) for entry, _ in chunk]
        write_chunk(store.folder, store.kept, rows, _tensors(store.kept, [frames for _, frames in chunk]))


def _tensors(kept: Kept, several: list[np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors of a chunk, in the layout that chunk_jobs writes."""
    if kept.kind == "pooled":
        moments = [np.stack([one.mean(1, dtype=np.float64), one.std(1, dtype=np.float64)]) for one in several]
        return {"pooled": np.stack(moments, axis=2).astype(np.float32)}  # (2, L, n, D)
    with np.errstate(over="ignore"):
        frames = np.concatenate([one[list(kept.layers)].transpose(1, 0, 2) for one in several]).astype(np.float16)
    if not np.isfinite(frames).all():
        raise UpstreamError(
            f"{kept.upstream}: frames are kept as float16, and some values are too large for it; scale them"
        )
    return {"frames": frames, "lengths": np.array([one.shape[1] for one in several], dtype=np.int64)}
