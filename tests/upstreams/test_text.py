"""The modality text: from the column `text` to features, with no audio at hand."""

import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import upstreams
from tests.upstreams.sounds import extract, noise, plugin, speak, words
from upstreams import UpstreamError, contract
from upstreams.checks import check
from upstreams.inputs import of_table

# A frame for each word: its length and whether it is in capitals. Exact, and additive over windows.
WORDS = """
import torch

class Words:
    modality, depth, width = "text", 2, 2

    def __call__(self, texts):
        frames = [torch.tensor([[len(w), w.isupper()] for w in text.split()]).float() for text in texts]
        return [torch.stack([one, 10 * one]) for one in frames]
"""
# The same, called with windows of three words.
WINDOWED = WORDS.replace("def __call__", "def windows(self, text):\n        w = text.split()\n        return "
                         "[' '.join(w[i:i + 3]) for i in range(0, len(w), 3)]\n\n    def __call__")  # fmt: skip
TEXTS = ["I am NOT angry", "No", "what a lovely day it is, is it not?", "No", "Heute abend könnte ich es ihm sagen."]


def truth(text: str) -> np.ndarray:
    """(T, 2, 2), as frames are kept."""
    values = np.array([[len(word), word.isupper()] for word in text.split()], dtype=np.float32)
    return np.stack([values, 10 * values], axis=1)


RAGGED = WORDS.replace("depth,", "ragged, depth,").replace("2, 2", "1, 2, 2")


@pytest.mark.parametrize(
    ("source", "jobs", "chunk"),
    [(WORDS, 1, 0), (WINDOWED, 1, 0), (RAGGED, 1, 0), (RAGGED, 1, 1), (WINDOWED, 2, 1)],
)
def test_each_text_has_its_own_mean_deviation_and_frames(tmp_path: Path, source: str, jobs: int, chunk: int) -> None:
    name = plugin(tmp_path, source, "Words")
    features = extract(name, words(TEXTS), {"pooled", "frames:all"}, tmp_path / "cache", jobs=jobs, chunk=chunk)
    assert features.frames is not None and features.pooled is not None and features.audio_seconds is None
    for row, text in enumerate(TEXTS):
        np.testing.assert_array_equal(features.frames[row], truth(text).astype(np.float16))
        moments = np.stack([truth(text).mean(0), truth(text).std(0)])
        np.testing.assert_allclose(features.pooled[row], moments, rtol=1e-5, atol=1e-5)
    windowed = sum(len(text.split()) > 3 for text in TEXTS) if source == WINDOWED else 0
    assert features.counts == {"computed": 4, "reused": 1, "padded": 0, "windowed": windowed}  # "No" is there twice


def test_windows_that_are_no_lists_are_one_line(tmp_path: Path) -> None:
    flat = WORDS.replace("def __call__", "def windows(self, text):\n        return [len(text)]\n\n    def __call__")
    with pytest.raises(UpstreamError, match=r"gave no list of windows .*; expected a list of lists of numbers"):
        extract(plugin(tmp_path, flat, "Words"), words(TEXTS), {"pooled"}, tmp_path / "cache")


def test_features_depend_on_the_text_alone(tmp_path: Path) -> None:
    """Audio, where there is any, is never opened: another file, or none, makes no other features."""
    name, spoken = plugin(tmp_path, WORDS, "Words"), speak(tmp_path, [noise(0.1), noise(0.2)])
    spoken["text"] = TEXTS[:2]
    Path(spoken["path"].iloc[0]).unlink()
    first = extract(name, spoken, {"pooled"}, tmp_path / "cache")
    assert (first.counts["computed"], first.audio_seconds) == (2, pytest.approx(0.3))
    again = extract(name, words(TEXTS[1::-1]), {"pooled"}, tmp_path / "cache")
    assert again.counts["computed"] == 0
    np.testing.assert_array_equal(again.pooled[::-1], first.pooled[:])
    assert extract(name, words([TEXTS[0] + " "]), {"pooled"}, tmp_path / "cache").counts["computed"] == 1


def test_progress_counts_texts(tmp_path: Path) -> None:
    steps: list[tuple[float, float]] = []
    name = plugin(tmp_path, WORDS, "Words")
    extract(name, words(TEXTS), {"pooled"}, tmp_path / "cache", progress=lambda *step: steps.append(step))
    assert steps[0] == (0, 4) and steps[-1] == (4, 4)


@pytest.mark.parametrize("blank", ["", "  \n", None, float("nan"), 3])
def test_an_utterance_without_text_is_named(blank: object) -> None:
    table = pd.DataFrame({"text": ["yes", blank, "no"]}, index=["a", "b", "c"])
    with pytest.raises(UpstreamError, match=r"no text of b: it is missing or blank.*--skip-bad"):
        of_table(table, "text")
    assert [one.text for one in of_table(table.drop(index="b"), "text")] == ["yes", "no"]


