"""Encoders of text: the figures of transformers, whatever the batch; windows, random twins, and wrong copies."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tokenizers
import torch
from safetensors.torch import load_file, save_file

import upstreams
from commons.errors import EmorepError
from commons.places import Places
from tests.upstreams.sounds import ROOT, extract, words
from tests.upstreams.text_copies import KINDS, LONG, POSITIONS, SENTENCES, store_text, tokenizer
from upstreams import UpstreamError
from upstreams.checks import check
from upstreams.frozen import Frozen
from upstreams.huggingface import factories
from upstreams.huggingface.named_text_encoders import TEXT_MODELS
from upstreams.inputs.text import Text


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("copies")
    return {kind: store_text(kind, folder / kind) for kind in KINDS}


@pytest.fixture
def folder(copies: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of a tiny BERT that a test may spoil."""
    return Path(shutil.copytree(copies["bert"], tmp_path / "bert"))


def windows(upstream: Frozen, text: str) -> list:
    return upstream.windows([Text("u", text)])[0]


def features(upstream: Frozen, text: str) -> torch.Tensor:
    return torch.cat([upstream([window])[0] for window in windows(upstream, text)], dim=1)


def library(folder: Path, text: str) -> torch.Tensor:
    """(L, T, D) of transformers, one text at a time, without the special tokens around it."""
    import transformers

    model = transformers.AutoModel.from_pretrained(folder).eval()
    own = transformers.AutoTokenizer.from_pretrained(folder)
    inputs = own(text, return_tensors="pt", truncation=False, padding=False)
    with torch.inference_mode():
        hidden = model(**inputs, output_hidden_states=True).hidden_states
    return torch.cat(hidden)[:, 1:-1]


