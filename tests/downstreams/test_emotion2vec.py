"""emotion2vec's head on ragged frames equals the padded and masked one that its authors describe."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

import downstreams
from downstreams import chance, emotion2vec
from downstreams.errors import DownstreamError
from tests.downstreams.problems import Ragged, make, reader, short


class Padded(nn.Module):
    """The same head on batches padded to their longest utterance, by torch's own modules."""

    def __init__(self, width, n_classes):
        super().__init__()
        self.hidden, self.classifier = nn.Linear(width, 256), nn.Linear(256, n_classes)

    def forward(self, frames):
        mask = pad_sequence([torch.ones(len(f)) for f in frames], batch_first=True)[..., None]
        active = self.hidden(pad_sequence(frames, batch_first=True)).relu() * mask
        return self.classifier(active.sum(1) / mask.sum(1))


@pytest.mark.parametrize("part", [1, 50, emotion2vec.PART])
def test_training_equals_the_padded_head(part, monkeypatch):
    """From one start and one order of batches: same dev figures, epoch and probabilities; parts change nothing."""
    monkeypatch.setattr(emotion2vec, "PART", part)
    features, problem = make()
    problem = replace(problem, folds=problem.folds[:1])
    fold, epochs = problem.folds[0], short("emotion2vec").settings["epochs"]
    ours = downstreams.evaluate(short("emotion2vec"), features, problem, [4])

    draws = chance.generator(fold.name, 4)
    model = Padded(12, 3)
    with torch.no_grad():
        for layer in (model.hidden, model.classifier):
            for own in (layer.weight, layer.bias):
                bound = layer.in_features**-0.5
                own.uniform_(-bound, bound, generator=draws)
    targets = torch.tensor(problem.targets)
    frames = [torch.tensor(f[:, -1]).float() for f in features.frames]
    targets = torch.tensor(problem.targets)
    optimiser = torch.optim.RMSprop(model.parameters(), lr=5e-4, momentum=0.9)
    rates = torch.optim.lr_scheduler.CyclicLR(optimiser, base_lr=5e-4, max_lr=1e-3, step_size_up=10)
    best, chosen, scores = -1.0, 0, None
    for epoch in range(1, epochs + 1):
        order = fold.train[torch.randperm(len(fold.train), generator=draws).numpy()]
        for rows in np.split(order, range(128, len(order), 128)):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model([frames[i] for i in rows]), targets[rows]).backward()
            optimiser.step()
        rates.step()
        with torch.no_grad():
            right = (model([frames[i] for i in fold.dev]).argmax(1) == targets[fold.dev]).double().mean().item() * 100
            if right > best:
                best, chosen = right, epoch
                scores = model([frames[i] for i in fold.test]).softmax(1).numpy()
    assert ours.choices == [{"fold": fold.name, "seed": 4, "epoch": chosen, "dev": pytest.approx(best)}]
    assert np.abs(ours.table[[f"score:{c}" for c in problem.classes]].to_numpy() - scores).max() < 1e-4


def test_frames_read_from_disk_give_the_same(monkeypatch):
    features, problem = make()
    in_memory = downstreams.evaluate(short("emotion2vec"), features, problem, [0])
    monkeypatch.setattr(emotion2vec, "RESIDENT", 0)
    from_disk = downstreams.evaluate(short("emotion2vec"), features, problem, [0])
    assert in_memory.table.equals(from_disk.table)
    assert in_memory.choices == from_disk.choices


def test_momentum_is_what_the_settings_say():
    features, problem = make()
    as_it_is, own, other = (
        downstreams.evaluate(short("emotion2vec", **changed), features, problem, [0]).table
        for changed in ({}, {"momentum": 0.9}, {"momentum": 0.85})
    )
    assert as_it_is.equals(own)
    assert not as_it_is.equals(other)


def test_an_utterance_without_frames_is_named():
    features, problem = make()
    features.frames[17] = features.frames[17][:0]
    features = replace(features, frames=Ragged(features.frames))
    with pytest.raises(DownstreamError, match="'u0017' has no frames"):
        downstreams.evaluate(reader("emotion2vec"), features, problem, [0])


def test_gradients_of_ragged_means_in_double():
    """Logits and gradients equal the padded head's to the last digits."""
    torch.manual_seed(0)
    frames = [torch.randn(n, 12, dtype=torch.float64) for n in (1, 7, 30, 2)]
    model = Padded(12, 3).double()
    own = [p.detach().clone().requires_grad_() for p in model.parameters()]
    head = emotion2vec.Head(*own)
    logits = head.logits(head.means(torch.cat(frames), torch.tensor([len(f) for f in frames])))
    expected = model(frames)
    assert (logits - expected).abs().max() < 1e-6
    targets = torch.tensor([0, 2, 1, 1])
    for output in (logits, expected):
        nn.functional.cross_entropy(output, targets).backward()
    for ours, theirs in zip(own, model.parameters(), strict=True):
        assert (ours.grad - theirs.grad).abs().max() < 1e-6
