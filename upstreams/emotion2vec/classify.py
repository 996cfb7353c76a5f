"""Class probabilities of the fine-tuned models, as their authors take them: softmax(proj(time-mean of last frames))."""

from __future__ import annotations

from pathlib import Path

import torch

from commons import hashing
from commons.errors import UnknownName
from upstreams.emotion2vec.official import MODELS
from upstreams.emotion2vec.upstream import Trained, published
from upstreams.errors import UpstreamError
from upstreams.frozen import Frozen
from upstreams.inputs.audio import Segment, load

UNUSED = "unuse"  # labels that begin so are outputs that were never trained


class Classifier:
    """A fine-tuned model and the labels it was trained on; `file` and `modelscope` as in `published`."""

    def __init__(self, name: str, file: str = "", device: str = "cpu", modelscope: str = "") -> None:
        able = [model.name for model in MODELS.values() if model.labels]
        if name not in able:
            raise UnknownName("model with classes", name, able)
        self._model: Trained = published(name, file, modelscope)
        self._frozen = Frozen(self._model, name, device)
        self._used = [i for i, label in enumerate(MODELS[name].labels) if not label.startswith(UNUSED)]
        self.labels = [MODELS[name].labels[i] for i in self._used]

    def __call__(self, file: Path) -> list[float]:
        """The labels' probabilities for an audio file. Raises UpstreamError naming a file that cannot be decoded."""
        try:
            segment = Segment(str(file), hashing.of_file(file), None, None, None, 0.0)
        except OSError as error:
            raise UpstreamError(f"{file}: cannot be read ({error.strerror}); expected an audio file") from error
        pieces = load(segment, self._frozen.audio)
        frames = torch.cat([self._frozen([torch.from_numpy(piece)])[0][-1] for piece in pieces])
        with torch.inference_mode():
            logits = self._model.network().classify(frames)
        return logits[self._used].softmax(0).tolist()
