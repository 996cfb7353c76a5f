"""Fitted heads: what is kept of a fold gives the recorded predictions of its test part again."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import downstreams
from tests.downstreams.problems import MadeUpLive, make, make_several, short

KEPT = [head for head in downstreams.names() if downstreams.resolve(head).keeps]
KINDS_OF_MODEL = ("classification", "regression", "ordinal")  # conversations are classified as other utterances are
READOUTS = ("average", "best", "last")


def small(kind="classification"):
    """Two folds of three speakers."""
    features, problem = make(kind, n=45, depth=2, width=8, speakers=3)
    return features, replace(problem, folds=problem.folds[:2])


def kept(reader):
    """All read-outs of a training."""
    return {*READOUTS, downstreams.readout(reader)}


@pytest.mark.parametrize(
    ("head", "kind"),
    [(head, kind) for head in KEPT for kind in KINDS_OF_MODEL if kind in downstreams.resolve(head).kinds],
)
def test_a_fitted_head_gives_the_recorded_predictions_again(tmp_path, head, kind):
    features, problem = small(kind)
    reader = short(head)
    predictions = downstreams.evaluate(reader, features, problem, [0], work=tmp_path / "work", keep=kept(reader))
    table = predictions.table.set_index(["fold", "id"])
    assert [(one.fold, one.seed) for one in predictions.fitted] == [(fold.name, 0) for fold in problem.folds]
    for one, fold in zip(predictions.fitted, problem.folds, strict=True):
        encoder = tmp_path / fold.name if one.encoder else None
        if one.encoder:
            assert one.encoder.write(encoder, {"demo": "labels"}) == ""
        made = downstreams.apply(reader, one, encoder, features)
        own = table.loc[fold.name].loc[problem.ids[fold.test]]
        wanted = own.filter(like="score:").to_numpy() if problem.classes else own["prediction"].to_numpy()
        assert np.abs(made.scores[fold.test] - wanted).max() < 1e-5
        assert len(made.scores) == len(problem.ids) and made.further == ()


def test_top_blocks_are_applied_as_they_were_trained(tmp_path):
    """Also where an upstream reads what was written: in bf16, too, the blocks below were computed in fp32."""
    features, problem = small()
    reader, asked = short("finetune_top3"), []
    one, other = downstreams.evaluate(reader, features, problem, [0], work=tmp_path, keep=kept(reader)).fitted
    of_top = features.live.top
    features.live.top = lambda blocks: asked.append(blocks) or of_top(blocks)
    for own in (one, other):
        made = downstreams.apply(reader, own, None, features)  # no values beside it
        assert made.scores.shape == (len(problem.ids), len(problem.classes))
    assert asked == [3, 3]


@pytest.mark.parametrize("head", [head for head in KEPT if downstreams.resolve(head).further])
@pytest.mark.parametrize("neutral", ["masked", "zero"])
def test_a_fitted_head_gives_the_recorded_further_predictions_again(tmp_path, head, neutral):
    features, problem = make_several(n=60)
    problem = replace(problem, folds=problem.folds[:2], classes=("anger", "neutral", "sadness"))
    reader = short(head, neutral=neutral)
    predictions = downstreams.evaluate(reader, features, problem, [0], work=tmp_path / "work", keep=kept(reader))
    for one, fold in zip(predictions.fitted, problem.folds, strict=True):
        encoder = tmp_path / fold.name if one.encoder else None
        if one.encoder:
            one.encoder.write(encoder, {"demo": "labels"})
        made = {own.name: own for own in downstreams.apply(reader, one, encoder, features).further}
        assert list(made) == [own.name for own in predictions.further] == ["intensity", "gender", "phonemes"]
        for recorded in predictions.further:
            own, table = made[recorded.name], recorded.table.query("fold == @fold.name")
            rows = np.searchsorted(problem.ids, table["id"])
            assert len(rows) and own.classes == recorded.classes
            if own.scores is None:
                assert [own.sequences[row] for row in rows] == table["prediction"].tolist()
            else:
                assert np.abs(own.scores[rows] - table.filter(like="score:").to_numpy()).max() < 1e-5


def test_the_other_read_outs_of_a_head_with_branches_are_kept_too(tmp_path):
    features, problem = make_several(n=60)
    problem = replace(problem, folds=problem.folds[:1])
    for readout in ("best", "last"):
        reader = short("finetune_speecheq", readout=readout)
        assert downstreams.readout(reader) == readout
        assert len(downstreams.evaluate(reader, features, problem, [0], work=tmp_path, keep=[readout]).fitted) == 1


def test_weights_stay_until_they_are_forgotten_and_results_after_that(tmp_path):
    features, problem = small()
    reader = short("finetune")
    first = downstreams.evaluate(reader, features, problem, [0], work=tmp_path, keep=["best", "average"])
    names = {path.stem for path in tmp_path.rglob("*.pt")}
    assert names == {"result", "head best", "encoder best", "head average", "encoder average"}
    assert "2 of them done" in str(downstreams.expected(reader, features, problem, [0], work=tmp_path, keep=["best"]))
    assert "0 of them done" in str(downstreams.expected(reader, features, problem, [0], work=tmp_path, keep=["last"]))
    downstreams.forget(tmp_path)
    assert {path.stem for path in tmp_path.rglob("*.pt")} == {"result"}
    again = downstreams.evaluate(reader, features, problem, [0], work=tmp_path, keep=["average"])
    assert again.table.equals(first.table) and len(again.fitted) == 2 and not first.table.empty
    assert not downstreams.evaluate(reader, features, problem, [0], work=tmp_path).fitted


def test_adapters_begin_as_the_network_is_and_alone_are_trained():
    features, problem = small()
    live = features.live
    assert isinstance(live, MadeUpLive)
    plain, adapted = live.network(), live.network()
    live.adapt(adapted, 2, torch.Generator().manual_seed(1))
    rows = list(range(5))
    for one, other in zip(live.frames(plain, rows), live.frames(adapted, rows), strict=True):
        assert torch.equal(one, other)
    trained = {name: own for name, own in adapted.named_parameters() if own.requires_grad}
    assert len(trained) == 2 and all("lora_" in name for name in trained)
    with torch.no_grad():
        for own in trained.values():
            own.add_(0.1)
    merged = live.merged(adapted)
    assert {name for name, _ in merged.named_parameters()} == {name for name, _ in plain.named_parameters()}
    for one, other in zip(live.frames(merged, rows), live.frames(adapted, rows), strict=True):
        assert torch.allclose(one, other, atol=1e-5)
    reader = short("finetune_lora")
    predictions = downstreams.evaluate(reader, features, problem, [0])
    assert reader.trained == "encoder (lora)" and all(choice["moved"] > 0 for choice in predictions.choices)


def test_an_encoder_without_adapters_is_written_uncopied(tmp_path):
    """torch's older weight norm, which many a module has, refuses to be copied."""
    features, problem = make(n=60, speakers=3)
    make_network = features.live.network

    def normed():
        network = make_network()
        network.second = torch.nn.utils.weight_norm(network.second)
        return network

    features.live.network = normed
    reader = short("finetune")
    alone = replace(problem, folds=problem.folds[:1])
    [own] = downstreams.evaluate(reader, features, alone, [0], work=tmp_path / "work", keep=("average",)).fitted
    assert own.encoder.write(tmp_path / "encoder", {}) == ""
    assert (tmp_path / "encoder" / "values.safetensors").is_file()
