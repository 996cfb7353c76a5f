"""Identities and models: what is known without a model, and that a model is built only where it is needed."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import upstreams
from commons.places import Places
from tests.upstreams.copies import store as save_tiny
from tests.upstreams.sounds import ENERGY, ROOT, extract, noise, plugin, speak, with_init
from upstreams import Extraction, UpstreamError
from upstreams.errors import Unsteady
from upstreams.extraction.models import Models


@pytest.fixture
def utterances(tmp_path: Path) -> pd.DataFrame:
    return speak(tmp_path, [noise(0.2 + 0.1 * i, i) for i in range(4)])


@pytest.mark.parametrize("name", ["fbank", "emotion2vec", "random:wav2vec2_base@3", "plugin"])
def test_names_and_identities_are_plain_and_travel(name: str, tmp_path: Path) -> None:
    named = upstreams.resolve(plugin(tmp_path, ENERGY) if name == "plugin" else name)
    identity = upstreams.identify(named)
    assert pickle.loads(pickle.dumps(named)) == named and hash(named) == hash(pickle.loads(pickle.dumps(named)))
    assert pickle.loads(pickle.dumps(identity)) == identity


def test_an_identity_says_what_the_upstream_says(tmp_path: Path) -> None:
    name = plugin(tmp_path, with_init("seen = {'IEMOCAP': 'audio'}; label = 'E'; licence = 'MIT'; source = 'here@1'"))
    upstream, identity = upstreams.load(name), upstreams.identify(upstreams.resolve(name), "bf16")
    assert (identity.title, identity.display_name, identity.licence) == (identity.named.record_name, "E", "MIT")
    assert (identity.depth, identity.width, identity.takes) == (2, 3, upstream.takes)
    assert (identity.seen, identity.weights) == ({"iemocap": "audio"}, "here@1")
    assert (identity.precision, identity.movable, identity.modality) == ("fp32", False, "audio")
    assert identity.fingerprint == upstream.fingerprint()


@pytest.mark.parametrize("jobs", [1, 2])
def test_no_model_is_built_where_the_store_has_all(tmp_path: Path, utterances: pd.DataFrame, jobs: int) -> None:
    identity = upstreams.identify(upstreams.resolve(plugin(tmp_path, ENERGY)))
    options = Extraction(tmp_path / "cache", "cpu", jobs)
    first = upstreams.extract(identity, utterances, {"pooled", "frames:last"}, options)
    (tmp_path / "energy.py").unlink()
    again = upstreams.extract(identity, utterances, {"pooled", "frames:last"}, options, models=Models())
    assert again.counts["computed"] == 0
    np.testing.assert_array_equal(first.pooled[:], again.pooled[:])


def test_one_upstream_over_many_tasks_is_built_once(tmp_path: Path, utterances: pd.DataFrame) -> None:
    held = Models()
    random, fbank = (upstreams.identify(upstreams.resolve(name)) for name in ("random:emotion2vec", "fbank"))
    model = held.of(random)
    extract("random:emotion2vec", utterances, {"pooled"}, tmp_path / "cache", models=held)
    assert held.of(random) is model
    held.of(fbank)
    assert held.of(random) is not model  # only the last one is kept


def test_a_users_model_is_built_twice_before_it_is_used_and_then_kept(tmp_path: Path, utterances: pd.DataFrame) -> None:
    built = tmp_path / "built"
    name, held = plugin(tmp_path, with_init(f"def __init__(self): open({str(built)!r}, 'a').write('.')")), Models()
    for i in range(3):
        extract(name, utterances.iloc[i : i + 1], {"pooled"}, tmp_path / "cache", models=held)
    assert len(built.read_text()) == 2


def test_weights_that_differ_at_each_start_are_refused(tmp_path: Path, utterances: pd.DataFrame) -> None:
    unseeded = plugin(tmp_path, with_init("def __init__(self): self.net = torch.nn.Linear(2, 2)"))
    for held in (None, Models()):
        with pytest.raises(Unsteady, match="another model each time it is built"):
            extract(unseeded, utterances, {"pooled"}, tmp_path / "cache", models=held)


@pytest.mark.parametrize("kept", [False, True], ids=["built anew", "kept"])
def test_a_file_that_changed_since_it_was_identified_is_refused(
    tmp_path: Path, utterances: pd.DataFrame, kept: bool
) -> None:
    held, options = Models(), Extraction(tmp_path / "cache", "cpu", 1)
    named = upstreams.resolve(plugin(tmp_path, ENERGY))
    identity = upstreams.identify(named, models=held)
    upstreams.extract(identity, utterances.iloc[:1], {"pooled"}, options, models=held)
    plugin(tmp_path, ENERGY.replace("10 * values", "20 * values"))
    with pytest.raises(Unsteady, match="its file changed in the meantime"):
        upstreams.extract(identity, utterances, {"pooled"}, options, models=held if kept else None)
    changed = upstreams.identify(named, models=held)
    features = upstreams.extract(changed, utterances, {"pooled"}, options, models=held)
    assert changed.fingerprint != identity.fingerprint and features.counts["computed"] == 4
    np.testing.assert_allclose(features.pooled[:, :, 1], 20 * features.pooled[:, :, 0], rtol=1e-5)


def test_weights_that_changed_since_they_were_identified_are_refused(tmp_path: Path, utterances: pd.DataFrame) -> None:
    """They are read at the first call, long after the fingerprint was taken."""
    one, other = (save_tiny(name, tmp_path / name) for name in ("wav2vec2_base", "hubert_base"))
    held = Models()
    identity = upstreams.identify(upstreams.resolve(f"hf:{one}"), models=held)
    (one / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes() + b" ")
    with pytest.raises(Unsteady):
        upstreams.extract(identity, utterances, {"pooled"}, Extraction(tmp_path / "cache", "cpu", 1), models=held)


def test_a_chunk_is_verified_once_by_those_who_share_models(tmp_path: Path, utterances: pd.DataFrame) -> None:
    """Only those who have not verified it notice a damage that keeps the size and the time stamp of the file."""
    name, held = plugin(tmp_path, ENERGY), Models()
    extract(name, utterances, {"pooled"}, tmp_path / "cache", models=held)
    (chunk,) = (tmp_path / "cache").rglob("*.safetensors")
    stamps, content = chunk.stat(), bytearray(chunk.read_bytes())
    content[-1] ^= 1
    chunk.write_bytes(content)
    os.utime(chunk, ns=(stamps.st_atime_ns, stamps.st_mtime_ns))
    assert extract(name, utterances, {"pooled"}, tmp_path / "cache", models=held).counts["computed"] == 0
    with pytest.warns(UserWarning, match="damaged file"):
        assert extract(name, utterances, {"pooled"}, tmp_path / "cache", models=Models()).counts["computed"] == 4


def test_modality_is_audio_or_text(tmp_path: Path) -> None:
    assert upstreams.identify(upstreams.resolve("fbank")).modality == "audio"
    assert upstreams.identify(upstreams.resolve("text_ngrams")).modality == "text"
    assert upstreams.load(plugin(tmp_path, with_init("modality = 'audio'"))).modality == "audio"
    with pytest.raises(UpstreamError, match="its modality is 'video'; expected audio or text"):
        upstreams.load(plugin(tmp_path, with_init("modality = 'video'")))
    with pytest.raises(UpstreamError, match="an upstream of texts has no `hop` 160; say hop = None"):
        upstreams.load(plugin(tmp_path, with_init("modality = 'text'")))


def test_what_cannot_be_called_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UpstreamError, match=r"needs a call, `def __call__\(self, waveforms\)` .*; found Energy"):
        upstreams.load(plugin(tmp_path, ENERGY.replace("__call__", "features")))


def test_no_environment_is_read_below_the_command_line(tmp_path: Path) -> None:
    """What the environment names counts only once a command line has made it a place."""
    copies = save_tiny("wav2vec2_base", tmp_path / "some" / "model").parents[1]
    source = (
        "import os, sys, upstreams; from commons import places\n"
        "def weights(where): return upstreams.identify(upstreams.resolve('hf:some/model', where)).weights\n"
        "os.environ['EMOREP_WEIGHTS'] = sys.argv[1]; os.environ['HF_HUB_OFFLINE'] = '1'\n"
        "print(weights(places.of_environment(os.environ)))\n"
        "try: weights(places.Places())\n"
        "except upstreams.UpstreamError: print('not found')\n"
    )
    command = [sys.executable, "-c", source, str(copies)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n") == ["some/model", "not found", ""]


def test_the_folder_of_runs_is_a_place(tmp_path: Path) -> None:
    run = tmp_path / "losses" / "frame"
    run.mkdir(parents=True)
    (run / "step-00000050.safetensors").touch()
    named = upstreams.resolve("emotion2vec:losses/frame", Places(runs=tmp_path))
    assert named.checkpoint == str(run / "step-00000050.safetensors")
