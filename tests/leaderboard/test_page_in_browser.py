"""The page in Chromium: sorting, filters, details, hover, keyboard, themes, a phone, print, hostile names."""

import os
import re
import shutil

import numpy as np
import pytest

import leaderboard
from leaderboard import page
from leaderboard.page import content
from leaderboard.records import record_store
from leaderboard.records.files import path_of
from tests.leaderboard import cells
from tests.leaderboard.test_page import HOSTILE, embed, embedding

UPSTREAMS = ("bad", "fair", "good", HOSTILE)
TABLE = cells.utterances(240, 8)


@pytest.fixture(scope="module")
def chromium():
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        program = None
    if program is None:
        reason = "no browser here: install Playwright for Python, and chromium"
        (pytest.fail if os.environ.get("EMOREP_REQUIRE_BROWSER") else pytest.skip)(reason)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """Four upstreams, one of a hostile name, on three tasks of two languages; floors, marks, an embedding."""
    results = tmp_path_factory.mktemp("board")
    for task, language in (("emodb", "de"), ("urdu", "ur"), ("emovo", "it")):
        for i, upstream in enumerate(UPSTREAMS):
            cells.make(results, name=task, corpus=task, family=task, language=language, upstream=upstream,
                       right=0.1 + 0.2 * i, seed=i, table=TABLE, seen={"urdu": "audio"} if upstream == "fair" else {},
                       published=[{"upstream": "good", "metric": "UA", "value": 71.5, "source": "a paper",
                                   "matches": True}])  # fmt: skip
        cells.make(results, name=task, corpus=task, family=task, language=language, upstream="majority",
                   head="reference", table=TABLE, depth=None)  # fmt: skip
    cells.make(results, upstream="good", head="superb", table=TABLE)
    embed(results, embedding())
    return page.write(results, leaderboard.load(results)[0], damage=False)[0]


@pytest.fixture
def show(chromium):
    """Opens a page; afterwards nothing may have gone wrong in it, and nothing been asked of a network."""
    contexts, wrong = [], []

    def show(path, view="", script="", **options):
        context = chromium.new_context(**{"viewport": {"width": 1200, "height": 800}} | options)
        context.set_default_timeout(10_000)
        contexts.append(context)
        if script:
            context.add_init_script(script)
        tab = context.new_page()
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
        tab.on("request", lambda asked: None if asked.url.startswith("file:") else wrong.append(asked.url))
        tab.goto(f"{path.as_uri()}#{view}")
        return tab

    yield show
    evil = [tab.evaluate("window.evil") for context in contexts for tab in context.pages]
    for context in contexts:
        context.close()
    assert wrong == [] and evil == [None] * len(evil)


def names(tab):
    return tab.locator("section:visible .windowed tbody th").all_inner_texts()


def test_headers_sort_and_say_so(board, show):
    tab = show(board)
    assert names(tab) == [HOSTILE, "good", "fair", "bad", "majority"], "best first, floors last"
    header = tab.locator("th", has=tab.get_by_role("button", name="emodb", exact=True))
    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "descending"
    down = names(tab)
    header.get_by_role("button").press("Enter")
    assert header.get_attribute("aria-sort") == "ascending" and names(tab) == down[::-1]
    tab.get_by_label("Upstream", exact=True).fill("fair good")
    assert names(tab) == [name for name in down[::-1] if name in ("fair", "good", "majority")], "filters keep it"
    tab.get_by_label("Upstream", exact=True).fill("")
    tab.get_by_role("button", name="upstream", exact=True).click()
    assert names(tab)[1:] == ["bad", "fair", "good", "majority"]
    assert tab.locator("th[aria-sort]").count() == 1


