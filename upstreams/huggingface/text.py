"""BERT and the models built like it: word pieces, then a transformer."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

from upstreams.errors import UpstreamError
from upstreams.huggingface.config_file import ConfigFile
from upstreams.huggingface.encoder import Encoder, layers
from upstreams.huggingface.tokenizer import Tokenizer

if TYPE_CHECKING:
    import torch

    from upstreams.halves import Halves

Pieces = list[int]


class TextEncoder(Encoder[Pieces]):
    """A frozen encoder of texts. Its frames are the word pieces without the special tokens around a text.

    A text of more word pieces than the model has positions is cut into windows of almost equal length, each with the
    special tokens. The pooler, which no layer's features pass, is left out.
    """

    modality = "text"
    unused = ("pooler.dense.weight", "pooler.dense.bias", "embeddings.position_ids", "embeddings.token_type_ids")
    pad = 0  # number of the padding token, where a configuration does not say

    def set_facts(self, configuration: ConfigFile) -> None:
        configuration.agree(is_decoder=False, add_cross_attention=False, position_embedding_type="absolute")
        self.depth = configuration.count("num_hidden_layers", 12) + 1
        self.width = configuration.count("hidden_size", 768)
        self._pad = configuration.number("pad_token_id", self.pad)
        self._positions = configuration.count("max_position_embeddings", 512) - self.lost_positions()
        folder = self.weights.tokenizer
        if folder is None:
            raise UpstreamError(f"{self.title}: needs the tokenizer of its model, and no folder with one is named")
        self._tokenizer = Tokenizer(folder, configuration.count("vocab_size", 30522), self._pad)

    def lost_positions(self) -> int:
        """How many of the positions of its configuration no token can have."""
        return 0

    @property
    def normalisation(self) -> str:
        return f"word pieces, at most {self._positions} with the special tokens in a window"

    def fingerprint(self) -> str:
        return self.weights.fingerprint(self.model, f"{self.normalisation}; {self._tokenizer.fingerprint()}")

    def windows(self, text: str) -> list[Pieces]:
        """The numbers of the word pieces of a text, cut to what the model takes. Raises UpstreamError: as Tokenizer."""
        pieces = self._tokenizer.pieces(text)
        most = self._positions - len(self._tokenizer.special)
        count = -(-len(pieces) // most)
        bounds = [round(number * len(pieces) / count) for number in range(count + 1)]
        return [pieces[start:stop] for start, stop in pairwise(bounds)]

    def mend(self, module: torch.nn.Module) -> None:
        """Without the pooler; with the positions that are not among stored weights."""
        import torch

        module.pooler = None
        embeddings = module.embeddings
        embeddings.position_ids = torch.arange(embeddings.position_embeddings.num_embeddings)[None]
        embeddings.token_type_ids = torch.zeros_like(embeddings.position_ids)

    def to_bf16(self, module: torch.nn.Module) -> None:
        import torch

        module.to(torch.bfloat16)

    def split(self, module: torch.nn.Module, top: int) -> Halves[Pieces]:
        from upstreams.halves import Given, Halves, input_of, load_each
        from upstreams.huggingface.top import TopOfText

        block = module.encoder.layer[-top]

        def lower(texts: list[Pieces]) -> list[Given]:
            inputs = [input_of(block, partial(self.encode, module, [pieces]))[0] for pieces in texts]
            return [Given(x, len(pieces)) for x, pieces in zip(inputs, texts, strict=True)]

        def join(whole: torch.nn.Module, upper: torch.nn.Module) -> None:
            load_each(whole.encoder.layer[-top:], upper.model.encoder.layer)

        return Halves(lower, TopOfText(module, top, len(self._tokenizer.special.before)), join)

    def encode(self, module: torch.nn.Module, inputs: list[Pieces]) -> list[torch.Tensor]:
        import torch

        special, longest = self._tokenizer.special, max(len(pieces) for pieces in inputs)
        rows = [
            [*special.before, *pieces, *special.behind, *[self._pad] * (longest - len(pieces))] for pieces in inputs
        ]
        device = module.embeddings.word_embeddings.weight.device
        numbers = torch.tensor(rows, device=device)
        mask = None
        if any(len(pieces) != longest for pieces in inputs):
            lengths = torch.tensor([len(pieces) + len(special) for pieces in inputs], device=device)
            mask = (torch.arange(numbers.shape[1], device=device) < lengths[:, None]).long()
        output = module(numbers, attention_mask=mask, output_hidden_states=True)
        first = len(special.before)
        return [one[:, first : first + len(pieces)] for one, pieces in zip(layers(output), inputs, strict=True)]


class Bert(TextEncoder):
    model, configuration = "BertModel", "BertConfig"


class Roberta(TextEncoder):
    """Its positions begin behind the number of the padding token."""

    model, configuration, pad = "RobertaModel", "RobertaConfig", 1

    def lost_positions(self) -> int:
        return self._pad + 1


class XLMRoberta(Roberta):
    model, configuration = "XLMRobertaModel", "XLMRobertaConfig"
