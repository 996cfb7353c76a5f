"""Published figures: of which upstream of this harness each is, and what its model had seen of the task.

Papers call models by names of their own: SUPERB's `npc` is `s3prl:npc` here, and `emotion2vec` in a paper is
`emotion2vec_base` here, never our own small model. Records hold the names of papers; `MODELS` says what they are.
tests/e2e/test_published.py holds the table against the definitions of tasks and the registry of upstreams.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from commons.corridors.record import Published, Record, Task, Upstream
from leaderboard.records.record_store import contamination

Seen = dict[str, str] | str


@dataclass(frozen=True)
class Model:
    """A model of a paper.

    Attributes:
        upstreams: names of the upstreams that are this model, its own name first; empty: no upstream of this harness
            is, and `why` says so.
        seen: corpora that trained it, and with what (audio, labels); "unknown" where nobody says.
    """

    upstreams: tuple[str, ...]
    seen: Seen = field(default_factory=dict)
    why: str = ""


LIBRISPEECH: Seen = {"librispeech": "audio"}
LIBRI_LIGHT: Seen = {"libri_light": "audio"}
MIX_94K: Seen = {"libri_light": "audio", "gigaspeech": "audio", "voxpopuli": "audio"}
EMO_262: Seen = dict.fromkeys(("iemocap", "meld", "cmu_mosei", "mead", "msp_podcast", "librispeech"), "audio")
DATA2VEC_2 = "data2vec 2.0 has no loader here: neither transformers nor s3prl reads its checkpoints"

MODELS = {
    "wav2vec2_base": Model(
        ("wav2vec2_base", "hf:facebook/wav2vec2-base", "s3prl:wav2vec2", "s3prl:wav2vec2_base_960"), LIBRISPEECH
    ),
    "wav2vec2_large": Model(
        ("wav2vec2_large", "hf:facebook/wav2vec2-large-lv60", "s3prl:wav2vec2_large_ll60k"), LIBRI_LIGHT
    ),
    "hubert_base": Model(
        ("hubert_base", "hf:facebook/hubert-base-ls960", "s3prl:hubert", "s3prl:hubert_base"), LIBRISPEECH
    ),
    "hubert_large": Model(("hubert_large", "hf:facebook/hubert-large-ll60k", "s3prl:hubert_large_ll60k"), LIBRI_LIGHT),
    "wavlm_base": Model(("wavlm_base", "hf:microsoft/wavlm-base", "s3prl:wavlm_base"), LIBRISPEECH),
    "wavlm_base_plus": Model(
        ("wavlm_base_plus", "hf:microsoft/wavlm-base-plus", "s3prl:wavlm", "s3prl:wavlm_base_plus"), MIX_94K
    ),
    "wavlm_large": Model(("wavlm_large", "hf:microsoft/wavlm-large", "s3prl:wavlm_large"), MIX_94K),
    "data2vec_base": Model(
        ("data2vec_base", "hf:facebook/data2vec-audio-base", "s3prl:data2vec", "s3prl:data2vec_base_960"), LIBRISPEECH
    ),
    "data2vec_large": Model(
        ("data2vec_large", "hf:facebook/data2vec-audio-large", "s3prl:data2vec_large_ll60k"), LIBRI_LIGHT
    ),
    "data2vec2_base": Model((), LIBRISPEECH, DATA2VEC_2),
    "data2vec2_large": Model((), LIBRI_LIGHT, DATA2VEC_2),
    "whisper_large_v3": Model(("whisper_large_v3", "hf:openai/whisper-large-v3"), "unknown"),
    "emotion2vec_base": Model(("emotion2vec_base",), EMO_262),
    "emotion2vec": Model(("emotion2vec_base",), EMO_262),  # so records of earlier versions call it, as its paper does
    "Shi et al. 2023 (speech)": Model((), "unknown", "a system of its own, trained end to end"),
    "SpeechEQ": Model((), "unknown", "a system of its own; which encoder it has is not told in its abstract"),
    # SUPERB's, which are s3prl's. Its FBANK has deltas and a normalisation that `fbank` here has not.
    "fbank": Model(("s3prl:fbank",)),
    "pase_plus": Model(("s3prl:pase_plus",), LIBRISPEECH),
    "apc": Model(("s3prl:apc",), LIBRISPEECH),
    "vq_apc": Model(("s3prl:vq_apc",), LIBRISPEECH),
    "npc": Model(("s3prl:npc",), LIBRISPEECH),
    "mockingjay": Model(("s3prl:mockingjay",), LIBRISPEECH),
    "tera": Model(("s3prl:tera",), LIBRISPEECH),
    "modified_cpc": Model(("s3prl:modified_cpc",), LIBRI_LIGHT),
    "decoar2": Model(("s3prl:decoar2",), LIBRISPEECH),
    "wav2vec": Model(("s3prl:wav2vec",), LIBRISPEECH),
    "vq_wav2vec": Model(("s3prl:vq_wav2vec",), LIBRISPEECH),
    "distilhubert": Model(("s3prl:distilhubert",), LIBRISPEECH),
}


def upstreams(figure: Published) -> tuple[str, ...]:
    """Names of the upstreams that a figure is of; the name that it has where the table does not know it."""
    model = MODELS.get(figure.upstream)
    return model.upstreams if model else (figure.upstream,)


def own(record: Record) -> list[Published]:
    """The published figures of a record's upstream."""
    return [figure for figure in record.task.published if record.cell.upstream in upstreams(figure)]


def called(figure: Published) -> str:
    """What tables call the model of a figure: the first of its upstreams, else its name in the paper."""
    return (*upstreams(figure), figure.upstream)[0]


def contaminated(figure: Published, task: Task) -> str:
    """`contaminated:audio` or `contaminated:labels` where the model of a figure was trained on the task's corpus (or
    its speakers); empty where it was not, or nobody says."""
    model = MODELS.get(figure.upstream)
    if model is None:
        return ""
    marks = contamination(Upstream.model_validate({"name": figure.upstream, "seen": model.seen}), task)
    return max((mark for mark in marks if mark.startswith("contaminated")), default="")


def plain_rows(task: Task) -> list[dict[str, object]]:
    """The task's figures for the page: as in the record, and `called`, `upstreams`, `contaminated`."""
    return [_row(figure, task) for figure in task.published]


def _row(figure: Published, task: Task) -> dict[str, object]:
    names: Sequence[str] = upstreams(figure)
    return figure.model_dump(mode="json") | {
        "called": called(figure), "upstreams": list(names), "contaminated": contaminated(figure, task),
    }  # fmt: skip
