"""Where a corpus's copy lies below the data folder, and which of its files are recordings of the corpus.

Few people have the archives of a corpus's makers: they have re-uploads, whose folders have other names, lie deeper, or
hold everything twice. A corpus says in a `Layout` how its folder and its files are called; the rest is done here, in
one way for all corpora. A file at its official place always comes before another of the same name.
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

# In order of preference where one place has several files.
SUFFIXES = (".wav", ".flac", ".opus", ".ogg", ".mp3")
LOSSY = frozenset({".opus", ".ogg", ".mp3"})
PACKED = frozenset({".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".parquet", ".arrow"})
DEEP = 3  # levels below the data folder at which a corpus's folder is looked for
LONG = 5  # letters of a name that is looked for anywhere in a folder's name; a shorter one must be a word of it
SKIPPED = frozenset({".git", "__MACOSX", "lost+found"})  # folders that never hold recordings


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How the copies of a corpus look.

    Attributes:
        folders: names of its folder under the data folder, any case, the first preferred. A folder whose name contains
            one of them is looked into as well, down to `DEEP` levels.
        globs: official places of its audio below that folder, such as `wav/*`; a suffix is taken off.
        pattern: regular expression of a file's name without suffix, and of as many folders above it as tell something
            (`(DC|JE)[/_]a\\d\\d`), in the corpus's own case. With it, files are found at any depth and in any case.
            Without it, all lies at the official places, which may lie deeper as a whole.
        beside: regular expressions, as `pattern`, of audio that lies beside the corpus's and is no part of it, and what
            it is; empty words: not worth telling.
    """

    folders: tuple[str, ...]
    globs: tuple[str, ...]
    pattern: str = ""
    beside: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Tree:
    """The folders under a data folder, `DEEP` levels down; `denied`: those that may not be read, with the reason."""

    data: Path
    folders: tuple[Path, ...]
    denied: Mapping[Path, str]


@dataclass(frozen=True)
class Place:
    """Where a corpus's copy lies.

    Attributes:
        root: its folder, below which `look` finds its files; None: there is none.
        recordings: how many it holds.
        others: further folders that hold recordings of it, and how many; they are not read.
        denied: folders of its name that may not be read, with the reason.
        packed: archives in folders of its name, where no recordings of it were found.
        closed: other folders that may not be read, so that nobody knows what they hold.
    """

    root: Path | None
    recordings: int
    others: Mapping[Path, int]
    denied: Mapping[Path, str]
    packed: tuple[Path, ...] = ()
    closed: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Found:
    """The audio files below a corpus's folder.

    Attributes:
        files: recordings of the corpus by name: what `pattern` takes of the path, else the stem.
        same: (file, file left out) of the same name and bytes.
        unlike: (file at an official place, file of the same name and other bytes elsewhere, which is left out).
        clashes: (file, file) of the same name and other bytes, neither more official than the other.
        beside: files left out by what they are.
        strange: other audio, whose names are not the corpus's.
        denied: folders that may not be read, with the reason.
    """

    files: Mapping[str, Path]
    same: tuple[tuple[Path, Path], ...]
    unlike: tuple[tuple[Path, Path], ...]
    clashes: tuple[tuple[Path, Path], ...]
    beside: Mapping[str, tuple[Path, ...]]
    strange: tuple[Path, ...]
    denied: Mapping[Path, str]


def tree(data: Path) -> Tree:
    """The folders under a data folder; an empty tree where there is none."""
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
    """Where a corpus's copy lies: its own folder by name, else the folder that holds most of its recordings.

    Where no folder holds any, the data folder itself is looked into if it has the corpus's name.
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
    if not homes and bears(Path(os.path.abspath(below.data)).name, layout.folders):  # it is the corpus's own folder
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
    """Whether a folder's name contains one of the names: a long one anywhere, a short one as a word of its own."""
    words, letters = _asked(tuple(names))
    return words.search(folder.casefold()) is not None or letters.search(_letters(folder)) is not None


