"""What people and spreadsheets read."""

import csv
import io
import re

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

import leaderboard
from commons.corridors.record import FLOORS
from commons.marks import MEANING, explain
from leaderboard.__main__ import main
from leaderboard.tables.results import tables
from tests.leaderboard import cells

PUBLISHED = [
    {"upstream": "opensmile", "metric": "UA", "value": 62.5, "head": "SVM", "source": "One (2020), table 1",
     "matches": True},
    {"upstream": "hubert_base", "metric": "UA", "value": 81.8, "head": "superb", "source": "Two (2024), table 3",
     "matches": False, "difference": "speakers shared"},
]  # fmt: skip
COLUMNS = (
    "upstream,task,downstream,WA,WA_low,WA_high,UA,UA_low,UA_high,WF1,WF1_low,WF1_high,"
    "macro_F1,macro_F1_low,macro_F1_high,CCC,CCC_low,CCC_high,Pearson,Pearson_low,Pearson_high,MAE,MAE_low,MAE_high,"
    "WA_folds,last_layer_WA,last_layer_UA,last_layer_CCC,headline,n,speakers,groups,group_by,folds,seeds,marks,layer,"
    "classes,language,corpus,family,depth,width,audio_seconds,seconds_extract,seconds_evaluate,peak_memory_mb,precision,"
    "device,limit,task_version,schema_version,emorep,torch,created,key,WA_seed_std,UA_seed_std,WF1_seed_std,"
    "macro_F1_seed_std,CCC_seed_std,Pearson_seed_std,MAE_seed_std,"
    "Acc2_nonneg,Acc2_nonneg_low,Acc2_nonneg_high,F1_nonneg,F1_nonneg_low,F1_nonneg_high,"
    "Acc2_posneg,Acc2_posneg_low,Acc2_posneg_high,F1_posneg,F1_posneg_low,F1_posneg_high,Acc7,Acc7_low,Acc7_high"
)


def printed(records, width=100, failures=(), published=True, **settings):
    stream = io.StringIO()
    leaderboard.show(records, Console(file=stream, width=width, **settings), failures, published=published)
    return stream.getvalue()


def row(text, name):
    return next(line for line in text.splitlines() if re.match(rf"\s*{re.escape(name)}\s", line))


@pytest.fixture
def board(make, results):
    """Three upstreams and two references on two tasks, one more task with values."""
    for task, own in (("emodb", {"published": PUBLISHED, "marks": ["lossy_audio"], "notes": ["fold 3 is small"]}),
                      ("demo", {"marks": ["synthetic"]})):  # fmt: skip
        for right, upstream in ((0.4, "fbank"), (0.7, "opensmile"), (0.9, "hf:org/some-model-large")):
            seen = "unknown" if upstream.startswith("hf") else None
            make(name=task, upstream=upstream, right=right, seen=seen, **own)
        for right, upstream in ((0.95, "majority"), (0.1, "duration")):
            reference = {"head": "reference", "depth": None, "head_marks": ("reference",)}
            make(name=task, upstream=upstream, right=right, **reference, **own)
    make(name="moods", kind="regression", upstream="fbank")
    return leaderboard.load(results)[0]


def test_rows_are_ranked_and_references_stand_below(board):
    text = printed([r for r in board if r.cell.task == "emodb"])
    names = [line.split()[0] for line in text.splitlines() if re.search(r"\d \[\d", line)]
    assert names == ["hf:org/some-model-large", "opensmile", "fbank", "majority", "duration"]
    ansi = printed([r for r in board if r.cell.task == "emodb"], force_terminal=True)
    dim = ["\x1b[2m" in next(line for line in ansi.splitlines() if name in line) for name in ("majority", "fbank")]
    assert dim == [True, False]


@pytest.mark.parametrize("floor", FLOORS)
def test_what_hears_one_thing_stands_among_the_references(make, board, floor):
    """However high its figure, which is then not the one that is set off as the best."""
    records = [*(r for r in board if r.cell.task == "emodb"), make(name="emodb", upstream=floor, right=0.99)]
    (made, *_) = tables([r for r in records if r.cell.task == "emodb"])
    assert made.rows[3:] == [floor, "reference: majority", "reference: duration"] and floor in made.references
    assert floor not in made.best(made.columns[0])[0]


def test_plain_chance_stands_above_the_majority_class(make):
    """`majority` may be far below chance in UA, where its class changes by fold."""
    cell = make(upstream="majority", head="reference", depth=None)
    assert f"4 classes: {', '.join(cells.CLASSES)}; chance UA 25.0" in printed([cell], 140)
    assert "chance" not in printed([make(name="valence", kind="regression", headline="CCC", metrics=["CCC"])], 140)


def test_smaller_errors_rank_first(make):
    records = [make(kind="regression", headline="MAE", upstream=u, right=r) for u, r in (("a", 0.1), ("b", 0.9))]
    text = printed(records)
    assert text.index("  b ") < text.index("  a ")


