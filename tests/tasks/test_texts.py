"""Texts of corpora: their encodings, copies without audio, and files of the user's in their place."""

import csv
import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest

import tasks
from commons.errors import Refused, UnknownName
from tasks import catalogue, corpora, reading, textfile, transcripts
from tasks.__main__ import main
from tasks.errors import TaskError
from tests.tasks import layouts

WITHOUT_AUDIO = [name for name in corpora.names() if corpora.module(name).CORPUS.texts]
FIXED = ("cremad", "emodb", "emovo", "ravdess", "ravdess_song", "tess")  # corpora of few sentences


def load(name, data, **options):
    return tasks.load(name, tasks.Options(data, data / "cache", **options))


def table(path: Path, rows: dict[str, str], heading: str = "text") -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("id", heading), *rows.items()])
    return path


@pytest.mark.parametrize("name", FIXED)
def test_a_sentence_has_one_text_and_a_text_one_sentence(tmp_path, name):
    rows = reading.table(corpora.module(name).CORPUS, layouts.official(name, tmp_path), tmp_path)[1]
    assert rows.text.notna().all()
    pairs = set(zip(rows.sentence, rows.text, strict=True))
    assert len(pairs) == rows.sentence.nunique() == rows.text.nunique()


@pytest.mark.parametrize("name", ["emodb", "emovo", "cremad"])
def test_the_lists_of_sentences_fit_the_names_of_files(name):
    """EmoDB's ten codes, EMOVO's 14, CREMA-D's 12: all texts differ."""
    sentences = corpora.module(name).SENTENCES
    assert len(set(sentences.values())) == len(sentences) == {"emodb": 10, "emovo": 14, "cremad": 12}[name]


@pytest.mark.parametrize(
    ("encoding", "text", "expected"),
    [
        ("utf-8", "caf\xe9\r\nb\n", textfile.UTF_8),
        ("utf-8-sig", "caf\xe9\n", textfile.UTF_8),
        ("utf-16", "caf\xe9\n", textfile.UTF_8),
        ("utf-16-be", "a line of text\n", textfile.UTF_8),
        ("cp1252", "it\u2019s\n", textfile.WESTERN),
        ("latin-1", "d\xe9j\xe0\n", textfile.WESTERN),
        ("gb2312", "\u6253\u8fdc\n", textfile.CHINESE),
        ("gbk", "\u9555\u4f60\n", textfile.CHINESE),
    ],
)
def test_a_text_is_read_in_the_encodings_that_copies_have(tmp_path, encoding, text, expected):
    for path, content in (
        (tmp_path / "a.txt", text.encode(encoding)),
        (tmp_path / "a.txt.gz", gzip.compress(text.encode(encoding))),
    ):
        path.write_bytes(content)
        assert textfile.read(path, expected) == text.replace("\r\n", "\n")


