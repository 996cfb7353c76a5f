"""The named encoders, one row each. What a row says of training data is on the model's card or in its paper."""

from __future__ import annotations

from dataclasses import dataclass

Seen = dict[str, str] | str
Values = dict[str, object]  # a configuration, by key


@dataclass(frozen=True)
class Model:
    """An encoder on the hub.

    Attributes:
        family: its class in transformers.
        settings: where the architecture differs from the defaults of that class. Random weights are made by them, and
            a stored copy must agree with them.
        about: what it was trained on, for lists; seen: the same by corpus, as in the contract.
        parameters: of the encoder, millions.
        cite: BibTeX keys of its papers, in leaderboard/bibliography.bib; empty where none is there.
    """

    title: str
    repo: str
    family: str
    settings: Values
    about: str
    seen: Seen
    licence: str
    parameters: int
    cite: tuple[str, ...] = ()


BASE: Values = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
LARGE: Values = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
LAYER_NORM: Values = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}  # the front end of large models
BIASED = {**LAYER_NORM, "conv_bias": True}
X_VECTOR = {"tdnn_dim": [512, 512, 512, 512, 1500], "tdnn_kernel": [5, 3, 3, 1, 1], "tdnn_dilation": [1, 2, 3, 1, 1],
            "xvector_output_dim": 512}  # fmt: skip


def _whisper(width: int, layers: int, heads: int, mels: int = 80) -> Values:
    return {"d_model": width, "encoder_layers": layers, "encoder_attention_heads": heads,
            "encoder_ffn_dim": 4 * width, "num_mel_bins": mels}  # fmt: skip


LIBRISPEECH: Seen = {"librispeech": "audio"}
LIBRI_LIGHT: Seen = {"libri_light": "audio"}
MIX_94K = {"libri_light": "audio", "gigaspeech": "audio", "voxpopuli": "audio"}
XLSR = dict.fromkeys(("voxpopuli", "mls", "common_voice", "voxlingua107", "babel"), "audio")
MMS = XLSR | {"mms_lab": "audio"}
ROBUST = dict.fromkeys(("libri_light", "common_voice", "switchboard", "fisher"), "audio")
WEB = "680,000 h of transcribed audio of the web"

APACHE, CC_SA = "Apache-2.0", "CC-BY-SA-3.0"
LS_960, LL_60K, MIX = "LibriSpeech, 960 h", "Libri-Light, 60,000 h", "Mix-94k: Libri-Light, GigaSpeech, VoxPopuli"
# Keys of their papers.
WAV2VEC2, HUBERT, WAVLM, DATA2VEC = ("baevski2020",), ("hsu2021",), ("chen2022",), ("baevski2022",)

