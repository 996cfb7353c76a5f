"""Early fusion and single layers: views of what the store has of their parts."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import upstreams
from commons.errors import EmorepError
from commons.places import Places
from commons.splitting import split
from tests.upstreams.sounds import ENERGY, SOUND, TINY, extract, noise, plugin, speak
from upstreams import fused_live
from upstreams.checks import check
from upstreams.checks.made import of_parts
from upstreams.inputs import waveforms
from upstreams.inputs.audio import decode, segments
from upstreams.side_by_side import aligned, paired


@pytest.fixture(scope="module")
def utterances(tmp_path_factory) -> pd.DataFrame:
    return speak(tmp_path_factory.mktemp("audio"), [noise(0.3 + 0.1 * i, i) for i in range(5)])


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> str:
    """An encoder of three layers, 20 ms a frame."""
    return plugin(tmp_path_factory.mktemp("tiny"), TINY, "tiny")


@pytest.fixture(scope="module")
def energy(tmp_path_factory) -> str:
    """Two layers, 10 ms a frame."""
    return plugin(tmp_path_factory.mktemp("energy"), ENERGY)


def identity(name: str) -> upstreams.Identity:
    return upstreams.identify(upstreams.resolve(name))


def test_pooled_features_are_those_of_the_parts_side_by_side(utterances, cache, tiny, energy):
    names = [tiny, energy, "mfcc"]
    parts = [extract(name, utterances, ["pooled"], cache) for name in names]
    fused = extract("+".join(names), utterances, ["pooled"], cache)
    assert parts[0].parameters
    assert extract(f"{tiny}+{energy}", utterances, ["pooled"], cache / "new").parameters == parts[0].parameters
    assert (fused.depth, fused.parts) == (max(part.depth for part in parts), tuple(part.width for part in parts))
    assert fused.pooled.shape == (len(utterances), 2, fused.depth, sum(fused.parts)) == fused.pooled[:].shape
    for layer in range(fused.depth):
        own = [part.pooled[:, :, paired(layer, fused.depth, part.depth)] for part in parts]
        np.testing.assert_array_equal(fused.pooled[:, :, layer], np.concatenate(own, axis=-1))
    whole, rows = fused.pooled[:], np.array([3, 0])
    for index in [1, rows, rows[:1], (slice(None), 0), (rows, 1, 2), (2, 0, -1, slice(3, 40)), (rows, slice(0, 1), 0)]:
        np.testing.assert_array_equal(fused.pooled[index], whole[index])
    assert fused.counts["computed"] == 0 and fused.counts["reused"] == len(utterances)


@pytest.mark.parametrize(("depth", "own"), [(13, 13), (13, 25), (25, 13), (13, 1), (2, 7), (1, 1), (7, 2)])
def test_layers_are_paired_by_relative_depth(depth, own):
    layers = [paired(layer, depth, own) for layer in range(depth)]
    assert layers[0] == 0 and (depth == 1 or layers[-1] == own - 1) and layers == sorted(layers)
    for layer, mine in enumerate(layers):
        assert 1 in (depth, own) or abs(mine / (own - 1) - layer / (depth - 1)) <= 0.5 / (own - 1) + 1e-9


def test_named_layers_are_those_and_no_others(utterances, cache, tiny, energy):
    fused = extract(f"{tiny}#1+{energy}#0", utterances, ["pooled"], cache)
    assert (fused.depth, fused.pooled.shape[2]) == (1, 1)
    own = [extract(name, utterances, ["pooled"], cache).pooled[:, :, layer] for name, layer in ((tiny, 1), (energy, 0))]
    np.testing.assert_array_equal(fused.pooled[:, :, 0], np.concatenate(own, axis=-1))
    mixed = extract(f"{tiny}+{energy}#1", utterances, ["pooled"], cache)  # the other part keeps its layers
    last = extract(energy, utterances, ["pooled"], cache).pooled[:, :, 1]
    for layer in range(mixed.depth):
        np.testing.assert_array_equal(mixed.pooled[:, :, layer][..., -3:], last)


@pytest.mark.parametrize("kind", ["frames:last", "frames:all"])
def test_frames_are_those_of_the_coarser_part_and_means_of_the_finer(utterances, cache, tiny, energy, kind):
    coarse, fine = (extract(name, utterances, [kind], cache).frames for name in (tiny, energy))
    fused = extract(f"{energy}+{tiny}", utterances, [kind], cache)
    assert fused.frames.layers == coarse.layers
    np.testing.assert_array_equal(fused.frames.offsets, coarse.offsets)
    for row in range(len(utterances)):
        whole, count = fused.frames[row], len(coarse[row])
        np.testing.assert_array_equal(whole[..., 3:], coarse[row])
        # Two frames of 10 ms in one of 20 ms.
        pairs = fine[row][: 2 * count].astype(np.float64).reshape(count, 2, *fine[row].shape[1:]).mean(1)
        last = [fine.layers.index(paired(layer, 3, 2)) for layer in coarse.layers]
        np.testing.assert_allclose(whole[..., :3], pairs[:, last], rtol=2e-3, atol=1e-4)


def test_frames_of_a_named_layer_are_those_of_that_layer(utterances, cache, tiny):
    one, every = (
        extract(f"{tiny}#1", utterances, ["frames:last"], cache),
        extract(tiny, utterances, ["frames:all"], cache),
    )
    for row in range(len(utterances)):
        np.testing.assert_array_equal(one.frames[row][:, 0], every.frames[row][:, 1])


@pytest.mark.parametrize(("step", "longest"), [(0.01, 0.02), (0.01, 0.025), (0.016, 0.02), (0.02, 0.02)])
def test_a_frame_takes_the_mean_of_the_frames_whose_centres_lie_in_it(step, longest):
    fine = np.random.default_rng(0).standard_normal((30, 2, 3)).astype(np.float16)
    count = int(30 * step / longest) + 2  # more than the finer part reaches
    made = aligned(fine, step, longest, count)
    for frame in range(min(count, 30)):
        inside = [i for i in range(30) if frame <= round((i + 0.5) * step / longest, 9) < frame + 1]
        wanted = fine[inside].astype(np.float64).mean(0) if inside else fine[-1]
        if step < longest or inside:
            np.testing.assert_allclose(made[frame], wanted, rtol=1e-3, atol=1e-3)


def test_a_part_with_one_frame_an_utterance_makes_one_of_all(utterances, cache, energy):
    one = extract("opensmile", utterances.iloc[:2], ["frames:last"], cache)
    fused = extract(f"{energy}+opensmile", utterances.iloc[:2], ["frames:last"], cache)
    assert list(fused.frames.offsets) == [0, 1, 2]
    np.testing.assert_array_equal(fused.frames[1][..., 3:], one.frames[1])


def test_facts_of_all_parts_carry_over(tmp_path, energy):
    def saying(name: str, facts: str) -> str:
        return plugin(tmp_path, ENERGY.replace("    min_samples", f"    {facts}\n    min_samples"), name)

    def named(name: str, facts: str) -> str:
        return saying(name, facts).replace(f":{name}", ":Energy")

    one = named("One", "seen, licence = {'emodb': 'audio', 'iemocap': 'labels'}, 'MIT'")
    other = named("Other", "seen, licence = {'EmoDB': 'labels', 'iemocap': 'audio'}, 'CC BY-NC 4.0'")
    fused = identity(f"{one}+{other}")
    assert fused.seen == {"emodb": "labels", "iemocap": "labels"}
    assert "MIT" in fused.licence and "CC BY-NC 4.0" in fused.licence
    partly = identity(f"{one}+{energy}+{other}")
    assert partly.seen == "unknown" and partly.known_seen == {"emodb": "labels", "iemocap": "labels"}
    assert identity(f"{one}+{energy}#1").known_seen == identity(one).seen
    cited = upstreams.resolve("opensmile+prosody+fbank").cite
    assert set(cited) == set(upstreams.resolve("opensmile").cite) | set(upstreams.resolve("prosody").cite)


def test_the_fingerprint_follows_parts_their_order_and_layers(energy, tiny):
    names = [f"{tiny}+{energy}", f"{energy}+{tiny}", f"{tiny}+{energy}#1", f"{tiny}+{energy}#0", f"{tiny}+{tiny}", tiny]
    assert len({identity(name).fingerprint for name in names}) == len(names)
    assert identity(names[0]).fingerprint == identity(names[0]).fingerprint


def test_a_name_is_split_only_where_every_part_is_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plugin(tmp_path, ENERGY, "my+energy")
    file = "my+energy.py:Energy"
    assert upstreams.resolve(file).parts == ()
    assert [part.name for part in upstreams.resolve(f"fbank+{file}+mfcc").parts] == ["fbank", file, "mfcc"]
    assert split("a+b+c", "+", {"a", "b+c", "a+b"}.__contains__) == ["a", "b+c"]
    assert split("a+b", "+", {"a"}.__contains__) == ["a+b"]


def test_random_parts_stand_for_five_draws_in_step():
    names = upstreams.expand("random:wav2vec2_base+random:emotion2vec+fbank")
    assert [upstreams.resolve(name).draw for name in names] == [0, 1, 2, 3, 4]
    for seed, name in enumerate(names):
        assert [part.draw for part in upstreams.resolve(name).parts] == [seed, seed, None]
    assert upstreams.resolve("random:wav2vec2_base@1+random:emotion2vec@2").draw is None
    assert upstreams.expand("random:emotion2vec#1") == [f"random:emotion2vec@{seed}#1" for seed in range(5)]
    assert upstreams.expand("fbank+mfcc") == ["fbank+mfcc"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("fbank+mffc", "unknown upstream 'mffc': did you mean mfcc?"),
        ("fbank+", "an upstream is missing beside a +"),
        ("+fbank", "an upstream is missing beside a +"),
        ("fbank#3", "has layers 0 to 0, and no layer 3"),
        ("fbank#0#0", "is one layer already"),
        ("fbank#last", "unknown upstream"),
        ("late:fbank,mfcc", "a late fusion has predictions and no features"),
        ("fbank+late:mfcc,prosody", "late:mfcc,prosody: a late fusion has predictions and no features"),
    ],
)
def test_a_wrong_name_is_one_clear_message(name, says):
    with pytest.raises(EmorepError) as raised:
        upstreams.identify(upstreams.resolve(name, Places()))
    assert says in str(raised.value)


def test_a_failing_part_is_named(utterances, cache, tmp_path):
    broken = plugin(tmp_path, ENERGY.replace("        frames =", "        raise OSError('no disk')\n        frames ="))
    with pytest.raises(EmorepError, match=r"its part .*energy\.py:Energy fails: .*no disk"):
        extract(f"fbank+{broken}", utterances, ["pooled"], cache)


@pytest.mark.parametrize("other", ["energy", "whisper"])
def test_a_live_fusion_gives_the_frozen_frames_and_trains_all_parts(utterances, cache, tmp_path, tiny, other):
    """A module of one layer with frames of 10 ms beside an encoder of three with 20 ms; two encoders."""
    whisper = TINY.replace("wav2vec2_base", "whisper_tiny")
    part = plugin(tmp_path, SOUND, "Sound") if other == "energy" else plugin(tmp_path, whisper, "tiny")
    features = extract(f"{part}+{tiny}", utterances, ["frames:all", "live"], cache)
    live, parts = features.live, [extract(name, utterances, ["live"], cache).live for name in (part, tiny)]
    assert (live.depth, live.width, len(live)) == (features.depth, features.width, len(utterances))
    assert live.widths == features.parts == tuple(one.width for one in parts) and not parts[0].widths
    np.testing.assert_array_equal(live.costs(), parts[0].costs() + parts[1].costs())
    network = live.network()
    assert len(live.front(network)) == sum(len(one.front(one.network())) for one in parts)
    outputs = live.frames(network, [3, 0])
    for row, output in zip([3, 0], outputs, strict=True):
        wanted = features.frames[row].transpose(1, 0, 2)
        np.testing.assert_allclose(output.detach().numpy(), wanted, rtol=2e-3, atol=2e-3 * np.abs(wanted).max())
    torch.cat([output.square().mean((0, 1)) for output in outputs]).sum().backward()
    moved = [any(own.grad is not None and bool(own.grad.any()) for own in one.parameters()) for one in network.parts]
    assert moved == [True, True]


def test_top_blocks_and_adapters_of_a_live_fusion_are_those_of_its_parts(utterances, cache, tmp_path, tiny):
    other = plugin(tmp_path, TINY.replace("wav2vec2_base", "wavlm_base"), "tiny")
    features = extract(f"{tiny}+{other}", utterances, ["live"], cache)
    assert features.counts == {}, "nothing was computed for the store, or reused from it"
    live = features.live
    network = live.network()
    with torch.no_grad():
        last = [output[-1:] for output in live.frames(network, [0, 2])]
        top = live.top(1)
        assert top.widths == live.widths
        for one, own in zip(top.frames(top.network(), [0, 2]), last, strict=True):
            torch.testing.assert_close(one, own, rtol=1e-3, atol=1e-3)
        live.adapt(network, 2, torch.Generator().manual_seed(0))
        for one, own in zip(live.frames(network, [0, 2]), last, strict=True):
            torch.testing.assert_close(one[-1:], own)  # adapters begin as nothing
    adapted = {name.split(".")[1] for name, own in network.named_parameters() if own.requires_grad}
    assert adapted == {"0", "1"} and all("lora" not in name for name, _ in live.merged(network).named_parameters())
    live.checkpoint(network)
    assert all(output.requires_grad for output in live.frames(network, [0]))


def test_a_live_fusion_decodes_audio_once_for_all_parts_of_one_rate(utterances, cache, tmp_path, tiny, monkeypatch):
    """Two parts take 16 kHz, a third one 8 kHz."""
    names = [tiny, plugin(tmp_path, SOUND, "Sound")]
    names.append(plugin(tmp_path, SOUND.replace("Sound", "Low").replace("16000", "8000"), "Low"))
    live, rates = extract("+".join(names), utterances, ["live"], cache).live, []
    monkeypatch.setattr(waveforms, "decode", lambda one, rate: rates.append(rate) or decode(one, rate))
    network = live.network()
    for rows in ([0, 1], [1, 2], [0, 2]):
        live.frames(network, rows)
    assert sorted(rates) == [8000] * 3 + [16000] * 3


def test_waveforms_beyond_the_room_are_decoded_again(utterances, monkeypatch):
    several, calls = segments(utterances), []
    monkeypatch.setattr(waveforms, "decode", lambda one, rate: calls.append(one) or decode(one, rate))
    own = waveforms.Waveforms(room=4 * 8000)
    for one in [*several[:2], *several[:2]]:
        assert np.array_equal(own.of(one, 16000), decode(one, 16000))
    assert calls == [*several[:2], several[1]]


@pytest.mark.parametrize("first", [True, False])
def test_parts_of_a_live_fusion_that_can_be_are_checkpointed(utterances, cache, tmp_path, tiny, first):
    """A module of one's own beside an encoder has no known blocks; two such modules have none at all."""
    own = plugin(tmp_path, SOUND, "Sound")
    live = extract(f"{own}+{tiny}" if first else f"{tiny}+{own}", utterances, ["live"], cache).live
    network = live.network()
    plain = live.frames(network, [0])[0]
    live.checkpoint(network)
    assert any(isinstance(one.forward, partial) for one in network.parts[first].modules())
    assert torch.equal(live.frames(network, [0])[0], plain)
    other = plugin(tmp_path, SOUND.replace("Sound", "Other"), "Other")
    none = extract(f"{own}+{other}", utterances, ["live"], cache).live
    with pytest.raises(EmorepError, match="`feed_forward`"):
        none.checkpoint(none.network())


