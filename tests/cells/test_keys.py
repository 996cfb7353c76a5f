"""The key of a cell: what changes it, what does not, and the keys of before."""

from __future__ import annotations

from dataclasses import replace
from importlib import metadata
from types import SimpleNamespace

import pytest

import downstreams
import tasks
from cells import keys
from downstreams import registry
from tasks import definition


@pytest.fixture(scope="module")
def task(tmp_path_factory, demo_cache):
    return tasks.load("demo", tasks.Options(tmp_path_factory.mktemp("data"), demo_cache))


@pytest.fixture
def upstream():
    """What keys reads of an Identity."""
    named = SimpleNamespace(record_name="fbank", cite=())
    return SimpleNamespace(
        named=named, modality="audio", fingerprint="f" * 64, depth=1, width=80, seen={}, precision="fp32",
        title="FBANK", weights="", display_name="", licence="",
    )  # fmt: skip


def changed(upstream, **facts):
    return SimpleNamespace(**vars(upstream) | facts)


def key(task, upstream, head="probe", skip_bad=False):
    return keys.key(task, upstream, "", downstreams.resolve(head), skip_bad)


def test_titles_labels_licences_and_papers_decide_nothing(task, upstream) -> None:
    named = changed(upstream.named, cite=("paper2026",))
    others = ({"title": "other"}, {"display_name": "ours"}, {"weights": "a folder"}, {"licence": "MIT"})
    for facts in (*others, {"named": named}):
        assert key(task, changed(upstream, **facts)) == key(task, upstream)
    corpus = replace(task.corpus, licence="MIT", cite=("paper2026",))
    reading = replace(task.reading, corpus=corpus, cite={"demo": ("paper2026",)})
    assert key(replace(task, reading=reading), upstream) == key(task, upstream)
    probe = downstreams.resolve("probe")
    reader = SimpleNamespace(settings=probe.settings, needs=probe.needs, further=False, cite=("paper2026",))
    assert keys.key(task, upstream, "", reader, False) == key(task, upstream)


def test_whatever_decides_figures_or_marks_changes_the_key(task, upstream) -> None:
    others = [
        key(task, changed(upstream, **facts))
        for facts in (
            {"fingerprint": "0" * 64},
            {"depth": 2},
            {"width": 81},
            {"seen": "unknown"},
            {"precision": "bf16"},
        )
    ]
    others += [key(task, upstream, "probe_stats"), key(task, upstream, skip_bad=True)]
    others.append(key(replace(task, marks=("partial",)), upstream))
    others.append(key(replace(task, definition=definition.varied(task.definition, version="another")), upstream))
    assert len({key(task, upstream), *others}) == len(others) + 1


def test_the_rule_by_which_frames_are_chosen_decides(task, upstream, tmp_path, monkeypatch) -> None:
    heads = ["probe"]
    for pooling in ("segments", "speech"):
        (tmp_path / f"{pooling}.yaml").write_text(f"pooling: {pooling}\n")
        heads.append(f"probe@{tmp_path / pooling}.yaml")

    def all_keys(installed: str) -> list[str]:
        monkeypatch.setattr(metadata, "version", lambda package: installed)
        return [key(task, upstream, head) for head in heads]

    one, other = all_keys("1.0"), all_keys("2.0")
    assert one[:2] == other[:2] and len({*one, *other}) == 4  # a detector of another version is another rule


def test_what_concerns_audio_alone_decides_nothing_of_text(task, upstream) -> None:
    audit = replace(task.audit, text_hash="t" * 64)
    task, text = replace(task, audit=audit), changed(upstream, modality="text")
    loud = replace(task, marks=(*task.marks, "identical_audio", "skipped:2"), audit=replace(audit, hash="other"))
    assert key(loud, text) == key(task, text) == key(task, text, skip_bad=True)
    assert key(loud, upstream) != key(task, upstream)
    other = replace(task, audit=replace(audit, text_hash="u" * 64))
    assert key(other, text) != key(task, text) and key(other, upstream) == key(task, upstream)


def test_further_targets_count_for_heads_that_train_on_them_alone(task, upstream) -> None:
    none, one, two = (
        replace(task, definition=definition.varied(task.definition, also=also))
        for also in ((), ("gender",), ("gender", "phonemes"))
    )
    assert len({key(each, upstream) for each in (task, none, one, two)}) == 1
    head = registry.HEADS.find("probe")
    with registry.HEADS.holding("probe", replace(head, further=True)):
        assert len({key(each, upstream) for each in (none, one, two)}) == 3
        other = one.utterances.assign(gender=one.utterances["gender"].map({"female": "male", "male": "female"}))
        assert key(replace(one, reading=replace(one.reading, utterances=other)), upstream) != key(one, upstream)