MODELS = {
    "wav2vec2_base": Model(
        "wav2vec 2.0 base", "facebook/wav2vec2-base", "Wav2Vec2", BASE,
        LS_960, LIBRISPEECH, APACHE, 94, WAV2VEC2,
    ),
    "wav2vec2_large": Model(
        "wav2vec 2.0 large", "facebook/wav2vec2-large-lv60", "Wav2Vec2", LARGE | BIASED,
        LL_60K, LIBRI_LIGHT, APACHE, 315, WAV2VEC2,
    ),
    "hubert_base": Model(
        "HuBERT base", "facebook/hubert-base-ls960", "Hubert", BASE,
        LS_960, LIBRISPEECH, APACHE, 94, HUBERT,
    ),
    "hubert_large": Model(
        "HuBERT large", "facebook/hubert-large-ll60k", "Hubert", LARGE | BIASED,
        LL_60K, LIBRI_LIGHT, APACHE, 315, HUBERT,
    ),
    "wavlm_base": Model(
        "WavLM base", "microsoft/wavlm-base", "WavLM", BASE,
        LS_960, LIBRISPEECH, CC_SA, 94, WAVLM,
    ),
    "wavlm_base_plus": Model(
        "WavLM base+", "microsoft/wavlm-base-plus", "WavLM", BASE,
        MIX, MIX_94K, CC_SA, 94, WAVLM,
    ),
    "wavlm_large": Model(
        "WavLM large", "microsoft/wavlm-large", "WavLM", LARGE | LAYER_NORM,
        MIX, MIX_94K, CC_SA, 315, WAVLM,
    ),
    "data2vec_base": Model(
        "data2vec base", "facebook/data2vec-audio-base", "Data2VecAudio", BASE,
        LS_960, LIBRISPEECH, APACHE, 93, DATA2VEC,
    ),
    "data2vec_large": Model(
        "data2vec large", "facebook/data2vec-audio-large", "Data2VecAudio", LARGE,
        LL_60K, LIBRI_LIGHT, APACHE, 313, DATA2VEC,
    ),
    "xlsr_300m": Model(
        "XLS-R 300M", "facebook/wav2vec2-xls-r-300m", "Wav2Vec2", LARGE | BIASED,
        "436,000 h in 128 languages", XLSR, APACHE, 315,
    ),
    "mms_300m": Model(
        "MMS 300M", "facebook/mms-300m", "Wav2Vec2", LARGE | BIASED,
        "491,000 h in 1,406 languages", MMS, "CC-BY-NC-4.0", 315,
    ),
    "w2v_bert_2": Model(
        "w2v-BERT 2.0", "facebook/w2v-bert-2.0", "Wav2Vec2Bert", LARGE,
        "4.5 million h in 143 languages, not named", "unknown", "MIT", 581,
    ),
    "whisper_tiny": Model(
        "Whisper tiny, encoder", "openai/whisper-tiny", "Whisper", _whisper(384, 4, 6),
        WEB, "unknown", APACHE, 8,
    ),
    "whisper_base": Model(
        "Whisper base, encoder", "openai/whisper-base", "Whisper", _whisper(512, 6, 8),
        WEB, "unknown", APACHE, 21,
    ),
    "whisper_small": Model(
        "Whisper small, encoder", "openai/whisper-small", "Whisper", _whisper(768, 12, 12),
        WEB, "unknown", APACHE, 88,
    ),
    "whisper_medium": Model(
        "Whisper medium, encoder", "openai/whisper-medium", "Whisper", _whisper(1024, 24, 16),
        WEB, "unknown", APACHE, 307,
    ),
    "whisper_large_v3": Model(
        "Whisper large-v3, encoder", "openai/whisper-large-v3", "Whisper", _whisper(1280, 32, 20, 128),
        "5 million h of audio of the web, 4 million of them labelled by a model", "unknown", APACHE, 637,
    ),
    "wav2vec2_msp_dim": Model(
        "wav2vec 2.0 robust, dimensional",
        "audeering/wav2vec2-large-robust-12-ft-emotion-msp-dim", "Wav2Vec2", LARGE | BIASED | {"num_hidden_layers": 12},
        "fine-tuned on arousal, valence, dominance of MSP-Podcast", ROBUST | {"msp_podcast": "labels"},
        "CC-BY-NC-SA-4.0", 164, WAV2VEC2,
    ),
    "wavlm_base_plus_sv": Model(
        "WavLM base+ x-vector", "microsoft/wavlm-base-plus-sv", "WavLMForXVector", BASE | X_VECTOR,
        "a control that identifies speakers: Mix-94k, VoxCeleb1", MIX_94K | {"voxceleb1": "labels"}, CC_SA, 100, WAVLM,
    ),
}  # fmt: skip

_SMALL: Values = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
_SMALL_CONVOLUTIONS = _SMALL | {"conv_dim": [32] * 7}
_TINY: dict[str, Values] = {
    "Wav2Vec2": _SMALL_CONVOLUTIONS,
    "Hubert": _SMALL_CONVOLUTIONS,
    "WavLM": _SMALL_CONVOLUTIONS,
    "WavLMForXVector": _SMALL_CONVOLUTIONS | {"tdnn_dim": [32, 32, 32, 32, 48], "xvector_output_dim": 24},
    "Data2VecAudio": _SMALL_CONVOLUTIONS,
    "Wav2Vec2Bert": _SMALL,
    "Whisper": {"d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 64},
}


def tiny(name: str) -> Values:
    """Settings of a very small model of the same architecture as a named encoder, for tests."""
    model = MODELS[name]
    return model.settings | _TINY[model.family]
