"""The contract of an upstream: four facts and a call. The whole of an upstream of your own may be

    class Energy:
        sample_rate, hop, depth, width = 16000, 160, 1, 1
        min_samples = 160

        def __call__(self, waveforms):
            return [w.unfold(0, 160, 160).square().mean(1).log1p().reshape(1, -1, 1) for w in waveforms]

in a file `energy.py`, named energy.py:Energy. `python -m upstreams check energy.py:Energy` says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch


class Upstream(Protocol):
    """A frozen model of audio. Required are the four facts and the call.

    Optional attributes, with their defaults:
        modality "audio"      what it reads of an utterance; "audio" is the only one so far
        title                 what it is, in one line, for lists and records
        label ""              a short name that tables and pictures show instead of the file's name
        seen "unknown"        corpora it was trained on: {corpus: "audio" | "labels"}, {} for none,
                              "unknown" or None where that is not known
        min_samples 1         receptive field in samples: shorter audio is zero-padded before the call, and counted
        max_seconds 30.0      longer audio is cut into windows, whose frames are joined, and is counted; None: audio of
                              any length comes whole
        ragged False          True: one call may hold waveforms of different lengths, and the features of a waveform do
                              not depend on the others. False: all waveforms of a call have one length
        source ""             where its weights came from, for records: a repository and its revision
        licence ""            of the weights or the library, in words
        normalisation ""      what it does to a waveform first, in words
        to(device)            moves it to a device; waveforms then come on that device. Without this method it runs on
                              the CPU in fp32
        bf16()                prepares it to run in bf16; its features may then be of any float type. Without this
                              method, an upstream that can move runs under autocast
        fingerprint()         str that changes with anything that changes its features. An upstream of a file needs
                              none: the file, its checkpoint and the modules beside it that it imports are always
                              hashed, and without this method its weights too: all modules and tensors that it holds,
                              in lists and dicts as well
        trainable()           a new torch module on the CPU with the same weights, in fp32 and eval mode, whose
                              parameters take gradients; it is called as the upstream is, and returns the same. An
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
