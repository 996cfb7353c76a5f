"""The published models: where their files are, what trained them, what their classes are called. Imports no torch."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from upstreams import hub
from upstreams.emotion2vec.config import BASE, LARGE, ModelConfig
from upstreams.errors import UpstreamError

CITE = ("ma2024emotion2vec",)
# Emo-262, without labels (the paper, section 4.1); it began with data2vec 2.0, of LibriSpeech.
AUDIO_OF = ("iemocap", "meld", "cmu_mosei", "mead", "msp_podcast", "librispeech")
# Corpora of EmoBox, on whose labels the plus models were trained (emotion2vec's README).
EMOBOX = (
    *("aesdd", "ased", "asvp_esd", "cafe", "casia", "cremad", "emns", "emodb", "emov_db", "emovo", "emozionalmente"),
    *("enterface", "esd", "iemocap", "jl_corpus", "m3ed", "mead", "meld", "mer2023", "mesd", "msp_podcast", "oreau"),
    *("pavoque", "polish", "ravdess", "resd", "savee", "shemo", "subesco", "tess", "turev_db", "urdu"),
)
NINE = ("angry", "disgusted", "fearful", "happy", "neutral", "other", "sad", "surprised", "<unk>")
SEED = ("angry", "unuse_0", "unuse_1", "happy", "neutral", "unuse_2", "sad", "unuse_3", "<unk>")


FILES = ("model.pt", "emotion2vec_base.pt")  # what the hubs call the one file of weights in a repository


@dataclass(frozen=True)
class Official:
    """A published model. `labels` are the classes of its `proj`, in order (tokens.txt beside the weights)."""

    name: str
    title: str
    config: ModelConfig
    seen: dict[str, str] | str
    labels: tuple[str, ...] = ()

    @property
    def repository(self) -> str:
        return f"emotion2vec/{self.name}"


_audio = dict.fromkeys(AUDIO_OF, "audio")
_plus = _audio | dict.fromkeys(EMOBOX, "labels")
_nine = replace(BASE, classes=len(NINE))
MODELS = {
    model.name: model
    for model in (
        Official("emotion2vec_base", "emotion2vec base", BASE, _audio),
        # On which labels it was fine-tuned is not published.
        Official("emotion2vec_base_finetuned", "emotion2vec base, fine-tuned", _nine, "unknown", NINE),
        Official("emotion2vec_plus_seed", "emotion2vec+ seed", _nine, _plus, SEED),
        Official("emotion2vec_plus_base", "emotion2vec+ base", _nine, _plus, NINE),
        Official("emotion2vec_plus_large", "emotion2vec+ large", replace(LARGE, classes=len(NINE)), _plus, NINE),
    )
}


def fetch(model: Official, modelscope: Path) -> Path:
    """Its file, from the caches of FunASR (in ModelScope's folder) and of the hub, else downloaded.

    Raises UpstreamError: it is nowhere; says what to do by hand.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    funasr = modelscope / "hub"
    for path in (folder / "iic" / model.name / file for folder in (funasr / "models", funasr) for file in FILES):
        if path.is_file():
            return path
    for file in FILES:
        with suppress(EntryNotFoundError):
            return Path(hf_hub_download(model.repository, file, local_files_only=True))
    try:
        commit, names = hub.files(model.repository)
        file = next((file for file in FILES if file in names), FILES[0])
        return Path(hf_hub_download(model.repository, file, revision=commit))
    except Exception as error:  # of the hub's client, of its libraries or of the system
        raise UpstreamError(
            f"{model.name}: its weights are not on this machine and cannot be downloaded ({hub.reason(error)}). On a "
            f"machine with a network get {' or '.join(FILES)} from huggingface.co/{model.repository} or "
            f"modelscope.cn/models/iic/{model.name}, copy it here, and name it {model.name}@FILE"
        ) from error