@pytest.mark.parametrize("width", [80, 100, 120, 140])
def test_no_table_row_wraps_and_what_matters_stays(board, width):
    text = printed(board, width)
    assert max(map(cell_len, text.splitlines())) <= width and "…" not in text
    for record in board:
        score = record.scores.metrics[record.task.headline]
        shown = "{:.1f} [{:.1f}, {:.1f}]" if record.task.classes else "{:.3f} [{:.3f}, {:.3f}]"
        assert shown.format(score.value, score.low, score.high) in text
    assert "last layer" in text and "[95 % interval] over 6 speakers" in text


def test_narrow_terminals_lose_lesser_columns_first(board):
    emodb = [r for r in board if r.cell.task == "emodb"]
    wide, narrow, narrowest = (printed(emodb, width) for width in (140, 80, 40))
    assert "published UA  " in wide and "62.5 (SVM)" in row(wide, "opensmile") and "WF1" in wide
    assert "published UA  " not in narrow and "One (2020)" in narrow
    assert "62.5" not in row(narrow, "opensmile")
    assert max(map(cell_len, narrowest.splitlines())) <= 40 and "last layer" in narrowest


def test_marks_published_notes_and_failures_are_said(board):
    text = printed(board, 140, failures=[("wavlm", "iemocap", "probe", "the corpus is absent:\n get it\n\n or not")])
    assert row(text, "hf:org/some-model-large").rstrip().endswith("  a")
    assert "a = seen:unknown: it is not known what" in text
    assert "lossy_audio: the audio went through" in text
    assert "SYNTHETIC speech" in text and "fold 3 is small" in text
    assert "published UA: opensmile 62.5 (One (2020), table 1; same protocol; head SVM)" in text
    assert "hubert_base 81.8 (Two (2024), table 3; other protocol; head superb; speakers shared)" in text
    failed = text.split("Not measured\n")[1]
    assert failed == "  wavlm · iemocap · probe: the corpus is absent:\n    get it\n    or not\n", "lines stay lines"


def test_published_figures_take_one_line_unless_asked_for(board):
    text = printed([r for r in board if r.cell.task == "emodb"], published=False)
    assert "published figures of 2 sources: table --published" in text and "Two (2024)" not in text


def test_a_figure_of_another_protocol_stands_beside_no_row(board, make):
    make(name="emodb", upstream="hubert_base", published=PUBLISHED, marks=["lossy_audio"])
    table = tables([make(name="emodb", upstream="hubert_base", published=PUBLISHED)])[0]
    assert table.cell("hubert_base", "published UA").shown == "" and "published UA" not in table.columns
    assert [matches for _, matches in table.published] == [True, False]


def test_several_tasks_are_put_side_by_side_by_metric(board):
    last = tables(board)[-1]
    assert last.columns == ["demo", "emodb"] and last.title == "all tasks · probe"
    assert list(map(last.name, last.rows)) == [
        "hf:org/some-model-large", "opensmile", "fbank", "majority", "duration",
    ]  # fmt: skip
    assert last.texts("emodb")[0].endswith(" a"), "marks follow the figures"
    many = [r.model_copy(update={"task": r.task.model_copy(update={"name": f"task_{i:02}"}),
                                 "cell": r.cell.model_copy(update={"task": f"task_{i:02}"})})
            for i in range(20) for r in board if r.cell == board[2].cell]  # fmt: skip
    text = printed(many, 80)
    assert all(f"task_{i:02}" in text.split("all tasks")[1] for i in range(20))


def test_other_heads_and_other_questions_never_share_a_table(make):
    records = [
        make(upstream="a"), make(upstream="b", head="superb"), make(upstream="c", audit="b" * 64),
        make(upstream="d", version=2),
    ]  # fmt: skip
    made = tables(records)
    assert [[table.name(row) for row in table.rows] for table in made[:4]] == [["a"], ["c"], ["d"], ["b"]], "by head"
    assert "version 2, audit aaaaaaaa" in printed(records)


def test_references_without_heads_and_smoke_runs_print(make, results):
    assert "emodb · reference" in printed([make(upstream="majority", head="reference", depth=None)])
    table = cells.utterances()
    made = cells.sections(table)
    made["cell"]["limit"] = 120
    smoke = leaderboard.record(results, cells.measured(made, cells.predict(table), table))
    assert "SMOKE RUN" in printed([smoke])
    assert printed([]) == ""


HOSTILE = "[red]x|y`z\x1b[31m\n# <b> [1](http://a.b)"


