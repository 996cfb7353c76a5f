"""The tokenizer of a text encoder: from a folder's files to numbers of word pieces."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from commons.errors import EmorepError
from commons.hashing import of_json
from upstreams.errors import UpstreamError
from upstreams.huggingface.weights import CONFIGURATION, digest

if TYPE_CHECKING:
    import tokenizers

WHOLE = "tokenizer.json"
OLDER = (("vocab.txt",), ("vocab.json", "merges.txt"))  # what older folders hold in its place
# All files that decide what the word pieces of a text are.
FILES = (
    WHOLE, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    *(name for names in OLDER for name in names),
)  # fmt: skip
ROUNDING = (
    128  # word pieces that a model may have without its tokenizer: sizes are rounded up to multiples of up to this
)


@dataclass(frozen=True)
class Special:
    """The numbers of the special tokens before and behind every window."""

    before: tuple[int, ...]
    behind: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.before) + len(self.behind)


class Tokenizer:
    """The tokenizer in a folder, for a model with `vocabulary` word pieces that pads with number `pad`.

    Files are looked for at once, and read at the first text. Methods raise UpstreamError: a file is damaged, or the
    tokenizer is another model's.

    Raises:
        UpstreamError: the folder has none.
    """

    def __init__(self, folder: Path, vocabulary: int, pad: int) -> None:
        self.folder, self._vocabulary, self._pad = folder, vocabulary, pad
        if not holds_one(folder):
            held = sorted(path.name for path in folder.iterdir())[:6]
            raise UpstreamError(
                f"{folder} has no tokenizer (it holds {', '.join(held) or 'nothing'}); expected {WHOLE}, or vocab.txt, "
                "or vocab.json and merges.txt, as in the model's repository: copy them from there"
            )

    def fingerprint(self) -> str:
        """sha256 (hex) of its files and of the library."""
        from upstreams.fingerprints import version

        held = {name: digest(self.folder / name) for name in FILES if (self.folder / name).is_file()}
        if WHOLE in held:  # it says all
            held = {WHOLE: held[WHOLE]}
        return of_json({"tokenizer": held, "tokenizers": version("tokenizers")})

    def pieces(self, text: str) -> list[int]:
        """The numbers of the word pieces of a text, at least one: a text that has none is the unknown piece."""
        numbers = self._library.encode(text, add_special_tokens=False).ids
        return numbers or [self._unknown]

    @cached_property
    def special(self) -> Special:
        """The special tokens that the model expects around a text."""
        encoding = self._library.encode("a", add_special_tokens=True)
        inner = [place for place, special in enumerate(encoding.special_tokens_mask) if not special]
        return Special(tuple(encoding.ids[: inner[0]]), tuple(encoding.ids[inner[-1] + 1 :]))

    @cached_property
    def _library(self) -> tokenizers.Tokenizer:
        file = self.folder / WHOLE
        try:
            library = _whole(file) if file.is_file() else _older(self.folder)
            library.no_truncation()
            library.no_padding()
        except EmorepError:
            raise
        except Exception as error:  # the library raises plain exceptions
            held = [name for name in FILES if (self.folder / name).is_file()]
            raise UpstreamError(
                f"{self.folder}: no tokenizer can be made of {', '.join(held)} ({error}); download them again"
            ) from error
        self._refuse_anothers(library)
        return library

    def _refuse_anothers(self, library: tokenizers.Tokenizer) -> None:
        size, pad = library.get_vocab_size(with_added_tokens=True), library.id_to_token(self._pad)
        where = f"{self.folder} holds another model's tokenizer than its {CONFIGURATION} says"
        if not 0 <= self._vocabulary - size < ROUNDING:
            raise UpstreamError(
                f"{where}: it has {size} word pieces and the model {self._vocabulary}; copy the tokenizer of this model"
            )
        if "pad" not in (pad or "").casefold():
            raise UpstreamError(
                f"{where}: the model pads with number {self._pad}, which is {pad!r} in it; copy the tokenizer of this "
                "model"
            )

    @property
    def _unknown(self) -> int:
        names = ("[UNK]", "<unk>")
        known = [number for name in names if (number := self._library.token_to_id(name)) is not None]
        if not known:
            raise UpstreamError(
                f"{self.folder}: its tokenizer has neither {' nor '.join(names)}, and a text has no piece"
            )
        return known[0]


def holds_one(folder: Path) -> bool:
    """Whether a folder has the files of a tokenizer."""
    return any(all((folder / name).is_file() for name in names) for names in ((WHOLE,), *OLDER))


def _whole(file: Path) -> tokenizers.Tokenizer:
    import tokenizers

    return tokenizers.Tokenizer.from_file(str(file))


def _older(folder: Path) -> tokenizers.Tokenizer:
    """transformers makes the tokenizer from the older files; nothing is downloaded, and no code of the folder runs."""
    from upstreams.torchaudio_repair import repair

    repair()
    import transformers

    made = transformers.AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    return made.backend_tokenizer