def test_bytes_that_are_no_text_are_named_with_file_and_line(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_bytes(b"a\nb\nit\x81s\n")
    with pytest.raises(TaskError, match=r"labels\.csv, line 3: the byte 0x81 is no utf-8 or cp1252 text; save it"):
        textfile.read(path, textfile.WESTERN)
    packed = tmp_path / "labels.csv.gz"
    packed.write_bytes(gzip.compress(b"text" * 99)[:-9])
    with pytest.raises(TaskError, match=r"labels\.csv\.gz: cannot be read"):
        textfile.read(packed)


def test_esds_texts_are_the_same_in_all_its_encodings(tmp_path):
    rows = reading.table(corpora.module("esd").CORPUS, layouts.esd(tmp_path), tmp_path)[1]
    assert rows.text.notna().all()
    for language in ("zh", "en"):
        own = rows[rows.language == language]
        assert own.groupby("sentence").text.nunique().tolist() == [1, 1], "one text for all speakers"
    next(tmp_path.rglob("0011.txt")).unlink()
    rows = reading.table(corpora.module("esd").CORPUS, tmp_path, tmp_path)[1]
    assert rows[rows.speaker == "0011"].text.isna().all() and rows[rows.speaker == "0012"].text.notna().all()


@pytest.mark.parametrize(
    ("corpus", "files", "word"),
    [
        ("meld", "*_sent_emo.csv", "Oh"),
        ("iemocap", "transcriptions/Ses*.txt", "Word"),
        ("cmu_mosi", "label.csv", "WELL"),
        ("cmu_mosei", "label.csv", "WELL"),
    ],
)
def test_texts_may_be_of_windows(tmp_path, corpus, files, word):
    data = layouts.without_audio(layouts.official(corpus, tmp_path))
    for path in data.rglob(files):
        path.write_bytes(path.read_text(encoding="utf-8").replace(word, "It\u2019s").encode("cp1252"))
    texts = reading.table(corpora.module(corpus).CORPUS, data, tmp_path)[1].text
    assert texts.str.startswith("It\u2019s").all()


@pytest.mark.parametrize("corpus", WITHOUT_AUDIO)
def test_a_copy_without_audio_is_a_task_of_texts(tmp_path, corpus, capsys):
    data = layouts.official(corpus, tmp_path)
    names = [row.task for row in catalogue.describe(data) if row.corpus == corpus]
    spoken = load(names[0], data)
    layouts.without_audio(data)
    rows = [row for row in catalogue.describe(data) if row.corpus == corpus]
    assert {row.state for row in rows} == {"text only"}
    assert corpus not in {row.corpus for row in catalogue.describe(data) if row.task in _here(data)}
    for name in names:
        task = load(name, data)
        assert not task.has_audio and not task.textless and task.text_kind == "gold"
        assert tasks.readable(task, "text", "words", tasks.Options(data, data))
        for modality in ("audio", "audio+text"):
            with pytest.raises(TaskError, match=f"^{name}: fbank reads audio, and {corpus} has labels and texts only"):
                tasks.readable(task, modality, "fbank", tasks.Options(data, data))
    known = spoken.utterances.index
    assert set(known) <= set(load(names[0], data).utterances.index)
    assert main(["check", corpus, "--data", str(data), "--cache", str(tmp_path / "cache")]) == 1
    assert "state    text only" in capsys.readouterr().out


@pytest.mark.parametrize("corpus", WITHOUT_AUDIO)
def test_a_copy_without_audio_may_lie_one_folder_deeper(tmp_path, corpus):
    """As an archive that was unpacked in a folder of the corpus's name."""
    data = layouts.without_audio(layouts.official(corpus, tmp_path / "flat"))
    (task,) = [row.task for row in catalogue.describe(data) if row.corpus == corpus][:1]
    known = load(task, data).utterances.index
    root = reading.folder(corpora.module(corpus).CORPUS, data)
    deeper = tmp_path / "deep" / corpus / root.name
    deeper.parent.mkdir(parents=True)
    shutil.move(root, deeper)
    assert load(task, tmp_path / "deep").utterances.index.equals(known)


def _here(data: Path) -> list[str]:
    try:
        return catalogue.members("here", data)
    except TaskError:
        return []


def test_label_files_may_be_packed(tmp_path):
    layouts.without_audio(layouts.meld(tmp_path))
    plain = load("meld", tmp_path)
    for path in list(tmp_path.rglob("*_sent_emo.csv")):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    packed = load("meld", tmp_path)
    assert packed.audit == plain.audit and packed.utterances.equals(plain.utterances)
    next(tmp_path.rglob("dev_sent_emo.csv.gz")).unlink()  # audio and one of three label files are missing
    with pytest.raises(TaskError, match="meld is absent"):
        load("meld", tmp_path)


def test_texts_change_the_hash_of_text_and_not_that_of_audio(tmp_path):
    data = layouts.meld(tmp_path)
    before = load("meld", data)
    file = table(tmp_path / "asr.csv", {utterance: f"word {utterance}" for utterance in before.utterances.index})
    after = load("meld", data, texts=(("meld", file),))
    assert after.audit.reads("audio") == before.audit.reads("audio")
    for modality in ("text", "audio+text"):
        assert after.audit.reads(modality) != before.audit.reads(modality)
    assert len({before.audit.reads(modality) for modality in ("audio", "text", "audio+text")}) == 3
    with pytest.raises(TaskError, match="none of audio, text, audio"):
        before.audit.reads("smell")
    assert (before.text_kind, after.text_kind, before.other_texts) == ("gold", "asr", "")
    assert after.other_texts.startswith("asr~") and "other_text:asr" in after.marks


def test_without_audio_the_audit_holds_the_copys_own_texts(tmp_path):
    data = layouts.without_audio(layouts.meld(tmp_path))
    before = load("meld", data)
    file = table(tmp_path / "asr.csv", dict.fromkeys(before.utterances.index, "word"), "text_gold")
    given = load("meld", data, texts=(("meld", file),))
    assert given.audit.hash == before.audit.hash, "rows of other texts stand in one table with the corpus's own"
    assert given.audit.text_hash != before.audit.text_hash and given.text_kind == "gold"
    labels = next(tmp_path.rglob("test_sent_emo.csv"))
    labels.write_text(labels.read_text(encoding="utf-8").replace("Oh,", "Ah,", 1), encoding="utf-8")
    assert load("meld", data).audit.hash != before.audit.hash


def test_ids_missing_and_in_excess_are_listed_and_skipped_on_request(tmp_path):
    data = layouts.without_audio(layouts.meld(tmp_path))
    ids = load("meld", data).utterances.index.tolist()
    texts = {utterance: "word" for utterance in ids[3:]} | {f"other{i}": "x" for i in range(9)} | {ids[5]: " "}
    file = table(tmp_path / "asr.csv", texts)
    options = tasks.Options(data, tmp_path / "cache", texts=(("meld", file),))
    task = tasks.load("meld", options)
    missing, surplus = task.text_notes
    assert missing == f"meld: asr.csv has no text for 4 utterances ({', '.join([*ids[:3], ids[5]])})"
    assert "has 9 ids (other0, other1, other2, other3, other4 and 4 more) that the corpus lacks" in surplus
    with pytest.raises(TaskError, match=rf"^meld: 4 of {len(ids)} utterances have no text: {ids[0]}, .*\n.*--skip-bad"):
        tasks.readable(task, "text", "words", options)
    skipping = tasks.Options(data, tmp_path / "cache", texts=options.texts, skip_bad=True)
    assert not tasks.readable(task, "text", "words", skipping)
    kept = load("meld", data, texts=options.texts, skip_bad=True, with_text=True)
    assert len(kept.utterances) == len(ids) - 4 and "textless:4" in kept.marks
    assert f"left out 4 utterances that have no text: {', '.join([*ids[:3], ids[5]])}" in kept.notes
    assert kept.audit.text_hash != task.audit.text_hash


def test_a_corpus_without_texts_says_how_to_give_them(tmp_path):
    data = layouts.urdu(tmp_path)
    task = load("urdu", data)
    with pytest.raises(
        TaskError, match=r"^urdu: words reads text, and urdu has no texts here; give .*--text urdu=FILE"
    ):
        tasks.readable(task, "text", "words", tasks.Options(data, data, skip_bad=True))
    file = table(tmp_path / "asr.csv", dict.fromkeys(task.utterances.index, "word"))
    given = load("urdu", data, texts=(("urdu", file),))
    assert not given.textless and given.audit.hash == task.audit.hash


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("utterance,words\na,b\n", "has the columns utterance, words; expected columns id and text"),
        ("id,text,text_gold\na,b,c\n", "expected columns id and text"),
        ("id,text\na,b\na,c\n", "row 3: the id 'a' occurs twice"),
        ("id,text\n,b\n", "row 2: has no id"),
        ("id,text\nnobody,b\n", r"has 1 id \(nobody\), and none of them is an id of emodb, such as 03a01Aa"),
        ("id,text\n03a01Aa,\nnobody,\n", "holds no text; expected columns id and text"),
        ("id,text\n", "holds no text; expected columns id and text"),
        ("", "expected columns id and text"),
    ],
)
def test_a_wrong_file_of_texts_is_told(tmp_path, content, message):
    data = layouts.emodb(tmp_path)
    file = tmp_path / "asr.csv"
    file.write_text(content)
    with pytest.raises(TaskError, match=rf"asr\.csv.*{message}"):
        load("emodb", data, texts=(("emodb", file),))


