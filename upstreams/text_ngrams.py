"""Words and characters of a text, counted: the floor for text encoders. Nothing is fitted, nothing is downloaded."""

from __future__ import annotations

import unicodedata
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from upstreams.fingerprints import recipe, version

if TYPE_CHECKING:
    import torch
    from sklearn.feature_extraction.text import HashingVectorizer

WIDTH = 4096
HAN_KANA = r"\u3040-\u30ff\u3400-\u9fff"  # Chinese and Japanese put no spaces between words
WORD = rf"[{HAN_KANA}]|[^\W{HAN_KANA}]+|[^\w\s]"  # such a character, a word, or a punctuation mark
WORDS, CHARACTERS = (1, 2), (2, 4)  # lengths of the n-grams


class TextNgrams:
    """One vector for each text: signed counts of n-grams, each hashed to one of 4,096 places, of L2 norm 1.

    The n-grams are one or two words in a row, and two to four characters in a row within a word and the spaces around
    it. A punctuation mark is a word, and so is each Chinese or Japanese character. Case makes no difference.
    """

    modality = "text"
    title = "word and character n-grams, hashed"
    hop, depth, width, ragged = None, 1, WIDTH, True
    seen: ClassVar[dict[str, str]] = {}

    def fingerprint(self) -> str:
        settings = {"width": WIDTH, "word": WORD, "words": WORDS, "characters": CHARACTERS, "revision": 1}
        return recipe(
            kind="text_ngrams", settings=settings, unicode=unicodedata.unidata_version, sklearn=version("scikit-learn")
        )

    def __call__(self, texts: list[str]) -> list[torch.Tensor]:
        import torch

        rows = torch.from_numpy(self._hashing.transform(texts).toarray()).float()
        return list(rows[:, None, None])

    @cached_property
    def _hashing(self) -> HashingVectorizer:
        from sklearn.feature_extraction.text import HashingVectorizer

        words = HashingVectorizer(ngram_range=WORDS, token_pattern=WORD).build_analyzer()
        characters = HashingVectorizer(analyzer="char_wb", ngram_range=CHARACTERS).build_analyzer()

        def grams(text: str) -> list[str]:
            """All n-grams of a text; a mark before each tells a short word from the same characters."""
            text = unicodedata.normalize("NFC", text)
            return [f"w{gram}" for gram in words(text)] + [f"c{gram}" for gram in characters(text)]

        return HashingVectorizer(n_features=WIDTH, analyzer=grams, norm="l2", alternate_sign=True)