@pytest.mark.parametrize("kind", KINDS)
def test_features_are_those_of_transformers_one_text_at_a_time(kind: str, copies: dict[str, Path]) -> None:
    upstream = upstreams.load(f"hf:{copies[kind]}")
    assert (upstream.modality, upstream.depth, upstream.width, upstream.seen) == ("text", 4, 32, "unknown")
    together = upstream([window for text in SENTENCES for window in windows(upstream, text)])
    assert len({output.shape[1] for output in together}) > 2
    for text, batched in zip(SENTENCES, together, strict=True):
        theirs = library(copies[kind], text)
        torch.testing.assert_close(features(upstream, text), theirs, atol=1e-4, rtol=0)
        torch.testing.assert_close(batched, theirs, atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_passes_the_check(kind: str, copies: dict[str, Path]) -> None:
    lines = list(check(f"hf:{copies[kind]}"))
    assert any("windows" in line for line in lines) and any("bf16" in line for line in lines)
    assert any(f"at most {POSITIONS} with the special tokens" in line for line in lines)


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_text_goes_in_windows_each_with_its_special_tokens(
    kind: str, copies: dict[str, Path], tmp_path: Path
) -> None:
    upstream = upstreams.load(f"hf:{copies[kind]}")
    stored = tokenizers.Tokenizer.from_file(str(copies[kind] / "tokenizer.json"))
    stored.no_truncation()
    stored.no_padding()
    own, whole = windows(upstream, LONG), stored.encode(LONG, add_special_tokens=False).ids
    assert [piece for window in own for piece in window] == whole
    lengths = [len(window) for window in own]
    assert max(lengths) <= POSITIONS - 2 and max(lengths) - min(lengths) <= 1
    assert len(own) == -(-len(whole) // (POSITIONS - 2))
    made = extract(f"hf:{copies[kind]}", words([LONG, "No."]), {"pooled", "frames:all"}, tmp_path)
    assert made.counts["windowed"] == 1 and made.pooled is not None and made.frames is not None
    expected = features(upstream, LONG)
    np.testing.assert_allclose(made.pooled[0, 0], expected.mean(1), atol=1e-5)
    np.testing.assert_allclose(made.pooled[0, 1], expected.std(1, correction=0), atol=1e-5)
    np.testing.assert_allclose(made.frames[0].swapaxes(0, 1), expected, atol=5e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_extraction_in_batches_gives_what_each_text_gives_alone(
    kind: str, copies: dict[str, Path], tmp_path: Path
) -> None:
    upstream = upstreams.load(f"hf:{copies[kind]}")
    made = extract(f"hf:{copies[kind]}", words(SENTENCES), {"pooled"}, tmp_path)
    for row, text in enumerate(SENTENCES):
        np.testing.assert_allclose(made.pooled[row, 0], features(upstream, text).mean(1), atol=1e-5)


def test_a_text_without_a_word_piece_is_the_unknown_one(copies: dict[str, Path]) -> None:
    upstream = upstreams.load(f"hf:{copies['bert']}")
    assert windows(upstream, "\u200b") == [[tokenizer("bert").token_to_id("[UNK]")]]
    assert features(upstream, "\u200b").shape == (4, 1, 32)


@pytest.mark.parametrize("kind", KINDS)
def test_bf16_is_near_fp32(kind: str, copies: dict[str, Path]) -> None:
    full, half = (upstreams.load(f"hf:{copies[kind]}", precision=precision) for precision in ("fp32", "bf16"))
    one, other = features(full, SENTENCES[0]), features(half, SENTENCES[0]).float()
    assert 0 < float((one - other).abs().max() / one.abs().max()) < 0.1
    assert torch.cosine_similarity(one.mean(1), other.mean(1), dim=-1).min() > 0.99


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_of_texts_trains(kind: str, copies: dict[str, Path], tmp_path: Path) -> None:
    made = extract(f"hf:{copies[kind]}", words(SENTENCES), {"pooled", "live"}, tmp_path)
    assert made.live is not None and made.pooled is not None
    network = made.live.network()
    outputs = made.live.frames(network, [3, 0])
    for row, output in zip([3, 0], outputs, strict=True):
        np.testing.assert_allclose(output.mean(1).detach(), made.pooled[row, 0], atol=1e-4)
    sum(output.square().sum() for output in outputs).backward()
    unreached = {name for name, parameter in network.named_parameters() if parameter.grad is None}
    assert not unreached


@pytest.mark.parametrize("kind", KINDS)
def test_top_blocks_of_a_network_of_texts_are_the_network_with_those_below_frozen(
    kind: str, copies: dict[str, Path], tmp_path: Path
) -> None:
    """Frames and gradients, of texts of several lengths and of several windows."""
    texts = [*SENTENCES, "nice day " * 80]
    live = extract(f"hf:{copies[kind]}", words(texts), {"live"}, tmp_path).live
    assert live is not None and live.modality == "text"
    top = live.top(2)
    assert top.lengths.tolist() == live.lengths.tolist() == [len(text) for text in texts]
    whole, upper = live.network(), top.network()
    for rows in ([*range(len(texts))], [1], [len(texts) - 1, 0]):
        expected, outputs = live.frames(whole, rows), top.frames(upper, rows, longest=1.0)
        for one, other in zip(outputs, expected, strict=True):
            torch.testing.assert_close(one[0], other[-1], atol=1e-4, rtol=1e-4)
    for made in (expected, outputs):
        sum(output[-1].square().sum() + output[-1, ..., 0].sum() for output in made).backward()
    theirs = {name: own.grad for name, own in whole.named_parameters()}
    own = dict(upper.named_parameters())
    assert own and all(".layer." in name for name in own)
    for name, parameter in own.items():
        number = int(name.split(".layer.")[1].split(".")[0])
        below = name.replace("model.", "network.", 1).replace(f".layer.{number}.", f".layer.{number + 1}.")
        torch.testing.assert_close(parameter.grad, theirs[below], atol=1e-3, rtol=1e-3)


def test_names_of_older_files_and_of_larger_models_are_understood(folder: Path) -> None:
    expected = features(upstreams.load(f"hf:{folder}"), SENTENCES[0])
    weights = load_file(folder / "model.safetensors")
    older = {"cls.predictions.bias": torch.zeros(3)}
    for name, tensor in weights.items():
        name = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        if not name.startswith("pooler"):
            older[f"bert.{name}"] = tensor
    older["bert.embeddings.position_ids"] = torch.arange(POSITIONS)[None]
    save_file(older, folder / "model.safetensors")
    torch.testing.assert_close(features(upstreams.load(f"hf:{folder}"), SENTENCES[0]), expected)


def test_older_files_of_a_tokenizer_give_the_same_pieces(folder: Path) -> None:
    expected = windows(upstreams.load(f"hf:{folder}"), SENTENCES[0])
    pieces = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    (folder / "vocab.txt").write_text("\n".join(sorted(pieces, key=pieces.get)) + "\n")
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
    assert windows(upstreams.load(f"hf:{folder}"), SENTENCES[0]) == expected


def edit(folder: Path, **settings: object) -> None:
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(content | settings))


def shrink(folder: Path) -> None:
    """Word embeddings of another size, with a configuration that says so."""
    weights = load_file(folder / "model.safetensors")
    name = "embeddings.word_embeddings.weight"
    save_file(weights | {name: torch.zeros(5000, 32)}, folder / "model.safetensors")
    edit(folder, vocab_size=5000)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "tokenizer.json").unlink(), "has no tokenizer .*expected tokenizer.json, or vocab.txt, or"),
        (lambda f: (f / "tokenizer.json").write_text("{"), "no tokenizer can be made of tokenizer.json"),
        (lambda f: tokenizer("roberta").save(str(f / "tokenizer.json")), "another model's tokenizer .*word pieces and"),
        (shrink, "another model's tokenizer .* word pieces and the model 5000"),
        (lambda f: edit(f, pad_token_id=7), "another model's tokenizer .*pads with number 7, which is "),
        (lambda f: edit(f, is_decoder=True), "config.json says is_decoder True; expected False"),
        (lambda f: edit(f, pad_token_id="x"), "config.json says pad_token_id 'x'; expected a whole number"),
        (lambda f: edit(f, num_hidden_layers=2), "weights of another model .*left over: encoder.layer.2"),
        (lambda f: edit(f, num_hidden_layers=4), "weights of another model .*missing: encoder.layer.3"),
        (lambda f: (f / "model.safetensors").unlink(), "has no weights"),
        (lambda f: edit(f, architectures=["RobertaModel"]), "contradicts itself: model_type bert, architectures Rob"),
    ],
)  # fmt: skip
def test_a_wrong_copy_gets_one_clear_message(folder: Path, spoil: Callable[[Path], object], message: str) -> None:
    spoil(folder)
    with pytest.raises(UpstreamError, match=message):
        upstream = upstreams.load(f"hf:{folder}")
        upstream.fingerprint()
        features(upstream, SENTENCES[0])


