"""Names to encoders: what the registry's targets call."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from upstreams.errors import UpstreamError
from upstreams.huggingface.encoder import Encoder
from upstreams.huggingface.models import MODELS, tiny
from upstreams.huggingface.w2v_bert import Wav2Vec2Bert
from upstreams.huggingface.waveform import Data2VecAudio, Hubert, UniSpeech, UniSpeechSat, Wav2Vec2, WavLM
from upstreams.huggingface.weights import CONFIGURATION, Seeded, Stored, find
from upstreams.huggingface.whisper import Whisper
from upstreams.huggingface.xvector import WavLMForXVector

FAMILIES: dict[str, type[Encoder]] = {
    "Wav2Vec2": Wav2Vec2,
    "Hubert": Hubert,
    "WavLM": WavLM,
    "WavLMForXVector": WavLMForXVector,
    "Data2VecAudio": Data2VecAudio,
    "UniSpeech": UniSpeech,
    "UniSpeechSat": UniSpeechSat,
    "Wav2Vec2Bert": Wav2Vec2Bert,
    "Whisper": Whisper,
}
TYPES: dict[str, type[Encoder]] = {  # `model_type` of a configuration
    "wav2vec2": Wav2Vec2,
    "hubert": Hubert,
    "wavlm": WavLM,
    "data2vec-audio": Data2VecAudio,
    "unispeech": UniSpeech,
    "unispeech-sat": UniSpeechSat,
    "wav2vec2-bert": Wav2Vec2Bert,
    "whisper": Whisper,
}


def random(name: str, seed: int = 0, small: bool = False) -> Encoder:
    """A named encoder's architecture with random weights; `small`: its tiny sister, for tests."""
    model = MODELS[name]
    settings = tiny(name) if small else model.settings
    return FAMILIES[model.family](Seeded(model.family, settings, seed), f"{name}, random weights", {})


def named(name: str, folder: str = "", copies: str = "") -> Encoder:
    """A named encoder from its repository's copy, or with the weights of a folder: nobody says what trained those.

    copies: the folder of copies that is looked into before the hub's cache; "": there is none.
    """
    model = MODELS[name]
    if folder and not Path(folder).is_dir():
        raise UpstreamError(f"{folder} is no folder; {name}@FOLDER takes one with {CONFIGURATION} and weights in it")
    stored = Stored(Path(folder), Path(folder).name) if folder else find(model.repo, otherwise=name, copies=copies)
    family = FAMILIES[model.family]
    found = {"model_type": None} | stored.configuration
    expected = {"model_type": _type(family)} | model.settings
    differs = [
        f"{key} {found[key]}, expected {value}" for key, value in expected.items() if found.get(key, value) != value
    ]
    if differs := differs + _strangers(found, family):
        raise UpstreamError(
            f"{stored.folder} holds another model than {name} ({', '.join(differs)}); to use it as what it is, "
            f"name it hf:{stored.folder}"
        )
    if folder:
        return family(stored, f"{model.title}, weights of {stored.folder.name}", "unknown")
    return family(stored, model.title, model.seen, model.licence)


def unnamed(place: str, revision: str = "", copies: str = "") -> Encoder:
    """A folder, or a repository of the hub, that no row of the table stands for; `copies` as in `named`."""
    folder = Path(place).expanduser()
    stored = Stored(folder, folder.name) if folder.is_dir() else find(place, revision, copies=copies)
    kind = stored.configuration.get("model_type")
    if not isinstance(kind, str) or kind not in TYPES:
        raise UpstreamError(
            f"{stored.folder / CONFIGURATION} says model_type {kind!r}; expected one of {', '.join(TYPES)}"
        )
    if strangers := _strangers(stored.configuration, TYPES[kind]):
        raise UpstreamError(
            f"{stored.folder / CONFIGURATION} contradicts itself: model_type {kind}, {', '.join(strangers)}"
        )
    return TYPES[kind](stored, stored.source, "unknown")


def _type(family: type[Encoder]) -> str:
    return next(kind for kind, encoder in TYPES.items() if encoder.configuration == family.configuration)


def _strangers(configuration: Mapping[str, object], family: type[Encoder]) -> list[str]:
    """The classes that a configuration names and that are of another family."""
    architectures = configuration.get("architectures")
    named = [str(architecture) for architecture in architectures] if isinstance(architectures, list) else []
    of = {name: max((known for known in FAMILIES if name.startswith(known)), key=len, default=None) for name in named}
    return [
        f"architectures {name}"
        for name, known in of.items()
        if known and FAMILIES[known].configuration != family.configuration
    ]