def test_filters_narrow_and_ranks_stay_what_is_said_of_them(board, show):
    tab = show(board)
    rank = "section:visible tr:has(th:text-is('fair')) td:last-child .rank"
    before = tab.locator(rank).inner_text()
    tab.get_by_label("Upstream", exact=True).fill("fair goo")
    assert names(tab) == ["good", "fair", "majority"]
    assert tab.locator(rank).inner_text() == before and "Ranks are frozen" in tab.locator("main").inner_text()
    tab.get_by_label("floors").uncheck()
    assert names(tab) == ["good", "fair"]
    headers = lambda: tab.locator("section:visible thead th").all_inner_texts()  # noqa: E731
    assert headers() == ["upstream", "over corpora", "clean tasks", "emodb", "emovo", "urdu"]
    tab.get_by_label("Language").select_option("ur")
    assert headers() == ["upstream", "urdu"], "a mean over corpora that are not shown is not shown"
    tab.get_by_label("Marks").select_option("without contaminated")
    assert names(tab) == ["good"]
    tab.get_by_role("button", name="Reset").click()
    tab.locator("section:visible tbody th").nth(4).wait_for()
    assert headers() == ["upstream", "over corpora", "clean tasks", "emodb", "emovo", "urdu"]
    tab.get_by_role("tab", name="All cells", exact=True).click()
    tab.locator("section:visible tbody th:text-is('majority')").nth(2).wait_for()  # the table is drawn a moment later
    assert names(tab).count("majority") == 3, "once a task, however many heads"
    tab.get_by_label("Head").select_option("superb")
    tab.get_by_label("floors").uncheck()
    assert names(tab) == ["good"] and tab.locator("#count").inner_text() == "1 figure"


def test_a_click_opens_what_lies_behind_a_figure(board, show):
    tab = show(board)
    tab.locator("tr:has(th:text-is('good')) button.figure").first.click()
    dialog = tab.get_by_role("dialog")
    dialog.locator("section").first.wait_for()
    text = dialog.inner_text()
    for words in ("good · emodb · probe", "Folds", "s7", "chosen: strength", "true \\ called", "anger",
                  "71.5", "a paper", "f" * 64, "a" * 64, "licence: CC0", "torch 2.6", "Layers",
                  "python -m tasks audit emodb", "5 times"):  # fmt: skip
        assert words in text, words
    record = leaderboard.find(board.parent, "good", "emodb", "probe")
    shares = dialog.locator(".confusion tbody tr").first.locator("td").all_inner_texts()
    counts = record.scores.confusion[0]
    assert shares == [*(f"{100 * c / sum(counts):.0f}" for c in counts), str(sum(counts))]
    anger = record.scores.recall["anger"]
    assert f"anger\t{anger.value:.1f} [{anger.low:.1f}, {anger.high:.1f}]" in text, "recalls have a decimal, as UA has"
    assert f"WA, mean of folds\t{record.scores.WA_folds:.1f}" in text
    dialog.get_by_role("button", name="Close").click()
    assert not dialog.is_visible()


def test_the_keyboard_suffices(board, show):
    tab = show(board)
    tab.get_by_role("tab", name="All cells", exact=True).focus()
    tab.keyboard.press("ArrowRight")
    tab.get_by_role(
        "tab", name="Plots", exact=True, selected=True
    ).wait_for()  # the address changes first, then the view
    tab.get_by_role("tab", name="Upstreams by tasks", exact=True).press("Enter")
    tab.get_by_role("button", name="urdu", exact=True).focus()
    tab.keyboard.press("Tab")
    focused = lambda: tab.evaluate("document.activeElement.getAttribute('aria-label')")  # noqa: E731
    assert focused().startswith(f"{HOSTILE}, emodb, probe: UA")
    assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowDown")
    assert focused().startswith("good, emovo, probe: UA")
    here = focused()
    tab.keyboard.press("Enter")
    tab.locator("dialog section").first.wait_for()
    tab.keyboard.press("Escape")
    tab.locator("dialog").first.wait_for(state="hidden")
    assert focused() == here, "and one is back where one was"


def test_a_hostile_name_is_only_a_name(board, show):
    tab = show(board)
    assert names(tab)[0] == HOSTILE
    tab.locator("tbody button.figure").first.click()
    tab.locator("dialog section").first.wait_for()
    assert HOSTILE in tab.locator("#details-title").text_content()
    tab.keyboard.press("Escape")
    for view in ("All cells", "Plots", "UMAP", "Tasks"):
        tab.get_by_role("tab", name=view, exact=True).click()
        tab.locator("section:visible").first.wait_for()
    assert tab.locator("img, iframe").count() == 0


def test_the_mean_over_clean_tasks_rests_on_the_same_tasks_for_all(board, show):
    tab = show(board)
    text = tab.locator("main").inner_text()
    assert "Clean tasks: the same mean over emodb, emovo," in text and "over urdu" not in text
    for upstream in ("good", "fair"):
        values = [
            leaderboard.find(board.parent, upstream, t, "probe").scores.metrics["UA"].value for t in ("emodb", "emovo")
        ]
        shown = tab.locator(f"tr:has(th:text-is('{upstream}')) td").nth(1).inner_text()
        assert float(shown) == pytest.approx(np.mean(values), abs=0.06)


