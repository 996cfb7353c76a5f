"""Finds a corpus's copy below the data folder, and the recordings of the corpus in it.

Many copies are re-uploads: their folders have other names, lie deeper, or hold every file twice. A corpus's `Layout`
says how its folder and its files are called; the search is the same for all corpora. A file at its official place is
preferred to another file of the same name.
"""

from __future__ import annotations

import filecmp
import functools
import itertools
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# In order of preference, where files differ only in their suffix.
SUFFIXES = (".wav", ".flac", ".opus", ".ogg", ".mp3")
LOSSY = frozenset({".opus", ".ogg", ".mp3"})
PACKED = frozenset({".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".parquet", ".arrow"})
DEEP = 3  # levels below the data folder at which a corpus's folder is looked for
LONG = 5  # a name with fewer letters must be a word of a folder's name, a longer one may be a part of a word
SKIPPED = frozenset({".git", "__MACOSX", "lost+found"})  # folders that never hold recordings


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How folders and files of a corpus are called.

    Attributes:
        folders: names of its folder under the data folder, in any case, the first preferred. Folders whose names
            contain one of them are searched as well, down to `DEEP` levels.
        globs: official places of its audio below that folder, such as `wav/*`; suffixes do not count.
        pattern: regular expression of a file's name without suffix, and of the folders above it that identify the file
            (`(DC|JE)[/_]a\\d\\d`), in the corpus's own case. With it, files are found at any depth and in any case.
            Without it, all files are at the official places, and the whole tree may lie deeper.
        beside: regular expressions, as `pattern`, of audio that is not part of the corpus, each with a description;
            with an empty description, the files are left out without a message.
    """

    folders: tuple[str, ...]
    globs: tuple[str, ...]
    pattern: str = ""
    beside: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Tree:
    """The folders under a data folder, down to `DEEP` levels; `denied`: those that cannot be read, with the reason."""

    data: Path
    folders: tuple[Path, ...]
    denied: Mapping[Path, str]


@dataclass(frozen=True)
class Place:
    """Where a corpus's copy lies.

    Attributes:
        root: its folder, below which `look` finds its files; None where there is none.
        recordings: number of its recordings there.
        others: further folders with recordings of it, and their number; they are not read.
        denied: folders with its name that cannot be read, with the reason.
        packed: archives in folders with its name, where these hold no recordings.
        closed: other folders that cannot be read.
    """

    root: Path | None
    recordings: int
    others: Mapping[Path, int]
    denied: Mapping[Path, str]
    packed: tuple[Path, ...] = ()
    closed: tuple[Path, ...] = ()


@dataclass(frozen=True)
class AudioFiles:
    """The audio files below a corpus's folder.

    Attributes:
        files: recordings of the corpus by name: the part of the path that `pattern` matches, else the stem.
        same: (file, file left out) with the same name and bytes.
        unlike: (file at an official place, file left out) with the same name and different bytes.
        clashes: (file, file) with the same name and different bytes, neither at a more official place.
        beside: files left out, by description.
        strange: other audio, whose names do not fit the corpus.
        denied: folders that cannot be read, with the reason.
    """

    files: Mapping[str, Path]
    same: tuple[tuple[Path, Path], ...]
    unlike: tuple[tuple[Path, Path], ...]
    clashes: tuple[tuple[Path, Path], ...]
    beside: Mapping[str, tuple[Path, ...]]
    strange: tuple[Path, ...]
    denied: Mapping[Path, str]


def tree(data: Path) -> Tree:
    """The folders under a data folder; an empty tree where the data folder is absent."""
    folders: list[Path] = []
    denied: dict[Path, str] = {}
    level = [data]
    for _ in range(DEEP):
        level = [entry for folder in level for entry in _subfolders(folder, denied)]
        folders += level
    return Tree(data, tuple(folders), denied)


def _subfolders(folder: Path, denied: dict[Path, str]) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = [e.name for e in entries if not e.name.startswith(".") and e.name not in SKIPPED and e.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        denied[folder] = error.strerror or str(error)
        return []
    return [folder / name for name in sorted(names)]


def locate(layout: Layout, below: Tree) -> Place:
    """The place of a corpus's copy: the folder with its name, else the folder with most of its recordings.

    Where no folder holds any, the data folder itself is searched if it has the corpus's name.
    """
    order = [name.casefold() for name in layout.folders]
    top = [path for path in below.folders if path.parent == below.data]
    own = sorted((p for p in top if p.name.casefold() in order), key=lambda p: (order.index(p.name.casefold()), p.name))
    bearing: list[Path] = []
    for path in below.folders:
        if bears(path.name, layout.folders) and not any(p == path or p in path.parents for p in (*own, *bearing)):
            bearing.append(path)
    named = (*own, *bearing)
    homes = [home for folder in named if (home := _home(layout, folder))]
    if not homes and bears(Path(os.path.abspath(below.data)).name, layout.folders):  # it is the corpus's own
        homes = [home for home in [_home(layout, below.data)] if home]
    fullest = sorted(homes, key=lambda home: -home[1])
    first = [home for home in homes if any(p == home[0] or p in home[0].parents for p in own)]
    root, recordings = next(iter((*first, *fullest)), (own[0] if own else None, 0))
    denied: dict[Path, str] = {}
    packed: list[Path] = []
    for folder in () if homes else named:
        denied |= _audio(folder)[1]
        packed += _packed(folder)
    denied |= {path: why for path, why in below.denied.items() if path in (*named, below.data)}
    closed = tuple(path for path in below.denied if path not in denied and not any(p in path.parents for p in named))
    others = {path: number for path, number in homes if path != root}
    return Place(root, recordings, others, denied, tuple(packed), closed)


def bears(folder: str, names: Sequence[str]) -> bool:
    """Whether a folder's name contains one of the names: a long name anywhere, a short name as a separate word."""
    words, letters = _asked(tuple(names))
    return words.search(folder.casefold()) is not None or letters.search(_letters(folder)) is not None


@functools.lru_cache
def _asked(names: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Two patterns: for names as words of a folder's name, and for long names in its letters and digits."""
    words = "|".join(re.escape(name.casefold()) for name in names)
    long = "|".join(key for name in names if len(key := _letters(name)) >= LONG)
    return re.compile(rf"(?<![a-z0-9])(?:{words})(?![a-z])"), re.compile(long or "(?!)")


@functools.lru_cache(maxsize=1 << 16)
def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def _home(layout: Layout, folder: Path) -> tuple[Path, int] | None:
    """The root for `look` (`folder`, or a folder below it) and its number of recordings; None where it has none."""
    if layout.pattern:
        files = len(look(layout, folder, compare=False).files)
        return (folder, files) if files else None
    official = re.compile(rf"((?:[^/]+/)*?)(?:{_official(layout)})", re.IGNORECASE)
    places, _ = _audio(folder)
    beside = _beside(layout)
    homes = Counter(
        m[1] for p in places if (m := official.fullmatch(p)) and not any(b.fullmatch(p) for b in beside.values())
    )
    if not homes:
        return None
    home = min(homes, key=lambda place: (-homes[place], place.count("/"), place))
    return folder / home, homes[home]


def look(layout: Layout, root: Path, compare: bool = True) -> AudioFiles:
    """The audio files below a corpus's folder.

    Args:
        compare: whether files with one name are compared byte by byte; otherwise the first is taken.
    """
    places, denied = _audio(root)
    official = re.compile(_official(layout), re.IGNORECASE)
    own = re.compile(layout.pattern) if layout.pattern else None
    anywhere = re.compile(rf"(?:.*/)?({layout.pattern})", re.IGNORECASE) if layout.pattern else None
    besides = _beside(layout)
    beside: defaultdict[str, list[Path]] = defaultdict(list)
    strange: list[Path] = []
    named: defaultdict[str, list[tuple[int, int, str]]] = defaultdict(list)  # less official, deeper, place
    names: dict[str, str] = {}
    for place in sorted(places):
        what = next((words for words, regex in besides.items() if regex.fullmatch(place)), None)
        match = anywhere.fullmatch(place) if anywhere else None
        at_home = official.fullmatch(place) is not None
        if what is not None:
            beside[what].append(root / f"{place}{places[place]}")
        elif match is None and not at_home:
            strange.append(root / f"{place}{places[place]}")
        else:
            name = spelled(own, match[1]) if own and match else place.rpartition("/")[2]
            key = name.replace("/", "_")
            names.setdefault(key, name)
            named[key].append((int(not at_home), place.count("/"), place))
    files: dict[str, Path] = {}
    pairs: dict[str, list[tuple[Path, Path]]] = {"same": [], "unlike": [], "clashes": []}
    for key, group in named.items():
        (rank, _, kept), *rest = sorted(group)
        files[names[key]] = path = root / f"{kept}{places[kept]}"
        for other_rank, _, place in rest if compare else ():
            other = root / f"{place}{places[place]}"
            kind = "same" if _equal(path, other) else "unlike" if rank < other_rank else "clashes"
            pairs[kind].append((path, other))
    left = {what: tuple(paths) for what, paths in beside.items()}
    same, unlike, clashes = (tuple(pairs[kind]) for kind in ("same", "unlike", "clashes"))
    return AudioFiles(files, same, unlike, clashes, left, tuple(strange), denied)


def places(root: Path) -> dict[str, Path]:
    """All audio below a folder, by path without suffix (separated by `/`); of several suffixes, the preferred one."""
    suffixes, _ = _audio(root)
    return {place: root / f"{place}{suffixes[place]}" for place in sorted(suffixes)}


def find(root: Path, name: str) -> Path:
    """A label file by its path below `root`, in any case and at any depth; its official place where there is none."""
    if (root / name).exists():
        return root / name
    wanted = name.casefold()
    hits = [place for place, _ in _walk(root, {}) if f"/{place.casefold()}".endswith(f"/{wanted}")]
    return root / min(hits, key=lambda place: (place.count("/"), place), default=name)


def within(root: Path, place: str) -> Path:
    """A file or folder by its path below `root`, each part in any case; its official place where there is none."""
    here = root
    for part in place.split("/"):
        if not (here / part).exists() and here.is_dir():
            part = min((path.name for path in here.iterdir() if path.name.casefold() == part.casefold()), default=part)
        here /= part
    return here if here.exists() else root / place


def lacking(root: Path, parts: Sequence[str]) -> list[str]:
    """The paths, of files or non-empty folders, that do not occur below `root` in any case."""
    there = [f"/{place.casefold()}/" for place, _ in _walk(root, {})]
    return [part for part in parts if not any(f"/{part.casefold()}/" in place for place in there)]


def spelled(pattern: re.Pattern[str], name: str) -> str:
    """The name in the case that the pattern expects; each run of letters is in lower, upper or title case.

    Returns the name itself where no case fits.
    """
    if pattern.fullmatch(name):
        return name
    parts = re.split(r"([A-Za-z]+)", name)
    for cases in itertools.product((str.lower, str.upper, str.title), repeat=len(parts) // 2):
        parts[1::2] = [case(part) for case, part in zip(cases, parts[1::2], strict=True)]
        if pattern.fullmatch("".join(parts)):
            return "".join(parts)
    return name


def _equal(one: Path, other: Path) -> bool:
    """Whether two files hold the same bytes; False where one cannot be read."""
    try:
        return filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False


def _official(layout: Layout) -> str:
    """The official places as one regular expression for a path without suffix."""
    return "|".join(f"(?:{_of_glob(pattern)})" for pattern in layout.globs) or "(?!)"


def _of_glob(pattern: str) -> str:
    """A glob as a regular expression: `*` and `?` do not match `/`, `**/` matches any folders, `[...]` a set."""
    stem, suffix = os.path.splitext(pattern)
    pattern = stem if suffix.lower() in SUFFIXES else pattern
    tokens = re.findall(r"\*\*/|\[!?[^\]]+\]|.", pattern)
    known = {"**/": "(?:[^/]+/)*", "*": "[^/]*", "?": "[^/]"}
    return "".join(
        known.get(t) or (t.replace("[!", "[^", 1) if t.startswith("[") and len(t) > 1 else re.escape(t)) for t in tokens
    )


def _beside(layout: Layout) -> dict[str, re.Pattern[str]]:
    """Patterns, for whole paths without suffix, of audio that is not part of the corpus, by description."""
    words = dict.fromkeys(layout.beside.values())
    joined = {what: "|".join(p for p, other in layout.beside.items() if other == what) for what in words}
    return {what: re.compile(rf"(?:.*/)?(?:{regex})", re.IGNORECASE) for what, regex in joined.items()}


def _audio(root: Path) -> tuple[dict[str, str], dict[Path, str]]:
    """The preferred suffix of every audio file below a folder, by path without it; and folders that cannot be read."""
    suffixes: dict[str, str] = {}
    denied: dict[Path, str] = {}
    for path, name in _walk(root, denied):
        place, suffix = os.path.splitext(path)
        # macOS leaves "._name" files beside the real ones.
        if suffix.lower() in SUFFIXES and not name.startswith("._"):
            other = suffixes.get(place)
            if other is None or _preference(suffix) < _preference(other):
                suffixes[place] = suffix
    return suffixes, denied


def _preference(suffix: str) -> tuple[int, str]:
    return SUFFIXES.index(suffix.lower()), suffix


def _packed(root: Path) -> list[Path]:
    return [root / place for place, name in _walk(root, {}) if os.path.splitext(name)[1].lower() in PACKED]


def _walk(root: Path, denied: dict[Path, str]) -> Iterator[tuple[str, str]]:
    """Path below `root` (separated by `/`) and name of every file, as strings: a corpus may have 100,000 files.

    Links to folders are followed, unless they lead into a folder that contains them.
    """
    waiting = [""]
    while waiting:
        here = waiting.pop()
        try:
            with os.scandir(root / here) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    place = f"{here}{entry.name}"
                    if not entry.is_dir():
                        yield place, entry.name
                    elif entry.name not in SKIPPED and not (entry.is_symlink() and _round(root, place)):
                        waiting.append(f"{place}/")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            denied[root / here] = error.strerror or str(error)


def _round(root: Path, link: str) -> bool:
    """Whether a link leads into one of the folders that contain it."""
    above = [os.path.realpath(root / "/".join(link.split("/")[:depth])) for depth in range(link.count("/") + 1)]
    return os.path.realpath(root / link) in above