def test_a_fingerprint_follows_weights_tokenizer_and_configuration(folder: Path) -> None:
    prints = {upstreams.load(f"hf:{folder}").fingerprint()}
    (folder / "README.md").write_text("a card")
    assert upstreams.load(f"hf:{folder}").fingerprint() in prints
    lower = tokenizer("bert")
    lower.normalizer = None
    lower.save(str(folder / "tokenizer.json"))
    prints.add(upstreams.load(f"hf:{folder}").fingerprint())
    edit(folder, layer_norm_eps=1e-6)
    prints.add(upstreams.load(f"hf:{folder}").fingerprint())
    weights = load_file(folder / "model.safetensors")
    save_file(weights | {"encoder.layer.0.output.dense.bias": torch.zeros(32)}, folder / "model.safetensors")
    prints.add(upstreams.load(f"hf:{folder}").fingerprint())
    assert len(prints) == 4


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, copies: dict[str, Path]) -> Path:
    """A tiny BERT, and the row of minilm made for it."""
    row, content = TEXT_MODELS["minilm"], json.loads((copies["bert"] / "config.json").read_text())
    settings = {key: content[key] for key in row.settings}
    monkeypatch.setitem(TEXT_MODELS, "minilm", row.__class__(**{**vars(row), "settings": settings}))
    return copies["bert"]


def test_a_named_encoder_comes_from_the_folder_of_copies_or_from_a_folder(small: Path, tmp_path: Path) -> None:
    shutil.copytree(small, tmp_path / "sentence-transformers" / "all-MiniLM-L6-v2")
    own = upstreams.load("minilm", places=Places(weights=tmp_path))
    assert (own.weights, own.licence) == ("sentence-transformers/all-MiniLM-L6-v2", "Apache-2.0")
    given = upstreams.load(f"minilm@{small}")
    assert given.fingerprint() == own.fingerprint() and given.licence == ""
    torch.testing.assert_close(features(given, SENTENCES[0]), library(small, SENTENCES[0]), atol=1e-4, rtol=0)