@functools.lru_cache
def _asked(names: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What finds names as words of a folder's name, and long ones in its letters and digits alone."""
    words = "|".join(re.escape(name.casefold()) for name in names)
    long = "|".join(key for name in names if len(key := _letters(name)) >= LONG)
    return re.compile(rf"(?<![a-z0-9])(?:{words})(?![a-z])"), re.compile(long or "(?!)")


@functools.lru_cache(maxsize=1 << 16)
def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def _home(layout: Layout, folder: Path) -> tuple[Path, int] | None:
    """The folder that `look` wants, `folder` itself or one below it, and how many recordings it holds."""
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


def look(layout: Layout, root: Path, compare: bool = True) -> Found:
    """The audio files below a corpus's folder.

    Args:
        compare: whether files of one name are compared byte by byte; otherwise the first is taken.
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
    return Found(files, same, unlike, clashes, left, tuple(strange), denied)


def places(root: Path) -> dict[str, Path]:
    """All audio below a folder by its path there without suffix (with `/`), the preferred suffix of each."""
    found, _ = _audio(root)
    return {place: root / f"{place}{found[place]}" for place in sorted(found)}


def find(root: Path, name: str) -> Path:
    """A label file by its path below `root`, any case, else at any depth; where there is none, its official place."""
    if (root / name).exists():
        return root / name
    wanted = name.casefold()
    hits = [place for place, _ in _walk(root, {}) if f"/{place.casefold()}".endswith(f"/{wanted}")]
    return root / min(hits, key=lambda place: (place.count("/"), place), default=name)


def within(root: Path, place: str) -> Path:
    """A file or folder by its path below `root`, each part in any case; where there is none, its official place."""
    here = root
    for part in place.split("/"):
        if not (here / part).exists() and here.is_dir():
            part = min((path.name for path in here.iterdir() if path.name.casefold() == part.casefold()), default=part)
        here /= part
    return here if here.exists() else root / place


def lacking(root: Path, parts: Sequence[str]) -> list[str]:
    """Those of the paths, of files or of folders that hold any, that are nowhere below `root`, in whatever case."""
    there = [f"/{place.casefold()}/" for place, _ in _walk(root, {})]
    return [part for part in parts if not any(f"/{part.casefold()}/" in place for place in there)]


def spelled(pattern: re.Pattern[str], name: str) -> str:
    """A name in the corpus's own case: each run of letters in lower, upper or title case, as the pattern has it.

    The name itself where nothing fits.
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
    """Whether two files hold the same bytes; files that cannot be read are different."""
    try:
        return filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False


def _official(layout: Layout) -> str:
    """The official places as one regular expression of a path without suffix."""
    return "|".join(f"(?:{_of_glob(pattern)})" for pattern in layout.globs) or "(?!)"


def _of_glob(pattern: str) -> str:
    """A glob as a regular expression: `*` and `?` stay within a folder, `**/` is any folders, `[...]` a set."""
    stem, suffix = os.path.splitext(pattern)
    pattern = stem if suffix.lower() in SUFFIXES else pattern
    tokens = re.findall(r"\*\*/|\[!?[^\]]+\]|.", pattern)
    known = {"**/": "(?:[^/]+/)*", "*": "[^/]*", "?": "[^/]"}
    return "".join(
        known.get(t) or (t.replace("[!", "[^", 1) if t.startswith("[") and len(t) > 1 else re.escape(t)) for t in tokens
    )


def _beside(layout: Layout) -> dict[str, re.Pattern[str]]:
    """What lies beside a corpus, by what it is: patterns of whole paths without suffix."""
    words = dict.fromkeys(layout.beside.values())
    joined = {what: "|".join(p for p, other in layout.beside.items() if other == what) for what in words}
    return {what: re.compile(rf"(?:.*/)?(?:{regex})", re.IGNORECASE) for what, regex in joined.items()}


def _audio(root: Path) -> tuple[dict[str, str], dict[Path, str]]:
    """The preferred suffix of every audio file below a folder, by path without it; and folders that may not be read."""
    found: dict[str, str] = {}
    denied: dict[Path, str] = {}
    for path, name in _walk(root, denied):
        place, suffix = os.path.splitext(path)
        # macOS leaves "._name" files beside the real ones.
        if suffix.lower() in SUFFIXES and not name.startswith("._"):
            other = found.get(place)
            if other is None or _preference(suffix) < _preference(other):
                found[place] = suffix
    return found, denied


def _preference(suffix: str) -> tuple[int, str]:
    return SUFFIXES.index(suffix.lower()), suffix


def _packed(root: Path) -> list[Path]:
    return [root / place for place, name in _walk(root, {}) if os.path.splitext(name)[1].lower() in PACKED]


def _walk(root: Path, denied: dict[Path, str]) -> Iterator[tuple[str, str]]:
    """Path below `root` (with `/`) and name of every file; strings, for a corpus may have 100,000.

    Links to folders are followed, but none into a folder that it lies in.
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
    """Whether a link leads back into one of the folders that it lies in."""
    above = [os.path.realpath(root / "/".join(link.split("/")[:depth])) for depth in range(link.count("/") + 1)]
    return os.path.realpath(root / link) in above
