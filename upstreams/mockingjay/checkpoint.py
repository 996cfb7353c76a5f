"""Mockingjay's checkpoints: ours, and s3prl's, which are pickles: of these only weights and settings are taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from commons.errors import some
from upstreams.acoustic import Acoustic, config_of_file
from upstreams.errors import UpstreamError
from upstreams.mockingjay.config import ModelConfig
from upstreams.mockingjay.model import Mockingjay
from upstreams.pretraining import checkpoints, s3prl_files
from upstreams.pretraining.checkpoints import Stored
from upstreams.pretraining.s3prl_files import setting

NAME = "mockingjay"  # of the method, in the header of our files
HEADS: tuple[str, ...] = ("head.", "score_head.")
RENAMED = (  # of s3prl's names; the first that fits
    (r"input_representations\.spec_transform\.", "embed."),
    (r"input_representations\.LayerNorm\.", "norm."),
    (r"encoder\.layer\.(\d+)\.attention\.self\.(query|key|value)\.", r"blocks.\1.\2."),
    (r"encoder\.layer\.(\d+)\.attention\.output\.dense\.", r"blocks.\1.mix."),
    (r"encoder\.layer\.(\d+)\.attention\.output\.LayerNorm\.", r"blocks.\1.norm1."),
    (r"encoder\.layer\.(\d+)\.intermediate\.dense\.", r"blocks.\1.widen."),
    (r"encoder\.layer\.(\d+)\.output\.dense\.", r"blocks.\1.narrow."),
    (r"encoder\.layer\.(\d+)\.output\.LayerNorm\.", r"blocks.\1.norm2."),
)
HEAD_RENAMED = ((r"dense\.", "head.0."), (r"LayerNorm\.", "head.2."), (r"output\.", "head.3."))


def read(path: Path) -> Stored:
    """A checkpoint of ours or of s3prl, its weights under our names. Raises UpstreamError that names the file."""
    return _theirs(path) if s3prl_files.is_pickle(path) else checkpoints.read(path, NAME)


def build(path: Path) -> Mockingjay:
    """The network of a checkpoint, in eval mode. Raises UpstreamError that names the file."""
    stored = read(path)
    model = Mockingjay(config_of_file(ModelConfig, stored.config, path))
    checkpoints.fill(model, stored.weights, path)
    return model.eval()


def without_heads(whole: Stored) -> Stored:
    """A checkpoint without what only training uses."""
    encoder = {name: tensor for name, tensor in whole.weights.items() if not name.startswith(HEADS)}
    return Stored(whole.method, {**whole.config, "target": 0, "score": "off"}, encoder, whole.facts)


def _theirs(path: Path) -> Stored:
    content = s3prl_files.load(path)
    parts = [content.get(key) for key in ("Upstream_Config", "Config")]
    settings = next((part for part in parts if isinstance(part, Mapping) and "transformer" in part), None)
    weights = content.get("Transformer")
    if settings is None or not isinstance(weights, Mapping):
        raise UpstreamError(
            f"{path}: no Mockingjay of s3prl; expected `Transformer` and, under `Upstream_Config` or `Config`, "
            f"`transformer`; it holds {some([str(key) for key in content])}"
        )
    renamed = s3prl_files.renamed(weights, RENAMED, path)
    head = content.get("SpecHead")
    if isinstance(head, Mapping):
        renamed |= s3prl_files.renamed(head, HEAD_RENAMED, path)
    config = _config(settings, len(renamed["head.3.bias"]) if isinstance(head, Mapping) else 0, path)
    checkpoints.refuse_nan(renamed, path)
    return Stored(NAME, asdict(config), renamed)


def _config(settings: Mapping[str, object], target: int, path: Path) -> ModelConfig:
    """The configuration that s3prl's settings name. Raises UpstreamError for what is not built here."""
    of = s3prl_files.section(settings, "transformer", path)
    task = s3prl_files.section(settings, "task", path)
    for key, wanted in (("hidden_act", "gelu"), ("share_layer", False), ("pre_layer_norm", False)):
        if of.get(key, wanted) != wanted:
            raise UpstreamError(f"{path}: transformer.{key} is {of[key]!r}; this Mockingjay has {wanted!r} only")
    return ModelConfig(
        acoustic=_acoustic(s3prl_files.section(settings, "audio", path), path),
        layers=setting(of, "num_hidden_layers", int, path),
        dim=setting(of, "hidden_size", int, path),
        heads=setting(of, "num_attention_heads", int, path),
        ffn=setting(of, "intermediate_size", int, path),
        dropout=setting(of, "hidden_dropout_prob", float, path),
        attention_dropout=setting(of, "attention_probs_dropout_prob", float, path),
        longest=setting(task, "sequence_length", int, path),
        target=target,
    )


def _acoustic(audio: Mapping[str, object], path: Path) -> Acoustic:
    """What is measured: Kaldi's energies, or those of s3prl's own preprocessor."""
    if "kaldi" in audio:
        kaldi = s3prl_files.section(audio, "kaldi", path)
        s3prl_files.refuse(kaldi, {"feat_type": "fbank"}, path)
        bins = s3prl_files.kaldi_bins(s3prl_files.section(kaldi, "fbank", path), path)
        delta, cmvn = s3prl_files.section(audio, "delta", path), s3prl_files.section(audio, "cmvn", path)
        s3prl_files.refuse(delta, {"win_length": 5}, path)
        normalise = setting(cmvn, "use_cmvn", bool, path)
        return Acoustic("fbank", bins, "povey", setting(delta, "order", int, path), normalise)
    s3prl_files.refuse(audio, {"sample_rate": 16000, "win_ms": 25, "hop_ms": 10, "n_freq": 201}, path)
    given = s3prl_files.section(audio, "input", path)
    s3prl_files.refuse(given, {"feat_type": "mel", "log": True, "channel": 0}, path)
    level, bins = audio.get("target_level"), setting(audio, "n_mels", int, path)
    differences, normalise = setting(given, "delta", int, path), setting(given, "cmvn", bool, path)
    decibels = float(level) if isinstance(level, int | float) else None
    return Acoustic("log_mel", bins, "povey", differences, normalise, decibels)