@pytest.mark.parametrize(
    ("step", "longest"), [(0.01, 0.02), (0.01, 0.025), (0.016, 0.02), (0.02, 0.02), (0.02, np.inf)]
)
def test_frames_with_gradients_are_aligned_as_stored_ones(step, longest):
    fine = np.random.default_rng(0).standard_normal((30, 2, 3)).astype(np.float32)
    count = 1 if np.isinf(longest) else int(30 * step / longest) + (2 if step < longest else 0)
    made = fused_live.aligned(torch.tensor(fine.transpose(1, 0, 2)), step, longest, count)
    np.testing.assert_allclose(made.numpy().transpose(1, 0, 2), aligned(fine, step, longest, count), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("fbank+{tiny}", r"its part fbank fails: .*cannot be fine-tuned"),
        ("{tiny}#1", r"one layer is read of frozen features"),
        ("{tiny}#1+{tiny}", r"one layer is read of frozen features"),
        ("{tiny}+text_ngrams", r"pieces of text"),
    ],
)
def test_what_a_fusion_cannot_train_says_why(utterances, cache, tiny, name, says):
    with pytest.raises(EmorepError, match=says):
        extract(name.format(tiny=tiny), utterances, ["live"], cache)


@pytest.mark.parametrize(
    ("name", "barred", "says"),
    [
        ("{tiny}+fbank", "", "  fine-tuning: its parts can be trained together"),
        ("{tiny}+fbank", "fbank", "  cannot be fine-tuned: its part fbank cannot be"),
        ("{tiny}#1", "", "  cannot be fine-tuned: one layer is read of frozen features"),
        ("{tiny}+text_ngrams", "", "  cannot be fine-tuned: frames of its parts are aligned in time, and"),
    ],
)
def test_a_check_says_whether_parts_can_be_trained_together(tiny, name, barred, says):
    assert list(of_parts(upstreams.resolve(name.format(tiny=tiny)), barred))[-1].startswith(says)


def test_a_check_names_the_part_that_cannot_be_fine_tuned():
    assert list(check("prosody+fbank"))[-1] == "  cannot be fine-tuned: its part prosody cannot be"
