"""Tables for papers: what is best, what stands beside it, and that LaTeX takes them whatever the names."""

import ast
import os
import re
import shutil
import statistics
import subprocess

import pytest

import leaderboard
from commons.commands import PLAIN
from leaderboard.__main__ import main
from leaderboard.comparison.answers import answers
from leaderboard.comparison.corpora import mean_over
from leaderboard.records import record_store
from leaderboard.records.files import path_of
from leaderboard.tables import FORMS, VIEWS, ablations, latex, print_in, view, views
from leaderboard.tables.model import Cell, Look, Table
from leaderboard.tables.rankings import rankings
from tests.leaderboard import cells
from tests.leaderboard.test_tables import HOSTILE, PUBLISHED

OF_SOME = ("ablation", "agreement", "transfer", "unified", "pairs", "robustness")
BY = [view for view in VIEWS if view not in OF_SOME]  # those that every board has


@pytest.fixture
def board(make, results):
    table = cells.utterances(300, 8)
    for name, language, family in (("emodb", "de", "emodb"), ("ravdess", "en", "ravdess"), ("song", "en", "ravdess")):
        for i, (upstream, right) in enumerate((("fbank", 0.3), ("opensmile", 0.7), ("hubert_base", 0.8))):
            make(name=name, language=language, family=family, upstream=upstream, right=right, seed=i, table=table,
                 published=PUBLISHED, seen={"ravdess": "audio"} if i == 2 else None, corpus=family)  # fmt: skip
        make(name=name, language=language, family=family, upstream="majority", right=0.95, head="reference",
             depth=None, table=table, head_marks=("reference",), published=PUBLISHED)  # fmt: skip
    return leaderboard.load(results)[0]


def test_best_and_second_share_ties_and_leave_out_floors_and_the_contaminated():
    def table_of(values, references=frozenset(), marks=()):
        entries = {(n, "t"): Cell(v, metric="UA", marks=marks if n == "d" else ()) for n, v in values.items()}
        return Table("g", ["c"], list(values), ["t"], entries, references)

    values = {"a": 50.04, "b": 49.96, "c": 40.0, "d": 70.0}
    assert table_of(values).best("t") == ({"d"}, {"a", "b"})
    assert table_of(values, frozenset("d")).best("t") == ({"a", "b"}, set()), "two share the first place: no second"
    assert table_of(values, marks=("contaminated:audio",)).best("t")[0] == {"a", "b"}
    assert table_of({"a": 1.0}).best("t") == (set(), set()) and table_of({"a": None, "b": None}).best("t") == (
        set(),
        set(),
    )
    errors = Table("g", ["c"], ["a", "b"], ["t"], {(n, "t"): Cell(v, metric="MAE")
                                                      for n, v in (("a", 0.2), ("b", 0.1))})  # fmt: skip
    assert errors.best("t") == ({"b"}, {"a"})


def test_latex_says_best_second_spread_marks_and_published(board, results):
    emodb = [r for r in board if r.cell.task == "emodb"]
    table = view("metric", results, emodb)[0][0]
    text = latex.latex([table])
    lines = {name: next(line for line in text.splitlines() if line.startswith(name)) for name in ("fbank", "opensmile")}
    score = next(r for r in emodb if r.cell.upstream == "opensmile").scores.metrics["UA"]
    shown = rf"\underline{{{score.value:.1f}}}\,{{\scriptsize[{score.low:.1f}, {score.high:.1f}]}}"
    assert shown in lines["opensmile"] and r"\textbf" not in lines["fbank"]
    assert "62.5$^{b}$" in lines["opensmile"] or "62.5$^{a}$" in lines["opensmile"]
    assert r"\textcolor{gray}{81.8" in text and "other protocol: speakers shared" in text, "its difference is named"
    assert r"\textit{majority}" in text and r"\begin{table*}" in text
    std = latex.latex([table], "std")
    assert r"$\pm$" in std and r"{\scriptsize[" not in std and r"{\scriptsize[" not in latex.latex([table], "none")


