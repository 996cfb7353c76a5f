"""A card: every figure has its record, what is absent has its command, and names are text whatever they hold."""

import json
import re
import shutil
from urllib.parse import unquote

import pytest

import leaderboard
from commons.perturbations import SUITES, parse
from leaderboard import page
from leaderboard.__main__ import main
from leaderboard.cards import markdown, pdf
from leaderboard.cards.content import collect
from leaderboard.cards.formats import FORMATS, path_of
from leaderboard.errors import LeaderboardError, NoResult
from tests.leaderboard import cells
from tests.leaderboard.test_tables import HOSTILE

SECTIONS = ["What it is", "Scores", "Layers", "Transfer", "Few labels", "Robustness", "Groups", "Calibration",
            "Annotators", "What else it tells", "Cost", "What is not known"]  # fmt: skip


@pytest.fixture
def board(make, results):
    table = cells.utterances(160, 8)
    for i, upstream in enumerate(("fbank", "opensmile", "hubert")):
        make(table=table, upstream=upstream, right=0.3 + 0.3 * i, seed=i)
    make(table=table, upstream="majority", head="reference", depth=None)
    make(table=table, upstream="hubert", name="gender:emodb", right=0.9)
    return leaderboard.load(results)[0]


def test_a_card_holds_every_section_and_the_figures_of_its_records(board, results):
    card, problems = collect(results, board, "hubert")
    assert [section.title for section in card.sections] == SECTIONS
    scores = next(s for s in card.sections if s.title == "Scores")
    (table,) = scores.tables
    own = next(r for r in board if r.cell.upstream == "hubert" and r.cell.task == "emodb")
    cell = table.cell("emodb · probe", "figure")
    score = own.scores.metrics["UA"]
    assert (cell.value, cell.low, cell.high) == (score.value, score.low, score.high)
    assert table.cell("emodb · probe", "ranks").shown.endswith("of 3") and "majority" in table.columns
    assert [source for source in scores.sources if source.startswith("hubert/emodb/probe.json")]
    assert not any("UA by" in line for line in problems)
    assert not any("probe:" in line for line in scores.lines)
    another = own.model_copy(update={"downstream": own.downstream.model_copy(update={"interpretation": "of a paper"})})
    [section, *_] = [s for s in collect(results, [another], "hubert")[0].sections if s.title == "Scores"]
    assert "probe: of a paper" in section.lines


def test_a_card_of_smoke_runs_is_refused_for_what_they_are(board, results):
    short = [r.model_copy(update={"cell": r.cell.model_copy(update={"limit": 48})}) for r in board]
    with pytest.raises(LeaderboardError, match=r"cells of hubert in .* are of smoke runs \(--limit\)"):
        collect(results, short, "hubert")
    with pytest.raises(NoResult, match="unknown upstream 'huber'"):
        collect(results, short, "huber")


def test_what_was_not_measured_has_its_command(board, results):
    card, _ = collect(results, board, "hubert")
    missing = {what: command for section in card.sections for what, command in section.missing}
    assert missing["the speaker (emodb)"] == "python run_benchmark.py -u hubert -t speaker:emodb"
    assert "the gender (emodb)" not in missing, "it was measured"
    assert any("labels" in what for what in missing) and any("--force" in command for command in missing.values())
    last = card.sections[-1]
    assert "not measured: the speaker (emodb)" in last.lines


def section(results, upstream, title):
    card, _ = collect(results, leaderboard.load(results)[0], upstream)
    return next(one for one in card.sections if one.title == title)


def test_changed_recordings_stand_against_unchanged_ones_and_what_lacks_of_a_suite_is_named(make, results):
    make(pooled=False)
    assert [command.partition(" -t ")[2] for _, command in section(results, "fbank", "Robustness").missing] == [
        f"perturbed:emodb,{suite}" for suite in SUITES
    ]
    for level in (0, 30):
        record = make(right=0.3 + level / 100, pooled=False, head_marks=("edge",), **cells.change("white", level))
    for name in SUITES["small"][1:]:
        change = parse(name)
        make(pooled=False, **cells.change(change.kind, change.level))
    own = section(results, "fbank", "Robustness")
    summary, table = own.tables
    assert summary.cell("area white, %", "emodb · probe").value is not None
    against = record.scores.against_clean
    assert table.cell("white@30", "change").value == against.change.value
    assert table.cell("white@30", "unchanged, %").value == against.unchanged.value
    assert f"fbank/perturbed%3Aemodb%2Cwhite%4030/probe.json {record.checksum[:12]}" in own.sources
    (small, first), (hard, second) = own.missing
    assert "small (emodb)" in small and first.endswith(f" -t perturbed:emodb,{SUITES['small'][0]}")
    assert "hard (emodb)" in hard and "white@30" not in second and "white@20+" in second
    (line,) = [line for line in section(results, "fbank", "What is not known").lines if line.startswith("edge: ")]
    assert line.endswith(" (perturbed:emodb)"), "all changes are named once"
    assert not any("perturbed" in row for s in ("Scores", "Groups", "Calibration")
                   for t in section(results, "fbank", s).tables for row in t.rows)  # fmt: skip


def test_draws_of_random_weights_are_one_row_of_every_change(make, results):
    for draw in (0, 1):
        make(upstream=f"random:net@{draw}", pooled=False, right=0.3 + draw / 3, **cells.change("white", 10))
    changed = [r.scores.metrics["UA"].value for r in leaderboard.load(results)[0] if r.task.perturbation]
    summary, own = section(results, "random:net", "Robustness").tables
    assert len(summary.columns) == 1 and own.rows == ["clean", "white@10"]
    assert own.cell("white@10", "UA").value == pytest.approx(sum(changed) / 2)