def test_an_upstream_goes_by_its_label_and_is_found_by_both(make, results, show):
    label = f"ours, 10 h {HOSTILE}"
    for name in ("emodb", "urdu"):
        for i, upstream in enumerate(("__proto__", "mine")):
            make(name=name, corpus=name, family=name, upstream=upstream, label=label if i else None, seed=i)
    embed(results, embedding(panels=[embedding()["panels"][0] | {"upstream": "mine", "label": label}]))
    tab = show(page.write(results, leaderboard.load(results)[0], damage=False)[0])
    assert sorted(names(tab)) == ["__proto__", label]
    for part in ("mine", "10 h"):
        tab.get_by_label("Upstream", exact=True).fill(part.split()[0])
        assert names(tab) == [label]
    tab.locator("tbody button.figure").first.click()
    assert tab.locator("#details-title").text_content() == f"{label} · emodb · probe"
    tab.keyboard.press("Escape")
    for view, place in (("All cells", "section:visible tbody th"), ("UMAP", "section:visible figcaption strong")):
        tab.get_by_role("tab", name=view, exact=True).click()
        assert tab.locator(place).first.text_content() == label
    tab.get_by_role("tab", name="Plots", exact=True).click()
    assert label in tab.locator("section:visible svg title").first.text_content()


def test_paper_shows_the_details_that_are_open_whole_and_light(board, show):
    tab = show(board, color_scheme="dark")
    tab.locator("tbody button.figure").first.click()
    tab.locator("dialog section").first.wait_for()
    tab.emulate_media(media="print")
    box = tab.locator("dialog").evaluate("d => [d.getBoundingClientRect().top, d.scrollHeight - d.clientHeight]")
    assert box == [0, 0] and not tab.locator("main").is_visible()
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_themes_follow_the_system_until_one_is_chosen(board, show, scheme):
    tab = show(board, color_scheme=scheme)
    ground = lambda: sum(map(int, re.findall(r"\d+", tab.evaluate("getComputedStyle(document.body).backgroundColor"))))  # noqa: E731
    assert (ground() < 200) == (scheme == "dark")
    tab.locator("#theme").click()
    assert (ground() < 200) == (scheme == "light")


def test_a_phone_scrolls_tables_and_not_the_page(board, show):
    tab = show(board, viewport={"width": 360, "height": 640}, has_touch=True)
    for view in ("Upstreams by tasks", "All cells", "Plots", "UMAP", "Tasks"):
        tab.get_by_role("tab", name=view, exact=True).tap()
        assert tab.evaluate("document.documentElement.scrollWidth") <= 360, view
    tab.get_by_role("tab", name="Upstreams by tasks", exact=True).tap()
    tab.locator("tbody button.figure").first.tap()
    tab.locator("dialog section").first.wait_for()
    assert tab.locator("dialog").bounding_box()["width"] <= 360


def test_a_point_under_the_pointer_says_what_it_is(board, show):
    tab = show(board, "umap")
    canvas = tab.locator("canvas")
    canvas.scroll_into_view_if_needed()
    colours = "canvas => new Set(canvas.getContext('2d').getImageData(0, 0, 300, 300).data).size"
    assert canvas.evaluate(colours) > 4, "something is drawn"
    box = canvas.bounding_box()
    xy = np.array(embedding()["panels"][0]["xy"])
    middle, span = (xy.max(0) + xy.min(0)) / 2, np.ptp(xy, axis=0).max()
    x, y = box["width"] * (0.5 + 0.92 * (xy[3] - middle) / span * [1, -1])
    tab.mouse.move(box["x"] + x, box["y"] + y)
    assert tab.locator("#tip").inner_text().split("\n")[:2] == ["u3", "emotion: sadness"]
    assert tab.get_by_label("Colour").locator("option").all_inner_texts() == ["emotion", "speaker"]
    tab.get_by_label("Colour").select_option("speaker")
    assert HOSTILE in tab.locator(".legend").inner_text()
    assert len(set(tab.locator(".legend path").evaluate_all("all => all.map((p) => p.getAttribute('fill'))"))) == 2
    canvas.press("ArrowRight")
    assert tab.locator("#tip").inner_text().startswith("u")
    tab.keyboard.press("Escape")
    assert not tab.locator("#tip").is_visible()


