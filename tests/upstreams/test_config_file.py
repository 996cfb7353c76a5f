"""A stored model's settings: what cannot be followed is refused, with its file and key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import upstreams
from tests.upstreams.copies import WAVE, store
from upstreams import UpstreamError
from upstreams.torchaudio_repair import repair


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny wav2vec 2.0 as `save_pretrained` writes it."""
    return store("wav2vec2_base", tmp_path / "tiny")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"num_hidden_layers": "2"}, r"num_hidden_layers '2'; expected a whole number"),
        ({"hidden_size": None}, "hidden_size None; expected a whole number"),
        ({"conv_stride": [5, 2]}, r"conv_stride \[5, 2\]; expected one value for each of conv_kernel"),
        ({"conv_kernel": "10"}, "conv_kernel '10'; expected a list"),
        ({"hidden_act": "nonsense"}, "cannot build Wav2Vec2Model from it: .*hidden_act"),
        ({"hidden_size": 33}, "cannot build Wav2Vec2Model from it"),
        ({"model_type": ["wav2vec2"]}, r"model_type \['wav2vec2'\]; expected one of"),
    ],
)
def test_a_setting_that_cannot_be_names_its_file_and_key(folder: Path, settings: dict, words: str) -> None:
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(content | settings))
    with pytest.raises(UpstreamError, match=rf"config\.json.*{words}"):
        upstreams.load(f"hf:{folder}")(WAVE)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("wav2vec2_base", {"do_normalize": "false"}),
        ("wav2vec2_base", {"sampling_rate": 8000}),
        ("whisper_tiny", {"feature_size": 128}),
        ("whisper_tiny", {"hop_length": 320}),
        ("whisper_tiny", {"n_fft": 512}),
        ("whisper_tiny", {"chunk_length": 10}),
        ("w2v_bert_2", {"num_mel_bins": 40}),
        ("w2v_bert_2", {"stride": 1}),
    ],
)
def test_a_preparation_that_is_not_done_here_is_refused(name: str, settings: dict, tmp_path: Path) -> None:
    place = store(name, tmp_path / "copy")
    (place / "preprocessor_config.json").write_text(json.dumps(settings))
    (key,) = settings
    with pytest.raises(UpstreamError, match=rf"preprocessor_config\.json says {key} .*; expected "):
        upstreams.load(f"hf:{place}")


@pytest.mark.parametrize("name", ["whisper_tiny", "whisper_large_v3", "w2v_bert_2", "wav2vec2_base"])
def test_what_the_librarys_extractor_writes_is_taken(name: str, tmp_path: Path) -> None:
    repair()
    import transformers

    place = store(name, tmp_path / "copy")
    bands = json.loads((place / "config.json").read_text()).get("num_mel_bins", 80)
    extractor = {
        "whisper": lambda: transformers.WhisperFeatureExtractor(feature_size=bands),
        "w2v": transformers.SeamlessM4TFeatureExtractor,
        "wav2vec2": transformers.Wav2Vec2FeatureExtractor,
    }[name.split("_")[0]]()
    extractor.save_pretrained(place)
    assert upstreams.load(f"hf:{place}").audio.sample_rate == 16000