def test_a_wrong_option_is_told(tmp_path):
    file = table(tmp_path / "a=b.csv", {"x": "y"})
    known = corpora.names()
    assert transcripts.options([f"emodb={file}"], known) == (("emodb", file),)
    for word in ("emodb", "=a.csv", "emodb="):
        with pytest.raises(Refused, match="write CORPUS=FILE"):
            transcripts.options([word], known)
    with pytest.raises(UnknownName, match="did you mean emodb"):
        transcripts.options([f"emobd={file}"], known)
    with pytest.raises(Refused, match="names emodb twice"):
        transcripts.options([f"emodb={file}", f"emodb={file}"], known)
    with pytest.raises(TaskError, match="there is no such file of texts"):
        transcripts.options([f"emodb={tmp_path / 'c.csv'}"], known)


def test_a_table_of_texts_needs_no_audio(tmp_path):
    file = tmp_path / "mine.csv"
    rows = [f"{'good' if i % 2 else 'bad'} day {i},{('joy', 'anger')[i % 2]},s{i % 3}" for i in range(24)]
    file.write_text("\n".join(["text,label,speaker", *rows]) + "\n")
    task = tasks.load(f"csv:{file}=Mine", tasks.Options(tmp_path, tmp_path / "cache"))
    assert not task.has_audio and not task.textless and task.utterances.index[0] == "row 10"
    assert np.array_equal(task.text_lengths[:1], [[3, len("bad day 8")]])
    assert main(["check", f"csv:{file}=Mine", "--cache", str(tmp_path / "cache")]) == 0
    file.write_text("label,speaker\njoy,a\n")
    with pytest.raises(TaskError, match=r"no column path, the audio files .*, and no text"):
        tasks.load(f"csv:{file}=Mine", tasks.Options(tmp_path, tmp_path / "cache"))


def test_a_corpus_with_audio_and_one_without_are_joined_by_their_texts(tmp_path):
    data = layouts.without_audio(layouts.meld(tmp_path))
    layouts.emodb(data)
    task = load("transfer:meld,emodb", data)
    assert not task.has_audio and not task.textless
    assert set(task.reading.texts) == {"meld", "emodb"}


def test_blanks_are_no_text():
    import pandas as pd

    column = pd.Series(["a", None, " ", "", "\u3000", "b "], dtype=object)
    assert transcripts.blank(column).tolist() == [False, True, True, True, True, False]