def test_points_have_dark_edges_so_that_shapes_show_in_grey_print(make, results, show):
    make()
    labels = {"emotion": ["excitement", "calm"] * 3}  # both light
    embed(results, embedding(points=embedding()["points"] | labels))
    tab = show(page.write(results, leaderboard.load(results)[0], damage=False)[0], "umap")
    canvas = tab.locator("canvas")
    canvas.wait_for()
    dark = """canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data
        .reduce((n, _, i, data) => n + (i % 4 === 3 && data[i] > 99 && data[i - 1] < 90 && data[i - 3] < 90), 0)"""
    assert canvas.evaluate(dark) > 6 * 5, "some pixels of each of six points"
    edges = tab.locator(".legend path").evaluate_all("all => all.map((path) => path.getAttribute('stroke'))")
    assert edges == ["#16191d"] * 2


def test_plots_are_drawn_of_what_is_shown(board, show):
    tab = show(board, "plots")
    tab.get_by_role("heading", name="Layers").wait_for()
    drawn = tab.locator("section:visible svg[role=img]")
    assert drawn.count() == 3 and drawn.first.locator("g").count() == 5
    assert drawn.last.locator("line.spread").count() == 4 * 3, "an interval for every layer of every upstream"
    tab.get_by_label("Upstream", exact=True).fill("good")
    assert drawn.first.locator("g").count() == 2, "it and the floor"
    tab.get_by_label("Draw").select_option(label="over corpora · probe · UA")
    assert tab.get_by_role("heading", name="Means over corpora").is_visible()


def test_where_none_can_be_told_apart_the_page_says_so_and_ranks_nobody(make, results, show):
    for i in range(8):
        make(upstream=f"u{i}", right=0.5, seed=i, table=cells.utterances(300, 10))
        make(name="savee", upstream=f"u{i}", right=0.1 * i, seed=i, table=cells.utterances(300, 4))
    tab = show(page.write(results, leaderboard.load(results)[0], damage=False)[0])
    said = tab.locator("section:visible .notes").inner_text()
    assert "emodb: no two of 8 upstreams differ significantly, which does not mean that they are equal" in said
    assert "savee: no two of 8 upstreams differ significantly" in said
    assert "with 4 speakers no difference can be significant" in said
    assert tab.locator("section:visible button.figure b").count() == 0, "nothing is bold"
    assert not any(tab.locator("section:visible button.figure .rank").all_inner_texts())
    tab = show(results / "leaderboard.html", "plots")
    assert tab.get_by_role("heading", name="Ranks").is_visible()
    assert tab.locator("section:visible svg[role=img]").count() <= 2, "no plot of ranks"


def test_many_rows_are_drawn_as_they_come_in_sight(make, results, show):
    record = make()
    many = [
        record.model_copy(update={"cell": record.cell.model_copy(update={"upstream": f"u{i:03}"})}) for i in range(300)
    ]
    summary, details = content.assemble(many, {}, {}, {})
    path = results / "many.html"
    path.write_text(page.page(summary | {"damaged": False, "unranked": 0, "umap": []}, details, []))
    tab = show(path)
    rows = tab.locator("section:visible tbody tr:not(.gap)")
    assert 10 < rows.count() < 100
    tab.set_viewport_size({"width": 1000, "height": 2000})
    tab.wait_for_function(
        """() => {
            const box = document.querySelector(".scroll").getBoundingClientRect();
            const last = [...document.querySelectorAll("tbody tr:not(.gap)")].at(-1).getBoundingClientRect();
            return last.y > box.y + box.height;  // all in sight is there
        }"""
    )
    tab.set_viewport_size({"width": 1200, "height": 800})
    tab.locator(".scroll").first.evaluate("box => { box.scrollTop = box.scrollHeight; }")
    tab.locator("section:visible tbody th", has_text="u299").wait_for()
    assert rows.count() < 100
    tab.locator("tr:has(th:text-is('u290')) button").focus()
    for _ in range(60):
        tab.keyboard.press("ArrowUp")
    assert tab.evaluate("document.activeElement.getAttribute('aria-label')").startswith("u230,")
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert rows.count() == 300


def test_without_decompression_the_tables_stand_and_details_say_why(board, show):
    tab = show(board, script="delete window.DecompressionStream")
    assert len(names(tab)) == 5
    tab.locator("tbody button.figure").first.click()
    assert "DecompressionStream" in tab.locator("dialog .notice").inner_text()


