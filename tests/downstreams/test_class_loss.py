"""The loss in classes that all trained heads share: class weights, focal loss and mixup."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

import downstreams
from commons.errors import EmorepError
from downstreams import balance
from downstreams.class_loss import ClassLoss, Mix
from downstreams.frame_head import FrameHead, padded
from downstreams.registry import HEADS
from downstreams.settings import Mixed, Sizes, Trained
from tests.downstreams.problems import ECAPA, make, short

TRAINED = [name for name in HEADS if isinstance(HEADS.find(name).settings, Trained)]
MIXED = [name for name in TRAINED if isinstance(HEADS.find(name).settings, Mixed)]
ROWS, TARGETS = np.arange(6), torch.tensor([0, 1, 2, 0, 1, 0])
WEIGHTS = torch.tensor([0.5, 1.0, 2.0])
LOGITS = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
FLAT = ClassLoss(TARGETS, WEIGHTS.double())


def evaluated(head, **settings):
    features, problem = make(HEADS.find(head).kinds[0], n=48, speakers=3, signal=0.4)
    return downstreams.evaluate(short(head, **settings), features, replace(problem, select_on="UA"), [0]).table


def test_a_head_draws_random_numbers_or_has_no_such_settings():
    assert set(TRAINED) == {name for name in HEADS if not HEADS.find(name).deterministic}
    for head in set(HEADS) - set(TRAINED):
        assert not {"focal", "mixup", "effective_beta"} & type(HEADS.find(head).settings).model_fields.keys()


@pytest.mark.parametrize("head", HEADS)
def test_settings_at_their_defaults_are_not_in_keys(head):
    """`speecheq` had `focal` from its beginning."""
    settings = downstreams.resolve(head).settings
    assert not {"mixup", "effective_beta"} & settings.keys()
    assert "focal" not in settings or "speecheq" in head


@pytest.mark.parametrize(
    "changed", [{"focal": 3.0}, {"class_weights": "effective", "effective_beta": 0.9}, {"mixup": 0.4}]
)
@pytest.mark.parametrize("head", ["superb", "emotion2vec", "attentive", "no_context"])
def test_each_setting_changes_what_a_head_learns(head, changed):
    if head not in MIXED and "mixup" in changed:
        pytest.skip("a turn is not mixed, since its dialogue is its context")
    scores = [table.filter(like="score:").to_numpy() for table in (evaluated(head), evaluated(head, **changed))]
    assert np.isfinite(scores).all() and np.abs(scores[0] - scores[1]).max() > 1e-4


def test_the_sums_and_means_are_those_of_cross_entropy():
    for reduction, own in (("sum", FLAT(LOGITS, ROWS)), ("mean", FLAT.mean(LOGITS, ROWS))):
        torch.testing.assert_close(own, cross_entropy(LOGITS, TARGETS, WEIGHTS.double(), reduction=reduction))


def test_a_focal_loss_of_0_is_cross_entropy_and_above_it_what_is_known_counts_less():
    near_0 = replace(FLAT, focal=1e-12)
    torch.testing.assert_close(near_0(LOGITS, ROWS), FLAT(LOGITS, ROWS))
    torch.testing.assert_close(near_0.mean(LOGITS, ROWS), FLAT.mean(LOGITS, ROWS))
    focal = replace(FLAT, focal=2.0, weights=None)
    for row in ROWS:
        plain = cross_entropy(LOGITS[[row]], TARGETS[[row]])
        torch.testing.assert_close(focal(LOGITS[[row]], ROWS[[row]]), (1 - (-plain).exp()) ** 2 * plain)


def test_a_certain_utterance_has_a_focal_loss_with_a_finite_gradient():
    logits = torch.tensor([[200.0, 0.0, 0.0]], requires_grad=True)
    replace(FLAT, focal=0.5, weights=None)(logits, ROWS[:1]).backward()
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("focal", [0.0, 2.0])
def test_pairs_of_which_the_first_is_all_are_no_mixup(focal):
    """Bit for bit in the vectors, and in the loss."""
    own, one = replace(FLAT, focal=focal), Mix(torch.tensor([3, 4, 5, 0, 1, 2]), torch.ones(6))
    assert torch.equal(one(LOGITS), LOGITS)
    torch.testing.assert_close(own(one(LOGITS), ROWS, one), own(LOGITS, ROWS))
    none = replace(one, share=torch.zeros(6))
    torch.testing.assert_close(own(none(LOGITS), ROWS, none), own(LOGITS[none.partner], ROWS[none.partner]))


def test_a_mixed_loss_is_the_cross_entropy_with_mixed_classes():
    mix = replace(FLAT, mixup=0.4).mix(6, torch.Generator().manual_seed(3))
    assert sorted(mix.partner.tolist()) == ROWS.tolist() and ((mix.share >= 0) & (mix.share <= 1)).all()
    soft = mix(torch.eye(3, dtype=torch.float64)[TARGETS])
    expected = cross_entropy(mix(LOGITS), soft, reduction="sum")
    torch.testing.assert_close(replace(FLAT, weights=None)(mix(LOGITS), ROWS, mix), expected)
    assert FLAT.mix(6, torch.Generator()) is None and replace(FLAT, mixup=1.0).mix(6, None) is None


def test_mixed_utterances_keep_to_the_classes_that_each_may_have():
    allowed = torch.ones(6, 3, dtype=torch.bool)
    allowed[[0, 3, 5], 2] = False
    own, mix = replace(FLAT, allowed=allowed), Mix(torch.tensor([3, 4, 2, 0, 1, 5]), torch.full((6,), 0.3))
    logits = LOGITS.clone()
    logits[[0, 3, 5], 2] = 1e3
    logits.requires_grad_()
    loss = own(logits, ROWS, mix)
    loss.backward()
    assert torch.isfinite(loss) and (logits.grad[[0, 3, 5], 2] == 0).all()


@pytest.mark.parametrize("aggregator", ["mean", "attentive", "ecapa", "mscnn"])
def test_a_network_mixes_what_its_frames_are_pooled_to(aggregator):
    """Utterances of several lengths; a partner that is the utterance itself changes nothing."""
    head = FrameHead(aggregator, 1, 6, 3, Sizes(**ECAPA | {"dropout": 0.0}), torch.Generator().manual_seed(0)).eval()
    x, valid = padded([torch.randn(n, 1, 6) for n in (2, 7, 4)])
    itself = Mix(torch.arange(3), torch.tensor([0.2, 0.5, 0.9]))
    other = replace(itself, partner=torch.tensor([1, 2, 0]))
    torch.testing.assert_close(head(x, valid, None, itself)[0], head(x, valid)[0])
    assert (head(x, valid, None, other)[0] - head(x, valid)[0]).abs().min(1).values.min() > 0


def test_effective_numbers_lie_between_utterances_and_classes():
    targets = np.repeat([0, 2], [900, 30])
    none, alike = balance.effective(targets, 3, 0.0), balance.effective(targets, 3, 1 - 1e-9)
    assert none[[0, 2]].tolist() == [1.0, 1.0] and none[1] == 0
    np.testing.assert_allclose(alike[[0, 2]], balance.weights(targets, 3)[[0, 2]], rtol=1e-4)
    several = [balance.effective(targets, 3, beta) for beta in (0.0, 0.9, 0.99, 0.999, 0.9999)]
    ratios = [own[2] / own[0] for own in several]
    assert ratios == sorted(ratios) and ratios[0] == 1 and ratios[-1] < 30
    expected = (1 - 0.999**900) / (1 - 0.999**30)
    assert ratios[3] == pytest.approx(expected, rel=1e-5)
    assert balance.effective(targets, 3, 0.999)[targets].mean() == pytest.approx(1)


def test_what_weighs_the_classes_is_recorded():
    problem = replace(make(n=24, speakers=3)[1], select_on="UA")
    for weights, applied in {"effective": "effective", "headline": "balanced", "none": "none"}.items():
        assert downstreams.class_weights(short("superb", class_weights=weights), problem) == applied


@pytest.mark.parametrize("head", [name for name in HEADS if name not in TRAINED])
def test_a_head_that_a_solver_fits_refuses_them(head, tmp_path):
    for line in ("mixup: 0.2", "focal: 2", "class_weights: effective"):
        (tmp_path / "mine.yaml").write_text(line)
        with pytest.raises(EmorepError, match=r"mine\.yaml"):
            downstreams.resolve(f"{head}@{tmp_path / 'mine.yaml'}")