def test_a_table_without_texts_or_with_broken_ones_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UpstreamError, match="no column text"):
        of_table(speak(tmp_path, [noise(0.1)]), "text")
    with pytest.raises(UpstreamError, match="the text of u0 is no valid Unicode"):
        of_table(pd.DataFrame({"text": ["half a pair: \ud83d"]}, index=["u0"], dtype=object), "text")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("10 * one])", "one])[:, :0]", "gave no frame; every text has at least one"),
        ("torch.stack([one, 10 * one])", "one", "expected .depth, frames, width. = .2, T, 2."),
        ("for text in texts]", "for text in texts[1:]]", "gave 0 outputs for 1 texts"),
        ("def __call__", "def windows(self, text): return []\n\n    def __call__", r"windows\(\) gave none \[on u0\]"),
        ("def __call__", "def windows(self, text): 1 / 0\n\n    def __call__", r"windows\(\) of it failed.*\[on u0\]"),
        ("def __call__(self, texts):", "def __call__(self, texts):\n        1 / 0", r"ZeroDivision.*\[on u0\]"),
    ],
)
def test_a_breach_of_the_contract_names_the_utterance_or_the_shape(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in WORDS
    with pytest.raises(UpstreamError, match=message):
        extract(plugin(tmp_path, WORDS.replace(old, new), "Words"), words(TEXTS[:1]), {"pooled"}, tmp_path / "cache")


def test_the_check_passes_text_upstreams_and_finds_faults(tmp_path: Path) -> None:
    assert any("3000 frames" in line for line in check(plugin(tmp_path, WORDS, "Words")))
    assert any("3000 frames in 1000 windows" in line for line in check(plugin(tmp_path, WINDOWED, "Words")))
    leak = WORDS.replace("depth,", "ragged, depth,").replace("2, 2", "True, 2, 2")
    leak = leak.replace("10 * one]) for", "one + len(texts)]) for")
    with pytest.raises(UpstreamError, match=r"other features in a batch than alone.*mask the padding"):
        list(check(plugin(tmp_path, leak, "Words")))
    with pytest.raises(UpstreamError, match="not finite for"):
        list(check(plugin(tmp_path, WORDS.replace("10 * one", "(one - 3).log()"), "Words")))
    single = WORDS.replace("torch.stack([one, 10 * one])", "torch.stack([one, one]).mean(1, keepdim=True)")
    with pytest.raises(UpstreamError, match="say hop = None"):
        list(check(plugin(tmp_path, single, "Words")))
    assert any("1 frame" in line for line in check(plugin(tmp_path, single.replace("depth,", "hop, depth,").replace(
        "2, 2", "None, 2, 2"), "Words")))  # fmt: skip


def test_the_contracts_own_example_of_text_passes_the_check(tmp_path: Path) -> None:
    example = textwrap.dedent((contract.__doc__ or "").rpartition("word pieces:\n\n")[2])
    assert list(check(plugin(tmp_path, "import torch\n" + example, "Capitals")))


def test_a_text_network_is_live(tmp_path: Path) -> None:
    source = """
import torch

class Bytes(torch.nn.Module):
    modality, depth, width, hop = "text", 1, 3, None

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table = torch.nn.Embedding(256, 3)

    def forward(self, texts):
        return [self.table(torch.tensor(list(text.encode()))).mean(0)[None, None] for text in texts]
"""
    features = extract(plugin(tmp_path, source, "Bytes"), words(TEXTS), {"pooled", "live"}, tmp_path / "cache")
    assert features.live is not None and features.pooled is not None
    network = features.live.network()
    outputs = features.live.frames(network, [2, 0])
    torch.testing.assert_close(torch.cat(outputs)[:, 0].detach(), torch.from_numpy(features.pooled[[2, 0], 0, 0]))
    sum(output.sum() for output in outputs).backward()
    assert network.table.weight.grad.abs().sum() > 0


def grams(*texts: str) -> np.ndarray:
    return np.stack([row.numpy()[0, 0] for row in upstreams.load("text_ngrams")(list(texts))])


def test_ngrams_are_of_unit_length_and_near_for_like_texts() -> None:
    english, chinese = ("I am so happy today", "i am so HAPPY!"), ("他今天很高兴", "他很高兴。")
    rows = grams(*english, "Das Buch liegt auf dem Tisch", "?", *chinese)
    assert rows.shape == (6, 4096)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-6)
    alike = rows @ rows.T
    assert alike[0, 1] > 0.5 and alike[0, 2:].max() < 0.1
    assert alike[4, 5] > 0.3 and alike[4, :4].max() < 0.1
    assert (rows < 0).any() and (rows > 0).any()


def test_ngrams_know_order_and_spelling_but_no_case_and_no_form_of_unicode() -> None:
    one, turned, upper, composed, apart = grams("dog bites man", "man bites dog", "DOG BITES MAN", "é", "e\u0301")
    np.testing.assert_array_equal(one, upper)
    np.testing.assert_array_equal(composed, apart)
    assert not np.allclose(one, turned)


def test_ngrams_are_those_of_earlier_versions() -> None:
    """The hash is no hash of Python's, which differs from process to process."""
    (row,) = grams("No.")
    places = np.flatnonzero(row)
    assert dict(zip(places.tolist(), np.sign(row[places]).tolist(), strict=True)) == KNOWN


# place -> sign
KNOWN = {
    175: 1, 767: 1, 1167: 1, 1700: -1, 1853: -1, 2098: 1, 2243: -1, 3258: 1, 3359: 1, 3546: 1, 3675: 1, 4088: 1,
}  # fmt: skip