def test_dark_paper_has_dark_panels_and_light_lines_and_curves_begin_at_0(board, show):
    tab = show(board, "plots", color_scheme="dark")
    tab.locator("path.curve").first.wait_for()
    colour = "(element) => getComputedStyle(element).stroke"
    assert tab.locator("path.curve").first.evaluate(colour) == "rgb(75, 163, 227)"
    assert tab.locator(".legend line").first.evaluate(colour) == "rgb(75, 163, 227)"
    ticks = tab.locator("svg:has(path.curve) text.quiet").all_text_contents()
    assert "0" in ticks
    tab.locator("#theme").click()
    assert tab.locator("path.curve").first.evaluate(colour) == "rgb(0, 114, 178)"
    tab = show(board, "umap", color_scheme="dark")
    canvas = tab.locator(".panels canvas").first
    canvas.wait_for()
    assert "invert" in canvas.evaluate("(element) => getComputedStyle(element).filter")


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Frozen and trained systems, a fusion, a text upstream and a contributor, on one task."""
    results = tmp_path_factory.mktemp("mixed")

    def cell(upstream, right, head="probe", given=None, trained=None, parts=(), contributor=None):
        record = cells.make(results, upstream=upstream, right=right, head=head, given=given, table=TABLE)
        made = record.upstream.model_copy(update={"parts": list(parts), "fusion": "early" if parts else None})
        read_by = record.downstream.model_copy(update={"trained": trained})
        update = {"upstream": made, "downstream": read_by, "contributor": contributor}
        record_store.put(path_of(results, upstream, "emodb", head), record.model_copy(update=update))

    cell("fbank", 0.2, contributor="Anna")
    cell("minilm", 0.3, given="text (gold)")
    cell("fbank+minilm", 0.4, given="speech + text (gold)", parts=["fbank", "minilm"])
    cell("hubert", 0.9, "finetune", trained="encoder (all)")
    return page.write(results, leaderboard.load(results)[0], damage=False)[0]


def test_frozen_and_trained_systems_are_never_in_one_list(mixed, show):
    tab = show(mixed)
    chosen = lambda: tab.get_by_label("System").input_value()  # noqa: E731
    for view in ("Upstreams by tasks", "All cells", "Tasks"):
        tab.get_by_role("tab", name=view, exact=True).click()
        for system, own in (("", {"fbank", "minilm", "fbank+minilm"}), ("encoder (all)", {"hubert"})):
            tab.get_by_label("System").select_option(system)
            tab.wait_for_timeout(50)
            shown = set(names(tab)) if view != "Tasks" else own
            assert shown == own, view
    tab.get_by_role("tab", name="Upstreams by tasks", exact=True).click()
    tab.get_by_label("Table").select_option(index=0)
    assert chosen() == "" and "hubert" not in names(tab), "a table that is picked moves the filter along"
    tab.get_by_label("Head").select_option("finetune")
    assert chosen() == "encoder (all)" and names(tab) == ["hubert"]
    tab.get_by_role("button", name="Reset").click()
    tab.locator("section:visible tbody th:text-is('fbank')").wait_for()
    assert chosen() == ""


def test_input_parts_and_contributor_have_columns_and_filters(mixed, show):
    tab = show(mixed, "cells")
    header = tab.locator("section:visible thead th").all_inner_texts()
    assert {"input", "parts", "system", "contributor"} <= set(header)
    row = tab.locator("section:visible tr:has(th:text-is('fbank+minilm'))").inner_text()
    assert "features of fbank + minilm" in row and "speech + text (gold)" in row and "frozen" in row
    for label, value, own in (("Input", "text (gold)", ["minilm"]), ("Fusion", "made", ["fbank+minilm"]),
                              ("Contributor", "=Anna", ["fbank"])):  # fmt: skip
        tab.get_by_label(label).select_option(value)
        tab.wait_for_timeout(50)
        assert names(tab) == own, label
        tab.get_by_label(label).select_option("")
    tab.locator("section:visible tr:has(th:text-is('fbank')) button.figure").click()
    tab.locator("dialog section").first.wait_for()
    assert "brought by" in tab.get_by_role("dialog").inner_text()


def test_a_board_without_such_systems_has_no_such_filters(board, show):
    tab = show(board, "cells")
    assert tab.locator("#filters select").count() == 5
    assert not {"input", "parts", "system", "contributor"} & set(
        tab.locator("section:visible thead th").all_inner_texts()
    )
