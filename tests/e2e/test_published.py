"""Every published figure belongs to an upstream of this harness, or the table says why to none."""

from __future__ import annotations

import tasks
import upstreams
from leaderboard.published import MODELS
from tasks import definition
from upstreams.emotion2vec.official import MODELS as EMOTION2VEC
from upstreams.huggingface.named_encoders import MODELS as HUGGINGFACE
from upstreams.s3prl import SAME
from upstreams.torchaudio_repair import repair_for_s3prl


def published() -> set[str]:
    """The names that the definitions of tasks give to models of papers."""
    return {figure.upstream for name in tasks.names() for figure in definition.read(definition.path(name)).published}


def test_every_published_name_is_known_and_ours_is_none_of_them() -> None:
    strange = published() - set(MODELS)
    assert not strange, f"say in leaderboard/published.py of which upstream these figures are: {sorted(strange)}"
    assert "emotion2vec" not in published(), "the paper's model is emotion2vec_base; emotion2vec is ours"
    assert not any("emotion2vec" in model.upstreams for model in MODELS.values())


def test_the_upstreams_of_the_table_exist_or_it_says_why_there_is_none() -> None:
    repair_for_s3prl()
    import s3prl.hub

    known = {entry.name for entry in upstreams.describe()}
    hub = {f"hf:{model.repo}" for model in HUGGINGFACE.values()} | {f"s3prl:{name}" for name in s3prl.hub.options()}
    for name, model in MODELS.items():
        assert bool(model.upstreams) != bool(model.why), f"{name}: an upstream, or why there is none"
        for upstream in model.upstreams:
            assert upstream in known | hub, f"{name}: no upstream is called {upstream}"
            upstreams.resolve(upstream)


def test_what_a_published_model_had_seen_is_what_its_upstream_says() -> None:
    seen = {name: model.seen for name, model in (HUGGINGFACE | EMOTION2VEC).items()}
    for name, model in MODELS.items():
        own = [upstream for upstream in model.upstreams if upstream in seen]
        assert all(model.seen == seen[upstream] for upstream in own), name
        repositories = [f"hf:{HUGGINGFACE[upstream].repo}" for upstream in own if upstream in HUGGINGFACE]
        same = [f"s3prl:{theirs}" for theirs, ours in SAME.items() if ours in own]
        assert set(repositories + same) <= set(model.upstreams), f"{name}: the same model by another name is missing"


def test_emotion2vecs_paper_has_41_figures_on_18_tasks() -> None:
    places = [
        name
        for name in tasks.names()
        for figure in definition.read(definition.path(name)).published
        if figure.upstream == "emotion2vec_base"
    ]
    assert (len(places), len(set(places))) == (41, 18)
