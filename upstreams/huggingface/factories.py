"""From names to encoders: the functions that the registry names as targets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from upstreams import tuned
from upstreams.errors import UpstreamError
from upstreams.huggingface.copies import find
from upstreams.huggingface.encoder import SpeechEncoder
from upstreams.huggingface.named_encoders import MODELS, Model, tiny
from upstreams.huggingface.named_text_encoders import TEXT_MODELS
from upstreams.huggingface.text import Bert, Roberta, TextEncoder, XLMRoberta
from upstreams.huggingface.tuned_folder import facts_of
from upstreams.huggingface.w2v_bert import Wav2Vec2Bert
from upstreams.huggingface.waveform import Data2VecAudio, Hubert, UniSpeech, UniSpeechSat, Wav2Vec2, WavLM
from upstreams.huggingface.weights import CONFIGURATION, Seeded, Stored
from upstreams.huggingface.whisper import Whisper
from upstreams.huggingface.xvector import WavLMForXVector

Family = type[SpeechEncoder] | type[TextEncoder]
FAMILIES: dict[str, Family] = {
    "Wav2Vec2": Wav2Vec2,
    "Hubert": Hubert,
    "WavLM": WavLM,
    "WavLMForXVector": WavLMForXVector,
    "Data2VecAudio": Data2VecAudio,
    "UniSpeech": UniSpeech,
    "UniSpeechSat": UniSpeechSat,
    "Wav2Vec2Bert": Wav2Vec2Bert,
    "Whisper": Whisper,
    "Bert": Bert,
    "Roberta": Roberta,
    "XLMRoberta": XLMRoberta,
}
TYPES: dict[str, Family] = {  # `model_type` of a configuration
    "wav2vec2": Wav2Vec2,
    "hubert": Hubert,
    "wavlm": WavLM,
    "data2vec-audio": Data2VecAudio,
    "unispeech": UniSpeech,
    "unispeech-sat": UniSpeechSat,
    "wav2vec2-bert": Wav2Vec2Bert,
    "whisper": Whisper,
    "bert": Bert,
    "roberta": Roberta,
    "xlm-roberta": XLMRoberta,
}


def random(name: str, seed: int = 0, small: bool = False) -> SpeechEncoder | TextEncoder:
    """The architecture of a named encoder with random weights; `small`: in a very small size, for tests."""
    model = MODELS[name]
    settings = tiny(name) if small else model.settings
    return FAMILIES[model.family](Seeded(model.family, settings, seed), f"{name}, random weights", {})


def random_text(name: str, seed: int = 0, folder: str = "", copies: str = "") -> SpeechEncoder | TextEncoder:
    """The architecture of a named encoder of text with random weights, and the tokenizer of its repository.

    The tokenizer is searched for in `folder`, else as `named` searches for weights; no weights are downloaded.
    """
    model = TEXT_MODELS[name]
    if folder and not Path(folder).is_dir():
        raise UpstreamError(
            f"{folder} is not a folder; random:{name}@FOLDER needs one with the tokenizer of {name} in it"
        )
    stored = (
        Stored(Path(folder), Path(folder).name)
        if folder
        else find(model.repo, otherwise=f"random:{name}", copies=copies, weights=False)
    )
    _refuse_another(f"random:{name}", model, stored)
    weights = Seeded(model.family, model.settings, seed, stored.tokenizer)
    return FAMILIES[model.family](weights, f"{name}, random weights", {})


def named(name: str, folder: str = "", copies: str = "") -> SpeechEncoder | TextEncoder:
    """A named encoder with the weights of its repository, or with those of a folder.

    What the weights of a folder were trained on is unknown, unless they were fine-tuned here. `copies`: a folder with
    copies of repositories, which is searched before the hub's cache; "": there is none.
    """
    model = MODELS.get(name) or TEXT_MODELS[name]
    if folder and not Path(folder).is_dir():
        raise UpstreamError(f"{folder} is not a folder; {name}@FOLDER needs one with {CONFIGURATION} and weights in it")
    stored = Stored(Path(folder), Path(folder).name) if folder else find(model.repo, otherwise=name, copies=copies)
    _refuse_another(name, model, stored)
    family = FAMILIES[model.family]
    if folder:
        facts = facts_of(stored.folder)
        called = tuned.title(facts) or f"{model.title}, weights of {stored.folder.name}"
        return family(stored, called, facts.get("seen", "unknown"), facts.get("licence", ""))
    return family(stored, model.title, model.seen, model.licence)


def _refuse_another(name: str, model: Model, stored: Stored) -> None:
    """Raises UpstreamError: a folder holds another model than the named one."""
    family = FAMILIES[model.family]
    given = {"model_type": None} | stored.configuration
    expected = {"model_type": _type(family)} | model.settings
    differs = [
        f"{key} {given[key]}, expected {value}" for key, value in expected.items() if given.get(key, value) != value
    ]
    if differs := differs + _strangers(given, family):
        raise UpstreamError(
            f"{stored.folder} holds another model than {name} ({', '.join(differs)}); to use that model, name it "
            f"hf:{stored.folder}"
        )


def unnamed(origin: str, revision: str = "", copies: str = "") -> SpeechEncoder | TextEncoder:
    """The encoder of a folder or of any repository of the hub; `copies` as in `named`."""
    folder = Path(origin).expanduser()
    stored = Stored(folder, folder.name) if folder.is_dir() else find(origin, revision, copies=copies)
    kind = stored.configuration.get("model_type")
    if not isinstance(kind, str) or kind not in TYPES:
        raise UpstreamError(
            f"{stored.folder / CONFIGURATION} says model_type {kind!r}; expected one of {', '.join(TYPES)}"
        )
    if strangers := _strangers(stored.configuration, TYPES[kind]):
        raise UpstreamError(
            f"{stored.folder / CONFIGURATION} contradicts itself: model_type {kind}, {', '.join(strangers)}"
        )
    facts = facts_of(stored.folder)
    called, seen = tuned.title(facts) or stored.source, facts.get("seen", "unknown")
    return TYPES[kind](stored, called, seen, facts.get("licence", ""))


def _type(family: Family) -> str:
    return next(kind for kind, encoder in TYPES.items() if encoder.configuration == family.configuration)


def _strangers(configuration: Mapping[str, object], family: Family) -> list[str]:
    """The classes that a configuration names although they are of another family."""
    architectures = configuration.get("architectures")
    named = [str(architecture) for architecture in architectures] if isinstance(architectures, list) else []
    of = {name: max((known for known in FAMILIES if name.startswith(known)), key=len, default=None) for name in named}
    return [
        f"architectures {name}"
        for name, known in of.items()
        if known and FAMILIES[known].configuration != family.configuration
    ]
