"""Options of a load, beside the task's name."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """Options of a load: plain values that can be sent to another process. Text may stand for a path.

    Attributes:
        data: folder that holds one folder a corpus.
        cache: folder for the index of audio contents, fold lists and the embedded corpus.
        emobox: folder of EmoBox's fold files; None: the folder EmoBox under `data`.
        skip_bad: leave out audio that cannot be used (counted and marked) instead of stopping.
        limit: for a smoke run, keep about this many utterances, spread over speakers and classes; None: all.
        jobs: threads that decode.
        audio: folder that the paths in a user's table (`csv:`) are relative to; None: the table's own folder.
        labels: file that maps labels of such tables to classes, a line `Angry=anger` each; None: none.
        texts: (corpus, file) of transcripts that replace the corpus's own (`--text`).
        with_text: leave out utterances without text (counted and marked).
        noise: folder of recordings that babble is made of; None: another corpus under `data`.
        by_arousal: levels of intensity come from rated arousal where intensity.yaml has that of a corpus.
        below: caches whose index of audio contents is read and never written.
    """

    data: Path
    cache: Path
    emobox: Path | None = None
    skip_bad: bool = False
    limit: int | None = None
    jobs: int = 1
    audio: Path | None = None
    labels: Path | None = None
    texts: tuple[tuple[str, Path], ...] = ()
    with_text: bool = False
    noise: Path | None = None
    below: tuple[Path, ...] = ()
    by_arousal: bool = False

    def absolute(self) -> Options:
        """The same with absolute folders, `~` expanded."""
        folders = (self.emobox, self.audio, self.labels, self.noise)
        emobox, audio, labels, noise = (absolute(one) if one else None for one in folders)
        data, cache = absolute(self.data), absolute(self.cache)
        texts = tuple((corpus, absolute(file)) for corpus, file in self.texts)
        made = replace(
            self, data=data, cache=cache, emobox=emobox, audio=audio, labels=labels, texts=texts, noise=noise
        )
        return replace(made, below=tuple(absolute(one) for one in self.below))


def absolute(place: Path | str) -> Path:
    """A folder's absolute path, `~` expanded; links are not resolved."""
    return Path(os.path.abspath(Path(place).expanduser()))