def test_only_what_can_be_measured_is_asked_for(make, results):
    one = cells.utterances().assign(gender="female", sentence=None)
    make(table=one)
    missing = [command for _, command in section(results, "fbank", "What else it tells").missing]
    assert missing == ["python run_benchmark.py -u fbank -t speaker:emodb"]
    make(table=one, name="shots:emodb,4", derived="shots", base="emodb", shots=4, aspect="shots 4")
    ((_, command),) = section(results, "fbank", "Few labels").missing
    assert command.endswith("-t shots:emodb,1 shots:emodb,16")
    make(upstream="my words", given="text (gold)")
    words = section(results, "my words", "Robustness")
    assert not words.missing and "only audio can be changed" in words.lines[0]
    assert all("-u 'my words' -t " in command for _, command in section(results, "my words", "Few labels").missing)


def test_every_form_is_written_where_it_is_said(board, results, capsys):
    for form in FORMATS[:2]:
        assert main(["card", "-u", "hubert", "--format", form, "--results", str(results)]) == 0
        path = path_of(results, "hubert", form)
        assert capsys.readouterr().out.strip() == str(path) and all(title in path.read_text() for title in SECTIONS)
    assert leaderboard.load(results)[1] == []
    assert main(["card", "-u", "hubrt", "--results", str(results)]) == 2
    assert "hubert" in capsys.readouterr().err


def test_the_page_links_to_the_cards_that_are_there(board, results, tmp_path):
    main(["card", "-u", "hubert", "--results", str(results)])
    for out in (None, tmp_path / "elsewhere" / "page.html"):
        path, _ = page.write(results, board, damage=False, out=out)
        links = json.loads(re.search(r'"cards":(\[.*?\]\])', path.read_text())[1])
        assert [name for name, _ in links] == ["hubert"] and (path.parent / unquote(links[0][1])).is_file()


def test_names_are_only_text(make, results):
    make(upstream=HOSTILE, title=HOSTILE)
    for form in FORMATS[:2]:
        main(["card", "-u", HOSTILE, "--format", form, "--results", str(results)])
        text = path_of(results, HOSTILE, form).read_text()
        assert "<script" not in text and "\x1b" not in text
        if form == "html":
            assert not re.search(r"src=|href=|http-equiv=\"refresh", text), "it asks no network"


def test_no_browser_is_a_clear_word(board, results, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(LeaderboardError, match="printed by a browser"):
        pdf.printed("<p>x</p>")
    with pytest.raises(NoResult):
        collect(results, board, "majority")


@pytest.mark.skipif(not any(map(shutil.which, pdf.BROWSERS)), reason="no browser here: install chromium")
def test_a_pdf_is_printed(board, results):
    assert main(["card", "-u", "hubert", "--format", "pdf", "--results", str(results)]) == 0
    assert path_of(results, "hubert", "pdf").read_bytes().startswith(b"%PDF")


def test_a_card_in_markdown_says_each_heading_once(make, results):
    make()
    text = markdown.document(collect(results, leaderboard.load(results)[0], "fbank")[0])
    headings = [line.lstrip("# ").lower() for line in text.splitlines() if line.startswith("#")]
    assert len(headings) == len(set(headings)) and "## Scores" in text


def test_ranks_name_the_upstreams_and_records_that_they_rest_on(make, results):
    for name, right in (("fbank", 0.9), ("hubert", 0.4), ("other", 0.5)):
        make(upstream=name, right=right, name="emodb" if name != "other" else "emovo")
    scores = section(results, "fbank", "Scores")
    assert any(line.startswith("ranked with hubert,") for line in scores.lines)
    assert any(source.startswith("hubert/emodb/probe.json") for source in scores.sources)


def test_a_cell_that_takes_no_part_in_ranks_has_none(make, results):
    """Here one without targets, beside others that are ranked."""
    for name, right in (("fbank", 0.9), ("hubert", 0.4), ("other", 0.5)):
        make(upstream=name, right=right, head_marks=("unverified",) if name == "other" else ())
    assert section(results, "other", "Scores").tables[0].cell("emodb · probe", "ranks").text == "not ranked"
    assert section(results, "fbank", "Scores").tables[0].cell("emodb · probe", "ranks").text == "1 of 2"


def test_imported_predictions_have_no_commands(make, results):
    make(upstream="theirs", head_marks=("imported",))
    card, _ = collect(results, leaderboard.load(results)[0], "theirs")
    commands = [command for own in card.sections for _, command in own.missing]
    assert commands and not any("run_benchmark" in command for command in commands)


def test_draws_of_random_weights_are_all_named_as_sources(make, results):
    for draw in (0, 1, 2):
        make(upstream=f"random:net@{draw}", right=0.3 + draw / 9)
    for title in ("Scores", "Layers"):
        sources = section(results, "random:net", title).sources
        assert sum(source.startswith("random%3Anet%40") for source in sources) == 3


def test_the_cost_of_a_training_that_answered_changes_as_well_is_said(make, results):
    make()
    make(pooled=False, **cells.change("white", 10))
    records = leaderboard.load(results)[0]
    (training,) = {r.cell.training for r in records if r.task.perturbation}
    for key, said in (("another", False), (training, True)):
        own = [r.model_copy(update={"cell": r.cell.model_copy(update={"key": key})}) for r in records]
        (cost,) = (s for s in collect(results, own, "fbank")[0].sections if s.title == "Cost")
        assert any("changes were answered" in line for line in cost.lines) == said
