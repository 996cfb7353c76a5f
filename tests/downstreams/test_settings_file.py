"""NAME@FILE.yaml: a head with settings of the user's own."""

import json
from dataclasses import replace

import numpy as np
import pytest

import downstreams
from commons.errors import NotThere, Refused, UnknownName
from commons.hashing import of_json
from commons.yamlfile import LARGEST
from downstreams.errors import DownstreamError
from downstreams.settings import FIXED
from tests.downstreams.problems import make, short


@pytest.fixture
def write(tmp_path):
    """Writes a settings file; returns what -d is given for a head and it."""

    def write(head, content, name="mine.yaml"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return f"{head}@{path}"

    return write


def refusal(name):
    """The message with which a name is refused, which is one line that names the file."""
    with pytest.raises(Refused) as refused:
        downstreams.resolve(name)
    message = str(refused.value)
    assert "\n" not in message and name.partition("@")[2] in message
    return message


def test_the_file_takes_the_place_of_the_heads_own_settings(write):
    own = downstreams.resolve("superb")
    mine = downstreams.resolve(write("superb", "epochs: 20\nrates: [1e-3, 0.01]\n"))
    content = {"epochs": 20, "rates": [1e-3, 1e-2]}
    assert mine.settings == own.settings | content
    assert (mine.head, mine.name) == ("superb", f"superb@mine~{of_json(content)[:8]}")
    assert (mine.needs, mine.kinds, mine.deterministic) == (own.needs, own.kinds, own.deterministic)
    assert list(mine.settings) == list(own.settings)
    assert json.loads(json.dumps(mine.settings)) == mine.settings


def test_the_hash_is_of_the_settings_that_the_file_holds(write):
    name = downstreams.resolve(write("probe", "strengths: [1, 10.0]\n")).name
    same = "# a comment\nstrengths:\n- 1.0\n- 1e1\n"
    assert downstreams.resolve(write("probe", same)).name == name
    other = downstreams.resolve(write("probe", "strengths: [1, 11]\n")).name
    assert other != name and other.startswith("probe@mine~") and len(other) == len(name)
    moved = downstreams.resolve(write("probe", same, "other grid|2.yaml")).name
    assert moved == name.replace("@mine", "@other-grid-2")


def test_a_head_runs_with_the_settings_of_the_file(write):
    features, problem = make(n=90, speakers=3)
    mine = downstreams.resolve(write("superb", "epochs: 20\nevaluations: 5\nrates: [1e-3]\n"))
    predictions = downstreams.evaluate(mine, features, problem, [0])
    assert {choice["rate"] for choice in predictions.choices} == {1e-3}
    expected = downstreams.evaluate(short("superb", rates=[1e-3]), features, problem, [0])
    assert predictions.table.equals(expected.table)
    stds = downstreams.resolve(write("probe", "statistics: [std]\n"))
    assert not downstreams.evaluate(stds, features, problem, [0]).table.equals(
        downstreams.evaluate(short("probe"), features, problem, [0]).table
    )
    with pytest.raises(DownstreamError, match=r"superb@mine~.* not regression"):
        downstreams.evaluate(mine, *make("regression"), [0])


POOLED = [head for head in downstreams.names() if downstreams.resolve(head).needs == {"pooled"}]


@pytest.mark.parametrize("head", POOLED)
def test_a_head_on_pooled_features_reads_those_of_the_frames_that_it_names(write, head):
    own = downstreams.resolve(head)
    features, problem = make("conversation" if own.kinds == ("conversation",) else "classification", n=60, speakers=3)
    assert "pooling" not in own.settings  # so that keys stay as they were
    assert downstreams.resolve(write(head, "pooling: all\n")).settings == own.settings
    mine = downstreams.resolve(write(head, "pooling: segments\n"))
    assert mine.needs == {"pooled:segments"} and mine.settings == own.settings | {"pooling": "segments"}
    with pytest.raises(DownstreamError, match="was given none"):
        downstreams.evaluate(mine, features, problem, [0])
    both = replace(features, pooled=-features.pooled, pooled_over={"pooled:segments": features.pooled})
    grids = {name: own.settings[name][:1] for name in ("strengths", "rates") if name in own.settings}
    quick = short(head, **grids)
    expected = downstreams.evaluate(quick, features, problem, [0])
    changed = replace(quick, settings=quick.settings | {"pooling": "segments"})
    predictions = downstreams.evaluate(changed, both, problem, [0])
    assert expected.table.equals(predictions.table)


@pytest.mark.parametrize(
    ("head", "content", "said"),
    [
        ("superb", "epochs: many\n", "epochs: Input should be a valid integer; the file holds 'many'"),
        ("superb", "epochs: 20.5\n", "epochs: Input should be a valid integer"),
        ("superb", "epochs: true\n", "epochs: Input should be a valid integer"),
        ("superb", "epochs: '20'\n", "epochs: Input should be a valid integer"),
        ("superb", "projector: 1000000\n", "projector: Input should be less than or equal to 8192"),
        ("superb", "batch: 0\n", "batch: Input should be greater than or equal to 1"),
        ("superb", "rates: 1e-3\n", "rates: Input should be a valid list"),
        ("superb", "rates: []\n", "rates: List should have at least 1 item"),
        ("superb", "rates: [1e-3, 1e-4]\n", "rates: values must ascend"),
        ("superb", "rates: [1e-3, 1e-3]\n", "rates: values must ascend"),
        ("superb", "rates: [-1e-3, 1e-4]\n", "rates.0: Input should be greater than 0"),
        ("superb", "rates: [1e-3, .inf]\n", "rates.1: Input should be a finite number"),
        ("superb", "clip: .nan\n", "clip: Input should be"),
        ("superb", "epochs: 2020-01-01\n", "epochs: Input should be a valid integer"),
        ("probe", "strengths: [10, 1]\n", "strengths: values must ascend"),
        ("probe", "statistics: [mean, mean]\n", "statistics: values must differ"),
        ("probe", "statistics: [median]\n", "statistics.0: Input should be 'mean' or 'std'"),
        ("last_four", "pooling: loud\n", "pooling: Input should be 'all', 'segments' or 'speech'"),
        ("attentive", "pooling: speech\n", "unknown setting of attentive"),
        ("mscnn", "channels: 100\n", "the default of scale: must divide channels, which are 100; it is 8"),
        ("mscnn", "channels: 100\nscale: 8\n", "scale: must divide channels, which are 100; the file holds 8"),
        ("emotion2vec", "rate: 0.1\n", "the default of top_rate: must be at least rate, which is 0.1; it is 0.001"),
        ("emotion2vec", "momentum: 1\n", "momentum: Input should be less than 1"),
        ("context_gru", "dropout: 1.0\n", "dropout: Input should be less than 1"),
        ("dialogue_rnn", "global: x\n", "global: Input should be a valid integer"),
        ("superb", "version: 1\n", "version is a fact of superb and cannot be set"),
        ("no_context", "context: true\n", "context is a fact of no_context and cannot be set"),
        ("context_gru", "network: dialogue_rnn\n", "network is a fact of context_gru and cannot be set"),
    ],
)
def test_a_wrong_value_is_refused_with_its_key_and_what_is_expected(write, head, content, said):
    assert said in refusal(write(head, content))


def test_a_setting_that_the_head_lacks_is_named_with_the_nearest(write):
    for head, key, near in (("superb", "epoch", "epochs"), ("dialogue_rnn", "global_", "global")):
        name = write(head, f"{key}: 3\n")
        assert f"'{key}': did you mean {near}" in refusal(name)
        with pytest.raises(UnknownName):
            downstreams.resolve(name)
    assert "unknown setting of probe" in refusal(write("probe", "context: true\n"))
    assert "unknown setting of probe" in refusal(write("probe", "1: 2\n"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "must hold settings"),
        ("- epochs\n", "must hold settings"),
        ("epochs\n", "must hold settings"),
        ("epochs: [\n", "not YAML"),
        ("epochs: 1\nepochs: 2\n", "epochs is set more than once"),
        ("a: &a [1, 1]\nb: &b [*a, *a]\nrates: [*b, *b]\n", "aliases are not allowed"),
        ("epochs: !!python/object/apply:os.getcwd []\n", "not YAML"),
        ("? [1, 2]\n: 3\n", "not YAML"),
        ("epochs: 2020-99-99\n", "epochs: Input should be a valid integer"),
        ("epochs: " + "9" * 5000, "not YAML"),
        ("rates: " + "[" * 20_000, "nested too deeply"),
        (b"epochs: \xff\xfe\n", "not YAML"),
        ("# " + "x" * LARGEST, "larger than 64 KiB"),
    ],
)
def test_what_holds_no_settings_is_refused_in_one_line(write, content, said):
    assert said in refusal(write("superb", content))


