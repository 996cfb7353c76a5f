"""The meaning of the marks in tables."""

from __future__ import annotations

from collections.abc import Iterable

from commons.corridors.utterances import Modality

EDGE, DRAWS, IMPORTED, UNVERIFIED = "edge", "draws", "imported", "unverified"
OLD_INTERVALS, SENTENCES, WITHOUT, ONE_SEED = "old_intervals", "sentences_shared", "without", "one_seed"
# Marks of a task that concern only upstreams that read its audio, or only those that read its texts.
OF_AUDIO = ("lossy_audio", "identical_audio", "audio_shared", "skipped", "codec_twice")
OF_TEXT = ("other_text", "textless")

MEANING = {
    "contaminated:audio": "the upstream was trained on audio of this corpus (or of its speakers)",
    "contaminated:labels": "the upstream was trained on this corpus with its labels",
    "seen:unknown": "it is not known what the upstream was trained on",
    "speakers_shared": "by protocol, speakers of test are in training too",
    "speakers_unknown": "the speakers of the corpus are not known: those of test may be in training too",
    "same_family": "both corpora have the same speakers: each fold trains without those of its test part",
    "target_features": "test features are standardised by their own statistics: unlabelled test data were seen",
    "sentences_unknown": "the sentences of the corpus are not known: the same text may be in test and in training",
    SENTENCES: "sentences of test are in training too: a phoneme error rate then also says how well these sentences "
    "are known",
    WITHOUT: "a head of several branches was trained without this one: no training utterance has its label, or, of "
    "phonemes, frames enough for them",
    "dialogues_shared": "by protocol, dialogues of test are in training too",
    "audio_shared": "some recordings of test are in training too: an official split or two corpora hold them twice",
    "dev_speakers_shared": "speakers of the training part are in dev too; none of test",
    "speaker~label": "most speakers have one class only: voice and class cannot be told apart",
    "lossy_audio": "the audio went through a lossy codec that the official corpus did not",
    "codec_twice": "the corpus's own audio went through this codec already: the clean figure has its loss, too",
    IMPORTED: "predictions brought from outside: how they were trained and chosen was not controlled here",
    UNVERIFIED: "brought without targets, which its corpus's licence keeps back: its figures could not be recomputed; "
    "it takes no part in tests and ranks",
    OLD_INTERVALS: "its intervals follow an earlier formula, and are too narrow where few speakers carry most of a "
    "figure: run the cell, or import the predictions, again",
    "partial": "the copy of the corpus is not complete",
    "synthetic": "no real speech",
    "identical_audio": "some utterances are the same recording",
    "skipped": "this number of files could not be decoded and were left out",
    "textless": "this number of utterances have no text and were left out",
    "other_text": "the texts are not the corpus's own but those of a file of the user's (--text); asr: a recogniser's, "
    "gold: written by people",
    "reference": "a floor to compare with: it does not use the sound",
    "oracle": "it reads the true labels of earlier turns; a model cannot",
    DRAWS: "the mean of this number of draws of random weights; its interval is the mean of theirs",
    EDGE: "the best strength or learning rate lay at the end of its grid in most folds (of two rates: at the same end "
    "in all of a seed); a wider one (-d NAME@FILE.yaml) is to be tried on the development corpora",
    ONE_SEED: "the head was trained with one seed: how far another would lead is not known, and its interval does not "
    "count that",
    "beyond_random": "a gap beyond the greatest of 1,000 models that guess, on groups of these sizes",
    "unconverged": "a final fit of the head did not converge: its figure may be lower than the head can reach",
}


def concerning(marks: Iterable[str], modality: Modality) -> list[str]:
    """The marks of a task that concern an upstream of this modality."""
    others = {"audio": OF_TEXT, "text": OF_AUDIO, "audio+text": ()}[modality]
    return [mark for mark in marks if mark.partition(":")[0] not in others]


def explain(mark: str) -> str:
    """What a mark means; `skipped:3` is explained as `skipped`."""
    return MEANING.get(mark) or MEANING.get(mark.partition(":")[0]) or "see the task's notes"
