"""Phonemes in one inventory: folding, the corpus's own before those of texts, and what is said where there are none."""

import sys
import unicodedata
from collections import Counter

import pandas as pd
import pytest

from tasks import corpora, further, phonemes
from tasks.__main__ import main
from tasks.errors import TaskError

TEXTS = {
    "bn": "মৌমাছি ফুলে বসে",
    "de": "Der Lappen liegt auf dem Eisschrank.",
    "el": "Καλημέρα, τι κάνεις;",
    "en": "Kids are talking by the door, o'clock 11",
    "fa": "سلام دنیا",
    "fr": "Un cheval fou dans mon jardin",
    "hi": "बचाओ मुझे",
    "it": "L'autunno prossimo Tony partirà",
    "ko": "안녕하세요 반갑습니다",
    "pl": "Chrząszcz brzmi w trzcinie",
    "ru": "Добрый день",
    "ur": "میں گھر جا رہا ہوں",
    "zh": "今天天气很好",
}


def of(*rows):
    """Phonemes of rows (text, language, phonemes)."""
    return phonemes.of(pd.DataFrame(rows, columns=["text", "language", "phonemes"]), "mine")


def words(made):
    return ["".join(phonemes.table().symbols[i] for i in own) for own in made.symbols]


@pytest.fixture
def espeak():
    pytest.importorskip("phonemizer", reason="the extra `phonemes` is not installed")
    pytest.importorskip("espeakng_loader", reason="the extra `phonemes` is not installed")


@pytest.mark.parametrize(
    ("sounds", "expected", "dropped"),
    [
        ("m ˈẽ | ɡʰ ˈʌ r", "m e ɡ ʌ r", {"stress": 2, "marks": 2}),
        ("s ˈɔøː", "s ɔ ø", {"stress": 1, "length": 1}),
        ("tɕ ˈi5 n", "t ɕ i n", {"stress": 1, "tone": 1}),
        ("ç t͡ʃ ɚ g", "ç t ʃ ə ɡ", {"marks": 1}),
        ("p a tt o | o", "p a t o o", {"length": 1}),  # a letter twice in one sound is long, in two sounds it is two
    ],
)
def test_transcriptions_are_folded_and_what_is_dropped_is_counted(sounds, expected, dropped):
    count = Counter()
    assert phonemes.folded(sounds, count) == expected.split()
    assert +count == dropped


def test_the_inventory_is_closed_under_folding():
    table = phonemes.table()
    for symbol in table.symbols:
        assert phonemes.folded(symbol) == [symbol] == phonemes.folded(unicodedata.normalize("NFD", symbol))
    assert set(table.voices) >= {
        language for name in corpora.names() for language in corpora.module(name).CORPUS.language.split("/")
    } - {"und"}


def test_a_strange_letter_is_named():
    with pytest.raises(TaskError, match=r"mine: 'д' in 'a д' is not in phonemes\.yaml; add it there"):
        of(("", "de", "a д"))


def test_a_corpus_s_own_phonemes_come_before_its_texts():
    made = of(("Das will sie.", "und", "b a d i"), (None, "und", None))
    assert words(made) == ["badi", ""] and (made.own, made.by_espeak, made.without) == (1, 0, 1) and not made.notes


def test_a_language_without_a_voice_is_told():
    (note,) = of(("hello", "tlh", None), ("...", "tlh", None), ("hello", "", None)).notes
    assert note.endswith("phonemes.yaml has no voice of their language: 1 in no language, 1 in tlh")


def test_without_espeak_the_target_is_left_out_and_one_line_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    texts = ["a text of this test alone", "and another"]
    rows = pd.DataFrame({"text": texts, "language": ["en", "en"], "gender": ["female", "male"]})
    with pytest.warns(UserWarning, match="need the extra `phonemes`, which is not installed") as said:
        made = further.targets(rows, ("gender", "phonemes"), "mine")
    assert [target.name for target in made] == ["gender"] and len(said) == 1
    assert of(("another text of this test", "en", "a b")).notes == (), "own phonemes need no espeak-ng"


@pytest.mark.parametrize("language", TEXTS)
def test_texts_of_every_language_become_symbols(espeak, language):
    made = of((TEXTS[language], language, None), (TEXTS[language], language, None))
    assert made.symbols[0] == made.symbols[1] and len(made.symbols[0]) > 3 and not made.notes
    assert (made.by_espeak, made.without) == (2, 0)


def test_names_of_sounds_in_brackets_are_not_spoken(espeak):
    said, alone, marked = words(
        of(("I know.", "en", None), ("[LAUGHTER]", "en", None), ("[LAUGHTER] I <breath>\nknow.", "en", None))
    )
    assert said == marked and alone == ""


def test_the_languages_of_known_texts_are_spoken_as_they_are_known(espeak):
    assert words(of((TEXTS["de"], "de", None))) == ["dɛɾlapənliːktaʊfdeːmaɪsçraŋk".replace("ː", "")]


def test_the_command_counts_them(capsys, demo_cache):
    assert main(["phonemes", "demo", "--data", str(demo_cache), "--cache", str(demo_cache)]) == 0
    out = capsys.readouterr().out
    assert "demo: phonemes of 320 of 320 utterances (320 the corpus's own, 0 by espeak-ng)" in out
    assert "8 different sequences; dropped 0 stress, 0 length, 0 tone, 0 marks" in out