def test_a_file_that_is_not_there_is_refused_with_the_nearest(write, tmp_path):
    write("superb", "epochs: 3\n")
    with pytest.raises(NotThere, match=r"did you mean mine\.yaml"):
        downstreams.resolve(f"superb@{tmp_path / 'mime.yaml'}")
    assert "is a folder; name a file" in refusal(f"superb@{tmp_path}")
    with pytest.raises(Refused, match=r"such as superb@\w+\.yaml"):
        downstreams.resolve("superb@")
    with pytest.raises(UnknownName, match="unknown downstream 'suberb': did you mean superb"):
        downstreams.resolve(f"suberb@{tmp_path / 'mine.yaml'}")


@pytest.mark.parametrize("head", downstreams.names())
def test_the_own_settings_of_every_head_can_be_written_to_a_file(write, head):
    own = downstreams.resolve(head).settings
    free = {key: value for key, value in own.items() if key not in FIXED}
    assert downstreams.resolve(write(head, json.dumps(free))).settings == own
    assert not any(isinstance(value, float) and not np.isfinite(value) for value in own.values())


def test_adapters_have_the_rates_of_adapters_unless_others_are_named(write):
    """Few values are trained, which take larger steps; an encoder without adapters has those of encoders."""
    own, adapted = (downstreams.resolve(head).settings for head in ("finetune", "finetune_lora"))
    for name in ("rates", "random_rates"):
        assert adapted[name] == [2.5e-4, 5e-4] != own[name]
        for head in ("finetune", "finetune_speecheq", "finetune_ecapa", "finetune_lora"):
            assert downstreams.resolve(write(head, "lora: 8\n")).settings[name] == adapted[name], head
            assert downstreams.resolve(write(head, "lora: null\n")).settings[name] == own[name], head
        assert downstreams.resolve(write("finetune", f"lora: 8\n{name}: [3e-5]\n")).settings[name] == [3e-5]
