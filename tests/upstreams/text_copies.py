"""Copies of text encoders as the hub holds them: tiny models with tokenizers that were trained on a few sentences."""

from __future__ import annotations

from pathlib import Path

import tokenizers
import torch
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from upstreams.torchaudio_repair import repair

KINDS = ("bert", "roberta", "xlm-roberta")
SENTENCES = [
    "I told you twice, and you never said a word about it!", "No.", "What a lovely day it is, is it not?", "Why?",
    "Heute abend könnte ich es ihm sagen.", "She was so happy that she could not stop laughing all the way home.",
    "The tablecloth is lying on the fridge, and they just carried it upstairs.", "no NO No",
]  # fmt: skip
LONG = " ".join(SENTENCES * 3)
POSITIONS = 96
SMALL = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}


def tokenizer(kind: str, size: int = 160) -> tokenizers.Tokenizer:
    """A tokenizer of a kind of model, trained on SENTENCES; trained again, its pieces have other numbers."""
    if kind == "bert":
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        made = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
        made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=special)
        first, last = "[CLS]", "[SEP]"
    else:
        special, first, last = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"], "<s>", "</s>"
        if kind == "roberta":
            made = tokenizers.Tokenizer(models.BPE(unk_token="<unk>"))
            made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(), decoders.ByteLevel()
            alphabet = pre_tokenizers.ByteLevel.alphabet()
            trainer = trainers.BpeTrainer(vocab_size=2 * size, special_tokens=special, initial_alphabet=alphabet)
        else:
            made = tokenizers.Tokenizer(models.Unigram())
            made.pre_tokenizer = pre_tokenizers.Metaspace()
            trainer = trainers.UnigramTrainer(vocab_size=size, special_tokens=special, unk_token="<unk>")
    made.train_from_iterator(SENTENCES, trainer)
    ends = [(token, made.token_to_id(token)) for token in (first, last)]
    made.post_processor = processors.TemplateProcessing(single=f"{first} $A {last}", special_tokens=ends)
    return made


def store_text(kind: str, folder: Path, seed: int = 0) -> Path:
    """Write a very small model of a kind with random weights and its tokenizer, as `save_pretrained` does."""
    repair()
    import transformers

    made = tokenizer(kind)
    settings: dict[str, object] = {**SMALL, "vocab_size": made.get_vocab_size(), "max_position_embeddings": POSITIONS}
    if kind != "bert":
        settings |= {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "type_vocab_size": 1,
                     "max_position_embeddings": POSITIONS + 2}  # fmt: skip
    configuration = transformers.AutoConfig.for_model(kind, **settings)
    torch.manual_seed(seed)
    module = transformers.AutoModel.from_config(configuration)
    for parameter in module.parameters():  # norms and biases that are not 1 and 0
        torch.nn.init.normal_(parameter, 0.02, 0.2)
    module.save_pretrained(folder)
    # Cuts and pads by itself, as that of MiniLM does: neither may be applied.
    made.enable_truncation(8)
    made.enable_padding(length=8)
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    if kind != "bert":
        special = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=made, **special).save_pretrained(folder)
    made.save(str(folder / "tokenizer.json"))
    return folder
