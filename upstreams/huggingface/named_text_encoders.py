"""The named encoders of text, one row each, as those of speech in `named_encoders.py`.

`seen` is unknown for all of them: nobody knows which transcripts of corpora lie among the web pages of their training.
"""

from __future__ import annotations

from upstreams.huggingface.named_encoders import APACHE, BASE, LARGE, Model, Values

BERT: Values = {"vocab_size": 30522, "max_position_embeddings": 512, "type_vocab_size": 2}
ROBERTA: Values = {"vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5,
                   "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}  # fmt: skip
MINILM: Values = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
UNKNOWN = "unknown"

TEXT_MODELS = {
    "bert_base": Model(
        "BERT base, uncased", "google-bert/bert-base-uncased", "Bert", BASE | BERT,
        "English: BookCorpus, Wikipedia", UNKNOWN, APACHE, 109, ("devlin2019",),
    ),
    "roberta_base": Model(
        "RoBERTa base", "FacebookAI/roberta-base", "Roberta", BASE | ROBERTA,
        "English: 160 GB of books, Wikipedia, news and web pages", UNKNOWN, "MIT", 124, ("liu2019",),
    ),
    "roberta_large": Model(
        "RoBERTa large", "FacebookAI/roberta-large", "Roberta", LARGE | ROBERTA,
        "English: 160 GB of books, Wikipedia, news and web pages", UNKNOWN, "MIT", 354, ("liu2019",),
    ),
    "xlm_roberta_base": Model(
        "XLM-RoBERTa base", "FacebookAI/xlm-roberta-base", "XLMRoberta", BASE | ROBERTA | {"vocab_size": 250002},
        "2.5 TB of web pages in 100 languages", UNKNOWN, "MIT", 277, ("conneau2020",),
    ),
    "minilm": Model(
        "all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2", "Bert", MINILM | BERT,
        "English: MiniLM, trained further on a billion pairs of sentences of the web", UNKNOWN, APACHE, 23,
        ("wang2020", "reimers2019"),
    ),
}  # fmt: skip