def test_hostile_names_are_only_text(make):
    records = [
        make(upstream=HOSTILE, name=HOSTILE, title=HOSTILE, notes=[HOSTILE], marks=[HOSTILE],
             published=[PUBLISHED[0] | {"upstream": HOSTILE, "source": HOSTILE}])
    ]  # fmt: skip
    text = printed(records, 140, failures=[(HOSTILE,) * 4], force_terminal=True)
    assert "[red]x|y`z" in text and "\x1b[31m" not in text
    lines = leaderboard.markdown(records, [(HOSTILE,) * 4]).splitlines()
    rows = [re.sub(r"\\.", "", line) for line in lines if line.startswith("|")]
    assert len({line.count("|") for line in rows}) == 1 and not any(re.search(r"[`<]|\[\D|\]\(", r) for r in rows)
    assert "\x1b" not in "".join(lines)
    several = leaderboard.markdown([], [("a", "b", "c", "first\n# <b>\n- second")])
    assert several.splitlines()[-1] == r"- a · b · c: first<br># \<b\><br>- second", "one item, no heading in it"


def test_markdown_has_every_column_and_row(board):
    text = leaderboard.markdown(board)
    for line in text.splitlines():
        assert not line.startswith("|") or line.endswith("|")
    emodb = text.split("### emodb")[1].split("###")[0]
    header = next(line for line in emodb.splitlines() if line.startswith("| upstream"))
    assert header == "| upstream | layer | UA | WA | WF1 | last layer UA, first seed | published UA | marks |"
    assert "| *majority* |" in emodb and "| opensmile |" in emodb


def test_csv_columns_only_ever_grow(board, results):
    with leaderboard.csv(results).open(newline="") as stream:
        header, *rows = csv.reader(stream)
    left = iter(header)
    assert all(column in left for column in COLUMNS.split(",")), "others read these: none goes, their order stays"
    assert len(set(header)) == len(header)
    assert [tuple(r[:3]) for r in rows] == [(r.cell.upstream, r.cell.task, r.cell.downstream) for r in board]
    for values, record in zip(rows, board, strict=True):
        got = dict(zip(header, values, strict=True))
        for name, score in record.scores.metrics.items():
            assert float(got[name]) == pytest.approx(score.value, abs=1e-4)
            assert float(got[f"{name}_low"]) < float(got[name]) < float(got[f"{name}_high"])
            assert float(got[f"{name}_seed_std"]) == pytest.approx(
                np.std(record.scores.by_seed[name], ddof=1), abs=1e-4
            )
        assert (got["CCC"] == "") == bool(record.task.classes)
        assert got["marks"] == ";".join(record.marks)


def test_a_csv_holds_no_formula(make, results):
    make(upstream="=HYPERLINK(1)", name="@x", head="-y")
    with leaderboard.csv(results).open(newline="") as stream:
        assert list(csv.reader(stream))[1][:3] == ["'=HYPERLINK(1)", "'@x", "'-y"]


def test_every_mark_of_the_house_is_explained():
    assert all(explain(mark) == meaning for mark, meaning in MEANING.items())
    assert explain("skipped:3") == MEANING["skipped"]
    house = {
        "contaminated:audio", "contaminated:labels", "seen:unknown", "speakers_shared", "dev_speakers_shared",
        "speaker~label", "lossy_audio", "partial", "synthetic", "identical_audio", "skipped", "reference", "edge",
        "unconverged", "speakers_unknown", "dialogues_shared", "audio_shared",
    }  # fmt: skip
    assert house <= set(MEANING)


def test_a_line_has_the_width_that_is_asked_for_and_no_end_in_a_file(results, make, capsys, monkeypatch):
    for i in range(12):
        make(name=f"a_rather_long_name_of_a_task_{i:02}", seed=i)
    monkeypatch.delenv("COLUMNS", raising=False)
    run = ["table", "--results", str(results)]
    assert main(run) == 0
    wide = capsys.readouterr().out.split("all tasks")[1]
    assert all(f"task_{i:02}" in wide.splitlines()[3] for i in range(12)), "one table, whatever its width"
    for setting in ("option", "COLUMNS"):
        if setting == "COLUMNS":
            monkeypatch.setenv("COLUMNS", "80")
        assert main([*run, *(["--width", "80"] if setting == "option" else [])]) == 0
        assert max(map(len, capsys.readouterr().out.splitlines())) <= 80
    with pytest.raises(SystemExit):
        main([*run, "--width", "7"])
    assert "--width must be at least 40" in capsys.readouterr().err


def test_a_line_with_a_command_is_not_broken():
    command = "fetch it: hf download " + "a/very_long_name_of_a_repository " * 5 + "--local-dir weights"
    text = printed([], 60, failures=[("wavlm_base", "emodb", "probe", f"no weights\n{command}\n" + "word " * 30)])
    assert command.strip() in text
    assert max(len(line) for line in text.splitlines() if "word" in line) <= 60


def test_edge_says_what_to_do():
    assert "-d NAME@FILE.yaml" in explain("edge") and "development corpora" in explain("edge")
