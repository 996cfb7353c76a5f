"""Every script of studies/ runs, at sizes so small that its figures mean nothing."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

import leaderboard
from tests.leaderboard import cells
from tests.processes import run
from tests.upstreams.mockingjay.small import scored
from tests.upstreams.npc import small as npc
from tests.upstreams.text_copies import SENTENCES, store_text
from upstreams.npc import learner as npc_learner
from upstreams.pretraining import checkpoints
from upstreams.pretraining import recipe as recipes
from upstreams.pretraining.checkpoints import Stored
from upstreams.pretraining.launch import prepare
from upstreams.strength import model as strength

FOLDER = Path(__file__).resolve().parents[2] / "studies"
LIBRARIES = {"s3prl_checkpoints", "made_up_features"}  # what the others import
# A process of its own runs main() of a script, with other values of some of its module's names and without warnings.
RUN = """
import json, sys, warnings
warnings.simplefilter("ignore")
script, values = sys.argv[1], json.loads(sys.argv[2])
sys.path.insert(0, {folder!r})
module = __import__(script)
for name, value in values.items():
    assert hasattr(module, name), f"{{script}}.py has no {{name}}"
    setattr(module, name, value)
sys.argv = [script, *sys.argv[3:]]
module.main()
"""


@dataclass(frozen=True)
class Tiny:
    """How a script is run: AUDIO, RESULTS, TEXTS and MODEL among its arguments are what the test makes.

    Attributes:
        values: names of the script's module -> other values.
        says: a word of its output.
        needs: a package, or a program's path, without which the script is skipped.
    """

    arguments: tuple[str, ...] = ()
    values: dict[str, object] = field(default_factory=dict)
    says: str = ""
    needs: str = ""


SMALL = {"UTTERANCES": 60, "WIDTH": 16}
SCRIPTS = {
    "paired_differences": Tiny(("RESULTS", "-u", "a", "-t", "emodb", "--against", "b", "none"),
                               says="| emodb, `probe` |"),
    "ablation_differences": Tiny(("RESULTS", "ems", "--against", "a"), says="| random_1 - a | "),
    "fusion_weights": Tiny(("-u", "fbank+mfcc", "-t", "demo", "--limit", "48"), says="`fbank+mfcc`, without |"),
    "batch_invariance": Tiny(("AUDIO", "--files", "2"), {"NAMES": ["wav2vec2_base"]}, "emorep"),
    "interval_coverage": Tiny(("--draws", "2"), {"GROUPS": [4, 6], "MANY": 200}, "over corpora of"),
    "group_gaps": Tiny(("--draws", "2"), {"SPEAKERS": [6]}, "within speakers, alike"),
    "dialogue": Tiny(
        ("--epochs", "2"),
        {"WIDTH": 8, "LAYERS": 2, "CORPORA": {"meld": [120, 12, 8, 2, 1], "iemocap": [100, 10, 6, 2, 5]}},
        "iemocap no_context",
    ),
    "emotion2vec_head": Tiny(("--epochs", "2", "--from-disk"),
                             SMALL | {"FRAMES": 10, "TRAIN": 40, "DEV": 10}, "epochs a second"),
    "emotion2vec_inference": Tiny(("--seconds", "0.2", "--batch", "2", "--rounds", "1"), says="0.2 s"),
    "emotion2vec_funasr": Tiny(needs="funasr"),
    "extraction_speed": Tiny(("AUDIO", "--files", "2", "--repeats", "1", "--upstreams", "fbank"), says="fbank"),
    "finetuning_speed": Tiny(("random:emotion2vec", "--utterances", "2", "--repeats", "1"), {"PEAK": 64}, "top 3"),
    "frame_head_speed": Tiny(("--utterances", "3", "--repeats", "1"), says="speecheq, the state alone"),
    "heads_agree": Tiny(("RESULTS",), says="tau"),
    "npc_mean_score": Tiny(("NPC", "SCORES", "mean.safetensors"), says="is always added"),
    "page_size": Tiny(("--upstreams", "3", "--tasks", "2", "--runs", "1"), says="table painted after",
                 needs="/usr/bin/chromium"),
    "extraction_peers": Tiny(("AUDIO", "--files", "2", "--memory", "1", "2", "--model", "fbank"), says="2 utterances"),
    "pretraining_speed": Tiny(
        ("small", "--precision", "fp32", "--threads", "1", "--repeats", "1", "--profile", "--set", "batch.seconds=20",
         "batch.micro_batches=1", "batch.clones=2", "model.dim=32", "model.depth=1", "model.heads=4",
         "model.prenet_depth=1", "model.pos_groups=4", "model.decoder_dim=16", "model.decoder_groups=4",
         "teacher.layers=1"),
        says="frames/s",
    ),
    "engine_overhead": Tiny(("--cells", "4", "--engines", "local", "--processes", "2"), says="0 damaged, verify: 0"),
    "masks_check": Tiny(("SCORES", "--data", "PAIRS", "--cache", "CACHE", "--utterances", "4"), says="intensity_moved"),
    "plan_speed": Tiny(("--upstreams", "2", "--tasks", "1", "--utterances", "24"), says="second: 14 jobs"),
    "probe_speed": Tiny(("--repeats", "1", "--threads", "1", "--whole"), {"UTTERANCES": 200, "WIDTH": 8, "LAYERS": 2},
                  "predictions agree"),
    "rank_errors": Tiny(("--draws", "2", "--upstreams", "3", "--groups", "6", "--timed", "3"), says="power, Holm"),
    "reconstruction_speed": Tiny(("npc_small", "--repeats", "1", "--seconds", "24"), says="npc_small"),
    "resampling_speed": Tiny(("--repeats", "1"), {"UTTERANCES": 600, "UPSTREAMS": 3}, "macro_F1"),
    "speecheq_weights": Tiny(
        tuple("grid -u fbank -t demo --limit 48 --seeds 1 --jobs 1 --branches gender --grid 0.1 --epochs 1".split()),  # noqa: SIM905
        says="| fbank, demo | gender_0.1 |",
    ),
    "startup_speed": Tiny(("-u", "fbank"), {"TIMES": 1}, "second run"),
    "strength_check": Tiny(("PAIRS", "--model", "STRENGTH", "--table", "EMOTIONS"), says="neutral files:"),
    "superb_cost": Tiny(("--head", "--share", "0.001", "--rates", "1", "--threads", "1"),
                   SMALL | {"UTTERANCES": 200, "LAYERS": 2}, "processor time"),
    "teacher_axes": Tiny(
        tuple("PAIRS --cache CACHE --upstream fbank --width 2 --output AXES --held mfcc".split()),  # noqa: SIM905
        says="mfcc, layer 0: 0.",
    ),
    "text_speed": Tiny(("TEXTS", "--model", "MODEL", "--column", "text", "--rounds", "1"), says="times transformers"),
    "utterance_table": Tiny(("--utterances", "500"), says="after that"),
    "wide_features": Tiny(("--rows", "40", "--features", "90", "--repeats", "1"), says="the same class for"),
}  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Folders of audio, results and pairs of two intensities; texts, a tiny encoder of texts, a strength model."""
    folder = tmp_path_factory.mktemp("studies")
    (folder / "audio").mkdir()
    draws = np.random.default_rng(0)
    for i in range(3):
        soundfile.write(folder / "audio" / f"{i}.wav", 0.1 * draws.normal(size=4000 + 3000 * i), 16000)
    for i, upstream in enumerate("ab"):
        for head in ("probe", "superb"):
            cells.make(folder / "results", upstream=upstream, head=head, seed=i, right=0.4 + 0.3 * i)
    for i, variant in enumerate(("random_1", "energy_1")):
        cells.make(folder / "results", upstream=f"emotion2vec:ems/{variant}", seed=i, right=0.5)
    leaderboard.csv(folder / "results")
    pd.DataFrame({"text": SENTENCES}).to_csv(folder / "texts.csv")
    model = store_text("bert", folder / "bert")
    (folder / "pairs").mkdir()
    for name in (
        "01-05-01-01-01-01",
        "01-05-02-01-01-01",
        "01-04-01-01-01-02",
        "01-04-02-01-01-02",
        "01-01-01-01-01-01",
        "01-01-01-01-01-02",
    ):
        soundfile.write(folder / "pairs" / f"03-{name}.wav", 0.1 * draws.normal(size=16000), 16000)
    files = sorted((folder / "pairs").iterdir())[:4]
    emotions = {"path": files, "speaker": ["a", "b"] * 2, "emotion": ["neutral"] * 2 + ["anger"] * 2}
    pd.DataFrame(emotions).to_csv(folder / "emotions.csv", index=False)
    strength.save(folder / "strength", strength.StrengthNet(strength.Config(("a", "b"), (2, 2, 2, 2), 4)), {})
    recipe, cache = recipes.load("mockingjay_small"), folder / "cache"
    scores = scored(folder / "scores.parquet", prepare(recipe, [folder / "pairs"], cache).pack)
    network = npc.tiny("loss.score=as_published", f"scores={scores}")
    stored = Stored("npc", asdict(network.network), npc_learner.initial(network).state_dict())
    checkpoints.write(folder / "npc.safetensors", stored)
    return {"NPC": str(folder / "npc.safetensors"), "SCORES": str(scores), "CACHE": str(cache),
            "AUDIO": str(folder / "audio"), "RESULTS": str(folder / "results"), "TEXTS": str(folder / "texts.csv"),
            "MODEL": f"hf:{model}", "PAIRS": str(folder / "pairs"), "STRENGTH": str(folder / "strength"),
            "EMOTIONS": str(folder / "emotions.csv")}  # fmt: skip


def test_every_script_is_run() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} == set(SCRIPTS) | LIBRARIES


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_it_runs(name: str, folders: dict[str, str], tmp_path: Path, with_demo: Callable[[Path], Path]) -> None:
    script = SCRIPTS[name]
    there = Path(script.needs).exists() if "/" in script.needs else importlib.util.find_spec(script.needs or "sys")
    if not there:
        pytest.skip(f"{name}.py needs {script.needs}, which is not here")
    arguments = [folders.get(argument, argument) for argument in script.arguments]
    variables = {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(FOLDER.parent),
        "EMOREP_CACHE": str(with_demo(tmp_path / "cache")),
    }
    source = RUN.format(folder=str(FOLDER))
    done = run(source, name, json.dumps(script.values), *arguments, folder=tmp_path, variables=variables)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert script.says in done.stdout, done.stdout[-2000:]
