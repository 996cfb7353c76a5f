"""The contract of an upstream: some facts and a call. The whole of an upstream of your own may be

    class Energy:
        sample_rate, hop, depth, width = 16000, 160, 1, 1
        min_samples = 160

        def __call__(self, waveforms):
            return [w.unfold(0, 160, 160).square().mean(1).log1p().reshape(1, -1, 1) for w in waveforms]

in a file `energy.py`, named energy.py:Energy. `python -m upstreams check energy.py:Energy` says what is wrong with it.

An upstream of texts has no sample rate and no hop; its frames are words or word pieces:

    class Capitals:
        modality, depth, width = "text", 1, 2

        def __call__(self, texts):
            return [torch.tensor([[[len(w), w.isupper()] for w in text.split()]]).float() for text in texts]
"""

from __future__ import annotations

from collections.abc import Sequence, Sized
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch


class Upstream(Protocol):
    """A frozen model of audio. Required are the four facts and the call.

    Optional attributes, with their defaults:
        modality "audio"      what it reads of an utterance: "audio", or "text" (see TextUpstream)
        title                 what it is, in one line, for lists and records
        label ""              a short name that tables and pictures show instead of the file's name
        seen "unknown"        corpora it was trained on: {corpus: "audio" | "labels"}, {} for none,
                              "unknown" or None where that is not known
        min_samples 1         receptive field in samples: shorter audio is zero-padded before the call, and counted
        max_seconds 30.0      longer audio is cut into windows, whose frames are joined, and is counted; None: audio of
                              any length comes whole
        padded_to 0.0         seconds to which it pads every window itself, as Whisper does: what computing one costs
        ragged False          True: one call may hold waveforms of different lengths, and the features of a waveform do
                              not depend on the others. False: all waveforms of a call have one length
        source ""             where its weights came from, for records: a repository and its revision
        licence ""            of the weights or the library, in words
        normalisation ""      what it does to a waveform first, in words
        to(device)            moves it to a device; waveforms then come on that device. Without this method it runs on
                              the CPU in fp32
        bf16()                prepares it to run in bf16; its features may then be of any float type. Without this
                              method, an upstream that can move runs under autocast. Convolutions that processors
                              with AMX get wrong are then in fp32, but for those in TorchScript or threads of its own
        value_names           of an upstream with one frame for each utterance: D names that differ, for pictures of the
                              values that a head selects; "family: name" where they belong to families
        fingerprint()         str that changes with anything that changes its features. An upstream of a file needs
                              none: the file, its checkpoint and the modules beside it that it imports are always
                              hashed, and without this method its weights too: all modules and tensors that it holds,
                              in lists and dicts as well
        trainable()           a new torch module on the CPU with a copy of the weights, in fp32 and eval mode, whose
                              parameters take gradients, but for those that it froze, which stay so (where it froze
                              all, all are trained); it is called as the upstream is, and returns the same. An
                              upstream that is a torch module needs none: it is copied. Where the module has an
                              attribute `front`, the name of one of its modules or a tuple of names, fine-tuning
                              freezes these
    """

    sample_rate: int  # Hz
    hop: int | None  # samples between frames; None: one frame for each utterance
    depth: int  # L, number of layers
    width: int  # D, values in a frame

    def __call__(self, waveforms: list[torch.Tensor]) -> Sequence[torch.Tensor]:
        """1-D float32 waveforms in [-1, 1], of one length unless `ragged` -> for each a (L, T, D) tensor."""
        ...


class TextUpstream(Protocol):
    """A frozen model of text: `modality = "text"`, two facts and the call.

    Optional attributes are those of an Upstream, without sample_rate, min_samples and max_seconds, and:
        hop                   None: one frame for each text; left out: a frame for each word piece
        ragged False          True: one call may hold several texts, and the features of a text do not depend on the
                              others. False: texts come one at a time
        windows(text)         a list, at least one long, of what the call gets in place of the text: the text cut to
                              what the model takes, say lists of numbers of word pieces. The frames of all windows of
                              a text are joined, and texts of several windows are counted. Inputs of like `len` come
                              together in a call. Without it, the call gets the texts as they are
    """

    modality: str  # "text"
    depth: int  # L, number of layers
    width: int  # D, values in a frame

    def __call__(self, texts: list[str] | list[Sized]) -> Sequence[torch.Tensor]:
        """Texts, none of them blank, or what `windows` made of them -> for each a (L, T, D) tensor."""
        ...
