"""Texts a second: emorep against transformers, all layers pooled, side by side in one run.

    python studies/text_speed.py TABLE.csv [--column Utterance] [--model minilm@FOLDER] [--texts 4096] [--rounds 3]

The same for both: the same weights and distinct texts, one thread, word pieces made, mean and standard deviation over
the word pieces (without special tokens) of every layer, in host memory. transformers: batches of 32 in the order of the
table, padded by its tokenizer, with its mask. emorep: its extraction in one process, which also writes its store. They
take turns. Printed: the median of texts for a second of the processor, which others on a machine disturb less than the
clock; how many times that of transformers (the median of the rounds' own ratios); and the largest difference of any
pooled value, of the largest of its layer.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import upstreams
from upstreams.torchaudio_repair import repair

BATCH = 32
Pooled = Callable[[list[str]], np.ndarray]  # texts -> (N, 2, L, D)


def ours(name: str, precision: str) -> Pooled:
    from upstreams.extraction.models import Models

    models = Models()
    identity = upstreams.identify(upstreams.resolve(name), precision, models)

    def pool(texts: list[str]) -> np.ndarray:
        table = pd.DataFrame({"text": texts}, index=[f"t{number}" for number in range(len(texts))])
        with tempfile.TemporaryDirectory() as cache:
            options = upstreams.Extraction(Path(cache), "cpu", jobs=1)
            features = upstreams.extract(identity, table, {"pooled"}, options, models=models)
            assert features.pooled is not None
            return features.pooled[:]

    return pool


def theirs(folder: str) -> Pooled:
    repair()  # transformers imports torchaudio
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()

    def pool(texts: list[str]) -> np.ndarray:
        parts = []
        for start in range(0, len(texts), BATCH):
            batch = tokenizer(
                texts[start : start + BATCH], padding=True, truncation=True, return_tensors="pt",
                return_special_tokens_mask=True,
            )  # fmt: skip
            kept = (batch.pop("special_tokens_mask") == 0)[:, None, :, None].float()
            with torch.inference_mode():
                hidden = torch.stack(model(**batch, output_hidden_states=True).hidden_states, dim=1)  # (B, L, T, D)
            count = kept.sum(2)
            mean = (hidden * kept).sum(2) / count
            variance = ((hidden - mean[:, :, None]).square() * kept).sum(2) / count
            parts.append(torch.stack([mean, variance.sqrt()], dim=1).numpy())
        return np.concatenate(parts)

    return pool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--column", default="Utterance")
    parser.add_argument("--model", required=True, help="NAME@FOLDER or hf:FOLDER")
    parser.add_argument("--texts", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--encoding", default="utf-8")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    column = pd.read_csv(arguments.table, encoding=arguments.encoding)[arguments.column].dropna()
    texts = [text for text in dict.fromkeys(column.astype(str)) if text.strip()][: arguments.texts]
    folder = arguments.model.partition("@")[2] or arguments.model.removeprefix("hf:")
    ways = {
        "transformers": theirs(folder),
        "emorep fp32": ours(arguments.model, "fp32"),
        "emorep bf16": ours(arguments.model, "bf16"),
    }
    pooled = {way: pool(texts[:256]) for way, pool in ways.items()}  # builds the models
    reference = pooled["transformers"]
    scale = np.abs(reference).max(axis=(0, 1, 3))[:, None]
    took: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(arguments.rounds):
        order = list(ways)[turn % len(ways) :] + list(ways)[: turn % len(ways)]
        for way in order:
            started = time.process_time()
            ways[way](texts)
            took[way].append(time.process_time() - started)
    print(f"{arguments.model}, {len(texts)} distinct texts of {sum(map(len, texts)) / len(texts):.0f} characters")
    print(f"{'':<14}{'texts/s':>9}{'times transformers':>20}{'largest difference':>20}")
    for way, seconds in took.items():
        ratio = statistics.median(peer / own for peer, own in zip(took["transformers"], seconds, strict=True))
        off = float((np.abs(pooled[way] - reference) / scale).max())
        print(f"{way:<14}{len(texts) / statistics.median(seconds):>9.0f}{ratio:>20.2f}{off:>20.1e}")


if __name__ == "__main__":
    main()