@pytest.mark.parametrize("by", BY)
def test_every_table_says_that_its_head_is_an_interpretation_of_a_paper(by, board, results, capsys):
    note = "an interpretation of a paper"
    records = [r.model_copy(update={"downstream": r.downstream.model_copy(update={"interpretation": note})})
               for r in board]  # fmt: skip
    tables, _ = view(by, results, records)
    assert tables
    tables += rankings(results, records, pairs=True)[0] if by == "task" else []
    for form in FORMS:
        print_in(form, tables, Look())
        said = " ".join(capsys.readouterr().out.split())  # the width of the terminal may break the line
        assert said.count(note) >= len(tables), form


def test_captions_say_what_bold_means_and_what_guessing_gives(board, results):
    for by in ("metric", "task", "class"):
        for table in view(by, results, board)[0]:
            text = latex.latex([table])
            caption = next(line for line in text.splitlines() if line.startswith(r"\caption"))
            assert "Bold: the best figure of a column" in caption and "no test" in caption and r"\textbf" in text
            assert "chance" in caption and "25.0" in caption
    alone, _ = view("metric", results, [board[0]])
    assert "Bold" not in latex.latex(alone), "one figure is not the best of any"


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("form", ["terminal", "markdown"])
def test_hostile_names_are_only_text_in_every_table(make, results, capsys, by, form):
    make(upstream=HOSTILE, name=HOSTILE, title=HOSTILE, language=HOSTILE, family=HOSTILE, marks=[HOSTILE])
    assert main(["table", "--by", by, "--format", form, "--results", str(results)]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out and "[red]x" in out.replace("\\", "")
    if form == "markdown":
        for table in re.sub(r"\\.", "", out).split("### ")[1:]:
            rows = [line for line in table.splitlines() if line.startswith("|")]
            assert len({line.count("|") for line in rows}) == 1
            assert not any(re.search(r"[`<]|\]\(", line) for line in rows)


@pytest.mark.parametrize("by", ["task", "language", "family"])
def test_loudness_and_pitch_are_floors_in_tables_over_tasks_too(make, results, by):
    for name, right in (("loudness", 0.9), ("fbank", 0.4)):
        for task in ("emodb", "emovo"):
            make(name=task, upstream=name, right=right, family=task)
    for table in view(by, results, leaderboard.load(results)[0])[0]:
        assert table.references == {"loudness"} and table.rows == ["fbank", "loudness"]
        assert all(table.best(column)[0] == set() for column in table.columns), "one alone is not the best"


def test_language_and_family_means_are_those_of_the_comparison(board, results):
    (table,), problems = view("language", results, board)
    assert table.columns == ["de", "en"] and not problems
    parts, _ = answers(results, board)
    mine = [a for part in parts for a in part if a.upstream == "fbank" and a.record.task.language == "en"]
    seen, entry = mean_over(mine), table.cells["fbank", "en"]
    assert (entry.value, entry.low, entry.high) == (seen.value, seen.low, seen.high) and len(mine) == 2
    assert "contaminated:audio" in table.cells["hubert_base", "en"].marks
    assert view("family", results, board)[0][0].columns == ["emodb", "ravdess"]
    lacking = [r for r in board if (r.cell.upstream, r.cell.task) != ("fbank", "song")]
    assert ("fbank", "en") not in view("language", results, lacking)[0][0].cells, "means rest on the same"


def test_recalls_and_costs(board, results):
    table = view("class", results, board)[0][0]
    assert (
        table.columns == list(cells.CLASSES)
        and table.cells["fbank", "anger"].value == board[0].scores.recall["anger"].value
    )
    record = next(r for r in board if r.cell.upstream == "fbank")
    assert views.real_time_factor(record) is None, "no forward time is recorded"
    run = record.run.model_copy(update={"seconds": {"forward": 20.1, "extract": 30.0, "evaluate": 1.0}})
    timed = record.model_copy(update={"run": run})
    assert views.real_time_factor(timed) == pytest.approx(0.2)
    reused = timed.model_copy(
        update={"upstream": timed.upstream.model_copy(update={"counts": {"computed": 1, "reused": 9}})}
    )
    assert views.real_time_factor(reused) is None, "features from the store say nothing of speed"
    words = timed.model_copy(update={"upstream": timed.upstream.model_copy(update={"modality": "text"})})
    assert views.real_time_factor(words) is None, "texts have no seconds"
    (of_words,), _ = view("cost", results, [words])
    assert "real-time factor" not in of_words.columns and "extraction, s" in of_words.columns
    (of_timed,), _ = view("cost", results, [timed])
    (of_reused,), _ = view("cost", results, [reused])
    assert "real-time factor" in of_timed.columns and "real-time factor" not in of_reused.columns


def test_an_ablation_is_a_table_of_its_variants(make, results):
    for name in ("emotion2vec", "emotion2vec:loss/frame", "emotion2vec:loss/both", "emotion2vec:mask/none", "fbank"):
        make(upstream=name)
    tables, _ = view("ablation", results, leaderboard.load(results)[0])
    assert [g.title for g in tables] == [
        "loss of emotion2vec · all tasks · probe",
        "mask of emotion2vec · all tasks · probe",
    ]
    assert sorted(map(tables[0].name, tables[0].rows)) == ["both", "emotion2vec", "frame"]


def test_the_spread_of_pretraining_seeds_stands_below_its_variants(make, results):
    """Runs with equal weights are one run; variants of other recipes take no part."""
    made = {}
    variants = {"random_1": "ga", "random_2": "gb", "random_3": "gc", "again": "ga", "energy_1": "hd"}
    variants |= {"mask_a": "ie", "mask_b": "if", "mask_c": "jg", "mask_d": "jh"}  # two recipes whose names begin alike
    for i, (variant, (group, weights)) in enumerate(variants.items()):
        record = make(upstream=f"emotion2vec:ems/{variant}", seed=i)
        upstream = record.upstream.model_copy(update={"group_of_runs": group, "fingerprint": weights * 64})
        path = path_of(results, record.cell.upstream, "emodb", "probe")
        made[variant] = record_store.put(path, record.model_copy(update={"upstream": upstream}))
    records = leaderboard.load(results)[0]
    own = [made[name].scores.metrics["UA"].value for name in ("again", "random_2", "random_3")]
    spread = f"{statistics.fmean(own):.1f} ± {statistics.stdev(own):.1f} ({min(own):.1f} to {max(own):.1f})"
    (table,), _ = view("ablation", results, records)
    assert [table.cell(row, "emodb").text for row in table.rows if "3 seeds" in table.name(row)] == [spread]
    assert len(table.rows) == 12 and any("pre-training runs of one recipe" in note for note in table.notes)
    several = {name: f"emotion2vec:ems/{name}" for name in variants if name != "again"}
    shown = ablations.table("ems", "Where", several, records)
    assert [shown.name(row) for row in shown.rows] == [
        *several, "mask_a, mask_b: 2 seeds", "mask_c, mask_d: 2 seeds", "random: 3 seeds",
    ]  # fmt: skip
    assert "random: 3 seeds & " in latex.latex([shown])


def test_the_command_gives_each_table_in_each_form(board, results, capsys):
    signs = {"terminal": "fbank", "markdown": "| fbank |", "latex": "fbank & "}
    for by in BY:
        for form, sign in ((form, signs[form]) for form in FORMS):
            assert main(["table", "--by", by, "--format", form, "--results", str(results), "-d", "probe"]) == 0
            assert sign in capsys.readouterr().out
    assert main(["table", "--by", "ablation", "--results", str(results)]) == 1
    assert "no result for a table by ablation" in capsys.readouterr().err


def test_labels_differ_when_tables_of_classes_and_of_values_meet(make, results):
    for i, name in enumerate(("emodb", "urdu")):
        make(name=name, seed=i)
    for i, name in enumerate(("iemocap_arousal", "iemocap_valence")):
        make(name=name, kind="regression", seed=i)
    tables, _ = view("task", results, leaderboard.load(results)[0])
    assert latex.labels(tables) == ["tab:all-tasks-probe-ua", "tab:all-tasks-probe-ccc"]
    assert latex.labels(tables[:1]) == ["tab:all-tasks-probe"], "alone it keeps its name"
    alike = [Table(title, ["c"], ["a"], ["t"], {}) for title in ("a_b · p", "a-b · p", "ü · p", "é · p", "a b p.2")]
    assert len(set(latex.labels(alike))) == 5
    for label in latex.labels([*tables, *alike, *tables]):
        assert latex.latex([*tables, *alike, *tables]).count(rf"\label{{{label}}}") == 1


def wide_table(columns: int) -> Table:
    names = [f"iemocap_valence_{i}" for i in range(columns)]
    rows = ["fbank", "opensmile_compare", "emotion2vec-small (ours, 10 h)"]
    entries = {(row, name): Cell(-0.123, -0.234, 0.345, metric="CCC") for row in rows for name in names}
    return Table(f"wide {columns}", ["A wide table"], rows, names, entries)


def test_a_wide_table_is_never_scaled_below_7_pt_but_set_in_parts(tmp_path):
    text = latex.latex([wide_table(n) for n in (1, 2, 4, 6, 30)])
    assert "resizebox" not in text and r"\tiny" not in text
    one, several = (latex.latex([wide_table(n)]) for n in (1, 30))
    assert r"\begin{table}" in one and r"\begin{table*}" in several
    assert one.count(r"\toprule") == 1 and several.count(r"\toprule") > 5
    assert all(several.count(f"valence\\_{i} ") == 1 for i in range(30)), "every column stands in one part"
    sizes = [part.split(r"\midrule")[0].count("valence") for part in several.split(r"\toprule")[1:]]
    assert max(sizes) - min(sizes) <= 1, "no part is a crumb"
    for options in ("", "twocolumn"):
        log = compiled(tmp_path, text, options)
        if log is not None:
            assert "Overfull" not in log and "multiply defined" not in log


def compiled(folder, text, options=""):
    """pdflatex's log of a document with these tables; None where there is no pdflatex."""
    if not shutil.which("pdflatex"):
        return None
    document = f"\\documentclass[{options}]{{article}}\n\\usepackage{{booktabs,xcolor}}\n\\begin{{document}}\n"
    (folder / "wide.tex").write_text(f"{document}{text}\\end{{document}}\n", encoding="utf-8")
    done = subprocess.run(["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "wide.tex"], cwd=folder,
                          capture_output=True, text=True, errors="replace")  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    return done.stdout


def test_latex_compiles_whatever_the_names(board, make, results, tmp_path):
    program = shutil.which("tectonic") or shutil.which("pdflatex")
    if not program:
        reason = "no LaTeX here: install tectonic, or texlive-latex-recommended"
        (pytest.fail if os.environ.get("EMOREP_REQUIRE_LATEX") else pytest.skip)(reason)
    strange = HOSTILE + r" \input{x} $a_1^2$ 100 % & # ~ {} \"q\" ü ж 語 <>|"
    make(upstream=strange, name=strange, title=strange, marks=[strange], classes=[*cells.CLASSES[:3], "sadness"],
         published=[PUBLISHED[1] | {"upstream": strange, "source": strange, "difference": strange}])  # fmt: skip
    records = leaderboard.load(results)[0]
    tables = [table for by in BY for table in view(by, results, records)[0]]
    document = (
        "\\documentclass{article}\n\\usepackage{booktabs,graphicx,xcolor}\n\\begin{document}\n%s\\end{document}\n"
    )
    (tmp_path / "all.tex").write_text(document % latex.latex(tables), encoding="utf-8")
    words = ["-interaction=nonstopmode", "-halt-on-error"] if program.endswith("pdflatex") else []
    done = subprocess.run([program, *words, "all.tex"], cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "all.pdf").stat().st_size > 10_000


def test_latex_can_set_every_sign_that_the_program_itself_writes():
    """Those that terminals may lack, and those of the texts from which tables are made; frames are of terminals."""
    sources = [*(cells.ROOT / "leaderboard").rglob("*.py"), cells.ROOT / "commons/marks.py"]
    ours = {
        sign
        for path in sources
        if path.name != "latex.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for sign in node.value
        if not sign.isascii()
    }
    assert {"±", "−", "…", "·"} <= ours
    ours = (ours | set(PLAIN)) - set("─│━┃\N{REPLACEMENT CHARACTER}")
    assert [sign for sign in sorted(ours) if "?" in latex.escape(sign)] == []
    assert latex.escape("43.2 ± 1.1") == r"43.2 $\pm$ 1.1" and latex.escape("今") == "?"
