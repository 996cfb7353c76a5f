"""What docs/add_your_own.md says of a corpus of one's own, from that page alone."""

import sys
import textwrap
from pathlib import Path

import pytest
import yaml

import tasks
from tasks import corpora, definition
from tasks.__main__ import main
from tests.tasks.layouts import write_audio

PAGE = (Path(__file__).parents[3] / "docs" / "add_your_own.md").read_text(encoding="utf-8")


@pytest.fixture
def own(tmp_path, monkeypatch, definitions):
    """The corpus module of the page and a task on it, as a user would write them; its text may be changed."""
    (tmp_path / "corpora").mkdir()
    (tmp_path / "definitions").mkdir()
    monkeypatch.setattr(corpora, "__path__", [*corpora.__path__, str(tmp_path / "corpora")])
    start = PAGE.index("    from tasks.corpora import Corpus")
    module = textwrap.dedent(PAGE[start : PAGE.index("`python -m tasks check mycorpus`")])
    start = PAGE.index("    version: 1\n")
    task = yaml.safe_load(textwrap.dedent(PAGE[start : PAGE.index("**A corpus**")]))
    for name in tasks.names():
        (tmp_path / "definitions" / f"{name}.yaml").write_text(definition.path(name).read_text())
    text = yaml.safe_dump(task | {"corpus": "mycorpus", "drop": [], "title": "Mine"})
    (tmp_path / "definitions" / "mine.yaml").write_text(text)

    def write(*changes: tuple[str, str]) -> None:
        text = module
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "corpora" / "mycorpus.py").write_text(text)
        definitions(tmp_path / "definitions")

    yield write
    for cached in [name for name in sys.modules if name == "tasks.corpora.mycorpus"]:
        monkeypatch.delitem(sys.modules, cached)
    monkeypatch.delattr(corpora, "mycorpus", raising=False)


@pytest.mark.parametrize(
    "changes",
    [
        (),
        (('folders=("mycorpus",)', 'folders=("MyCorpus",)'), ('globs=("audio/*",)', 'globs=("audio/*.wav",)')),
        (("audio/*", "Audio/[0-9]*"),),
    ],
)
def test_the_readmes_corpus_is_read_as_it_stands_there(tmp_path, own, capsys, changes):
    own(*changes)
    for speaker in range(1, 13):
        for emotion in ("anger", "neutral"):
            for take in range(2):
                write_audio(tmp_path / "data" / "mycorpus" / "audio" / f"{speaker:02d}_{emotion}_{take}.wav", rate=8000)
    places = ["--data", str(tmp_path / "data"), "--cache", str(tmp_path / "cache")]
    assert main(["check", "mycorpus", *places]) == 1
    said = capsys.readouterr().out
    assert "partial: utterances 48 of 600, anger 24 of 300, neutral 24 of 300" in said and "12 speakers" in said
    assert "none has the corpus's own, 16000 Hz" in said  # a false rate is told
    task = tasks.load("mine", tasks.Options(tmp_path / "data", tmp_path / "cache"))
    assert len(task.problem.ids) == 48 and set(task.utterances.language) == {"en"}
    assert "mine" in tasks.names() and "mine" in tasks.resolve(["all"], tmp_path)