def test_a_name_takes_no_other_model(copies: dict[str, Path]) -> None:
    with pytest.raises(UpstreamError, match=r"another model than bert_base .hidden_size 32, expected 768"):
        upstreams.load(f"bert_base@{copies['bert']}")
    with pytest.raises(UpstreamError, match=r"another model than roberta_base .model_type bert, expected roberta"):
        upstreams.load(f"roberta_base@{copies['bert']}")


def test_random_weights_take_the_tokenizer_of_a_folder_and_follow_the_seed(small: Path, tmp_path: Path) -> None:
    names = upstreams.expand(f"random:minilm@{small}")
    assert names == [f"random:minilm@{small}@{seed}" for seed in range(5)]
    named = [upstreams.resolve(name) for name in names]
    assert [one.record_name for one in named] == ["random:minilm", *(f"random:minilm@{seed}" for seed in range(1, 5))]
    assert [one.draw for one in named] == list(range(5)) and {one.base for one in named} == {"minilm"}
    first, second, again = (upstreams.load(name) for name in (names[0], names[1], f"random:minilm@{small}"))
    assert first.seen == {} and first.fingerprint() == again.fingerprint() != second.fingerprint()
    one, other, same = (features(upstream, SENTENCES[0]) for upstream in (first, second, again))
    assert torch.equal(one, same) and not torch.allclose(one, other)
    shutil.copytree(small, tmp_path / "sentence-transformers" / "all-MiniLM-L6-v2")
    placed = upstreams.load("random:minilm@1", places=Places(weights=tmp_path))
    assert placed.fingerprint() == second.fingerprint()


def test_random_weights_without_a_tokenizer_say_where_to_put_one(tmp_path: Path, copies: dict[str, Path]) -> None:
    with pytest.raises(UpstreamError, match="random:minilm@FOLDER"):
        upstreams.load("random:minilm")
    with pytest.raises(UpstreamError, match="another model than random:minilm"):
        upstreams.load(f"random:minilm@{copies['roberta']}")
    (tmp_path / "file").touch()
    with pytest.raises(UpstreamError, match="file is not a folder"):
        upstreams.load(f"random:minilm@{tmp_path / 'file'}")
    with pytest.raises(EmorepError, match="no such file or folder"):
        upstreams.resolve(f"random:minilm@{tmp_path / 'nowhere'}")
    with pytest.raises(EmorepError, match="expected a seed after @"):
        upstreams.resolve("random:wav2vec2_base@folder")


@pytest.mark.parametrize("name", TEXT_MODELS)
def test_the_rows_are_whole(name: str, copies: dict[str, Path]) -> None:
    """Each is known to the registry, builds an architecture of its size, and stands in the documents."""
    model = TEXT_MODELS[name]
    assert upstreams.resolve(name).cite == upstreams.resolve(f"random:{name}").cite == model.cite != ()
    assert upstreams.resolve(f"hf:{model.repo}").cite == model.cite
    assert model.seen == "unknown" and model.licence
    weights = factories.Seeded(model.family, model.settings, 0, copies["bert"])
    encoder = factories.FAMILIES[model.family](weights, "", {})
    with torch.device("meta"):
        module = encoder.library_class()(encoder.library_configuration())
    module.pooler = None
    assert round(sum(p.numel() for p in module.parameters()) / 1e6) == model.parameters
    assert (encoder.depth, encoder.width) == (module.config.num_hidden_layers + 1, module.config.hidden_size)
    lines = (ROOT / "docs" / "encoders.md").read_text().splitlines()
    row = next(line for line in lines if line.startswith(f"| `{name}` "))
    for fact in (model.repo, model.about, str(model.parameters), model.licence):
        assert fact in row


def test_the_real_minilm_gives_the_figures_of_transformers(minilm: Path) -> None:
    upstream = upstreams.load(f"minilm@{minilm}")
    together = upstream([windows(upstream, text)[0] for text in SENTENCES])
    for text, batched in zip(SENTENCES, together, strict=True):
        theirs = library(minilm, text)
        torch.testing.assert_close(batched, theirs, atol=1e-4, rtol=0)
        torch.testing.assert_close(features(upstream, text), theirs, atol=1e-4, rtol=0)
    assert list(check(f"minilm@{minilm}"))
