"""Pictures: every kind, in both widths, with few and with many long names; nothing cut, nothing overlapping."""

import itertools
import json
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.text import Text

import leaderboard
from leaderboard import plots
from leaderboard.__main__ import main
from leaderboard.plots import curves, features, layers, style
from leaderboard.plots.layers import weights
from leaderboard.plots.training import curves as training_curves
from leaderboard.plots.training import forest
from leaderboard.records.scoring import score
from tests.leaderboard import cells

CLASSES = ("anger", "boredom", "calm", "disgust", "fear", "happiness", "neutral", "pleasant_surprise")
NAMES = [
    "fbank", "opensmile", "random:wav2vec2_base", "hf:facebook/wav2vec2-large-xlsr-53-with-a-very-long-name",
    "hf:facebook/wav2vec2-large-xlsr-53-with-a-very-long-nome", "s3prl:wavlm_base_plus", "emotion2vec",
    "emotion2vec:loss/frame_only_without_utterance_tokens", "$x_1$ \\alpha {", "speech", "日本語",
    "../experiments/of/the/second/year/mine.py:Encoder",
]  # fmt: skip


def widen(table, classes):
    return table.assign(emotion=np.random.default_rng(0).choice(classes, len(table)))


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """12 upstreams, several of long names, on tasks of every form that a picture knows."""
    results = tmp_path_factory.mktemp("crowd")
    table = widen(cells.utterances(240, 8), CLASSES)

    def make(name, upstream, i, **own):
        cells.make(results, name=name, upstream=upstream, right=0.2 + 0.06 * i, seed=i, table=table, seeds=1,
                   classes=list(CLASSES), depth=13, pooled=False, **own)  # fmt: skip

    for task in ("emodb", "a_task_with_a_rather_long_name_indeed", "ravdess"):
        for i, upstream in enumerate(NAMES):
            make(task, upstream, i, family=task)
        make(task, "majority", 0, head="reference", family=task)
    for i, upstream in enumerate(NAMES[:5]):
        for k, head in enumerate(("finetune", "finetune:last", "finetune_ecapa")):
            make("emodb", upstream, i + k, head=head, family="emodb")
    for i, upstream in enumerate(NAMES[:4]):
        for task in ("shots:emodb,1", "shots:emodb,5", "shots:emodb,50", "transfer:emodb,ravdess",
                     "transfer:ravdess,emodb", "transfer:emodb,urdu"):  # fmt: skip
            make(task, upstream, i)
    for i, upstream in enumerate(NAMES):
        for kind, level in (("white", 0), ("white", 30), ("babble", 10), ("babble", 20), ("telephone", None)):
            make(upstream=upstream, i=i, **cells.change(kind, level))
    for step in (100, 2000, 40000):
        make("emodb", f"emotion2vec@runs/small/step-{step:08}.safetensors", int(np.log(step)))
    return results


@pytest.fixture(scope="module")
def lone(tmp_path_factory):
    """One upstream, one task, one group: no interval, no test."""
    results = tmp_path_factory.mktemp("lone")
    cells.make(results, table=cells.utterances(speakers=1))
    return results


def trained(record):
    """Curves of eight folds as fine-tuning leaves them, of `finetune` as it once did; none of other heads."""
    head = record.cell.downstream
    if not head.startswith("finetune"):
        return []
    metric = {"metric": "WA"} if head == "finetune_ecapa" else {}
    return [
        {"fold": fold, "seed": 0, "epoch": e + 1, "step": 50 * (e + 1), "train_loss": 2 / (e + 1), "dev_loss": 1.5,
         "dev": 20.0 + 3 * e, **metric}
        for fold in record.task.folds
        for e in range(12)
    ]  # fmt: skip


def selected(seed):
    """Features that a head selected in four folds: long names of several families, or numbers."""
    random = np.random.default_rng(seed)
    families = ("pitch", "voice quality", "cepstrum", "spectrum", "loudness", "formants", "tempo", "other", "more")
    names = [f"{families[i % 9]}: {'long' * 6}Name{i}_sma3nz_percentile50.0" for i in range(40)]
    names = [str(i) for i in range(40)] if seed % 2 else names
    return [{names[i]: float(random.uniform(0.1, 1)) for i in random.choice(40, 30, replace=False)} for _ in range(4)]


def loaded(results):
    """Records, with weights and norms of layers as a head with weighted layers leaves them."""
    records, _ = leaderboard.load(results)
    depth = len(records[0].scores.by_layer)
    cut = []
    for index, record in enumerate(records):
        learned = np.random.default_rng(index).dirichlet(np.ones(depth), 5).tolist()
        chosen = {"layer_weights": learned, "curves": trained(record), "features": selected(index)}
        cut.append(
            record.model_copy(
                update={
                    "chosen": record.chosen.model_copy(update=chosen),
                    "upstream": record.upstream.model_copy(update={"layer_norms": [1.0 + i for i in range(depth)]}),
                }
            )
        )
    return cut


def texts(drawn):
    """(text, box in pixels) of everything written, as it will be saved."""
    import matplotlib.text

    drawn.draw_without_rendering()
    boxes = []
    for text in drawn.findobj(matplotlib.text.Text):
        if text.get_visible() and text.get_text().strip():
            axis = text.axes
            if axis is not None and not axis.get_visible():
                continue
            boxes.append((text, text.get_window_extent()))
    return boxes


def hidden_ticks(drawn):
    """Tick labels that lie outside an axis' limits are not drawn."""
    labels = set()
    for axis in drawn.axes:
        for side in (axis.xaxis, axis.yaxis):
            low, high = sorted(side.get_view_interval())
            for tick in side.get_major_ticks():
                off = not low - 1e-9 <= tick.get_loc() <= high + 1e-9
                for label, on in ((tick.label1, tick.label1.get_visible()), (tick.label2, tick.label2.get_visible())):
                    if off or not on:
                        labels.add(label)
    return labels


def cut_or_overlapping(drawn):
    with style.styled():
        boxes = texts(drawn)
        skip = hidden_ticks(drawn)
    frame = drawn.bbox
    boxes = [(t, box) for t, box in boxes if t not in skip]
    lines = [f"cut: {t.get_text()!r}" for t, box in boxes
             if box.x0 < -1 or box.y0 < -1 or box.x1 > frame.width + 1 or box.y1 > frame.height + 1]  # fmt: skip
    level = [(t, box) for t, box in boxes if t.get_rotation() in (0, 90)]
    low = np.array([[box.x0, box.y0] for _, box in level])
    high = np.array([[box.x1, box.y1] for _, box in level])
    shared = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)  # of every two boxes, (n, n, 2)
    for i, j in np.argwhere(np.triu((shared > 1).all(-1), 1)):
        lines.append(f"overlap: {level[i][0].get_text()!r} and {level[j][0].get_text()!r}")
    return lines


@pytest.mark.filterwarnings("ignore:Glyph:UserWarning")
@pytest.mark.parametrize("width", style.WIDTHS)
@pytest.mark.parametrize("kind", plots.KINDS)
def test_every_kind_fits_with_twelve_upstreams_of_long_names(crowd, kind, width):
    figures = list(itertools.islice(plots.draw(crowd, loaded(crowd), kind, width), 2))
    assert figures
    for name, drawn in figures:
        assert drawn.get_figwidth() == style.WIDTHS[width] and drawn.get_figheight() <= style.TALLEST
        assert cut_or_overlapping(drawn) == [], name


@pytest.mark.parametrize("width", style.WIDTHS)
@pytest.mark.parametrize("kind", ["bars", "heatmap", "layers", "confusion"])
def test_one_upstream_and_one_speaker_are_enough(lone, kind, width):
    ((_, drawn),) = plots.draw(lone, loaded(lone), kind, width)
    assert cut_or_overlapping(drawn) == []


def test_a_forest_is_of_heads_of_one_upstream_and_filled_where_significant(crowd):
    records = [r for r in loaded(crowd) if r.cell.upstream == "opensmile" and r.cell.task == "emodb"]
    (((task,), drawn),) = forest(crowd, records, "page")
    (axis,) = drawn.axes
    rows = [label.get_text().replace("\n", " ") for label in axis.get_yticklabels()]
    assert task == "emodb" and [row.removeprefix("opensmile: ") for row in rows] == [
        "finetune - finetune:last", "finetune - probe", "finetune_ecapa - finetune", "finetune_ecapa - probe"
    ]  # fmt: skip
    by_head = {r.cell.downstream: r.scores.metrics["UA"].value for r in records}
    dots = [line.get_xdata()[0] for line in axis.lines if line.get_marker() == "o"]
    assert dots[1] == pytest.approx(by_head["finetune"] - by_head["probe"])
    assert axis.get_xlabel() == "difference in UA (%)"


@pytest.mark.parametrize(
    ("heads", "pairs"),
    [
        (
            ("finetune@mine~1", "finetune:last@mine~1", "finetune_ecapa@mine~1"),
            {"finetune@mine~1 - finetune:last@mine~1", "finetune_ecapa@mine~1 - finetune@mine~1"},
        ),
        (("finetune", "finetune:last@mine~1", "finetune_ecapa@mine~1"), set()),
        (
            ("attentive", "ecapa", "finetune", "finetune_ecapa", "finetune_speecheq", "speecheq"),
            {
                "finetune_ecapa - finetune",
                "finetune_ecapa - ecapa",
                "finetune_speecheq - finetune",
                "finetune_speecheq - speecheq",
            },
        ),
        (("ecapa", "finetune_ecapa@mine~1", "ecapa@mine~1"), {"finetune_ecapa@mine~1 - ecapa@mine~1"}),
    ],
)
def test_a_forest_compares_read_outs_and_stages_of_one_training_alone(tmp_path, heads, pairs):
    for seed, head in enumerate(heads):
        cells.make(tmp_path, head=head, seed=seed, seeds=1, table=cells.utterances(speakers=4))
    drawn = [axis for _, one in forest(tmp_path, leaderboard.load(tmp_path)[0], "page") for axis in one.axes]
    rows = [label.get_text().replace("\n", " ") for axis in drawn for label in axis.get_yticklabels()]
    assert {row.partition(": ")[2] for row in rows} == pairs, "no name is cut"


def test_features_are_counted_over_folds_and_weighed_within_them():
    often, weights = features.carried([{"a: 1": 3.0, "a: 2": 1.0}, {"a: 1": 2.0}, {"b: 3": 5.0, "a: 1": 5.0}])
    assert often == pytest.approx({"a: 1": 1.0, "a: 2": 1 / 3, "b: 3": 1 / 3})
    assert weights == pytest.approx({"a: 1": 2.25 / 3, "a: 2": 0.25 / 3, "b: 3": 0.5 / 3})
    assert features.by_family(weights) == pytest.approx({"a": 2.5 / 3, "b": 0.5 / 3})
    assert features.members(often, "a") == pytest.approx(4 / 3)
    assert list(features.by_family(weights)) == ["a", "b"] and features.by_family({"a: 1": 0.5, "2": 0.5}) == {}


def test_features_that_most_folds_selected_come_first(crowd):
    record = next(r for r in loaded(crowd) if r.chosen.features)
    often, _ = features.carried(record.chosen.features)
    ((_, drawn),) = features.features(crowd, [record], "page")
    shares = [bar.get_width() for bar in drawn.axes[0].patches][::-1]
    assert shares == sorted((100 * own for own in often.values()), reverse=True)[: len(shares)]
    assert len(drawn.axes) == 3


def test_curves_are_drawn_once_a_training(crowd):
    records = [r for r in loaded(crowd) if r.cell.upstream == "opensmile" and r.cell.task == "emodb"]
    made = dict(training_curves(crowd, records, "page"))
    assert {head for _, _, head in made} == {"finetune", "finetune_ecapa"}
    for drawn in made.values():
        assert [len(axis.lines) for axis in drawn.axes] == [8, 16]
        assert drawn.axes[1].get_ylabel() == "dev: cross-entropy\npale: what training minimises"
    labels = {head: drawn.axes[0].get_ylabel() for (_, _, head), drawn in made.items()}
    assert labels == {"finetune": "dev, UA (%)", "finetune_ecapa": "dev, WA (%)"}  # the headline where it is not known
    last = [r for r in records if r.cell.downstream == "finetune:last"]
    assert [head for (_, _, head), _ in training_curves(crowd, last, "page")] == ["finetune:last"]


def test_bars_of_one_speaker_claim_no_interval(lone):
    ((_, drawn),) = plots.draw(lone, loaded(lone), "bars", "page")
    assert drawn.axes[0].get_xlabel() == "UA (%), 1 speaker"


def test_checkpoints_keep_what_tells_them_apart():
    name = "emotion2vec@runs/small/step-00000{}.safetensors"
    assert style.distinct([name.format(step) for step in ("002", "010")]) == [
        "emotion2vec@runs/small/step-2", "emotion2vec@runs/small/step-10",
    ]  # fmt: skip


def test_names_stay_apart_when_they_are_shortened():
    assert style.distinct(["a" * 50 + c + "b" * 50 for c in "xy"], 20)[1].endswith("(2)")
    assert len(set(style.distinct(NAMES, 12))) == len(NAMES)
    looks = [tuple(style.line_style(i).values()) for i in range(28)]
    assert len(set(looks)) == 28


def test_weights_are_multiplied_with_norms_where_these_are_known(crowd):
    record = loaded(crowd)[0]
    mean = np.mean(record.chosen.layer_weights, 0)
    shown, normed = weights(record)
    assert normed and shown == pytest.approx(mean * np.arange(1, 14) / (mean @ np.arange(1, 14)))
    bare = record.model_copy(update={"upstream": record.upstream.model_copy(update={"layer_norms": None})})
    assert weights(bare)[1] is False and weights(bare)[0] == pytest.approx(mean)


def test_files_are_whole_alike_each_time_and_carry_their_fonts(lone, tmp_path, capsys):
    for again in ("a", "b"):
        assert main(["plot", "bars", "--results", str(lone), "--out", str(tmp_path / again), "--width", "column"]) == 0
    names = ["bars-emodb-probe-column.pdf", "bars-emodb-probe-column.png"]
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == names
    assert all((tmp_path / "a" / n).read_bytes() == (tmp_path / "b" / n).read_bytes() for n in names)
    pdf = (tmp_path / "a" / names[0]).read_bytes()
    assert b"/FontFile2" in pdf and b"/Type3" not in pdf, "TrueType, embedded"
    assert names[0] in capsys.readouterr().out


def test_a_run_is_drawn_from_its_log(tmp_path):
    path = tmp_path / "log.jsonl"
    lines = [{"step": s, "loss": 2.0 / s, "frame_loss": 1.0 / s, "target_var": 0.5, "seconds": 1.0} for s in (1, 2, 3)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 4, "lo')
    with style.styled():
        drawn = curves.log(path, "page")
    assert [a.get_ylabel() for a in drawn.axes] == ["loss", "variance"] and cut_or_overlapping(drawn) == []
    assert main(["plot", "--log", str(path), "--out", str(tmp_path), "--width", "page"]) == 0
    assert (tmp_path / "pretraining-log.pdf").exists()


@pytest.mark.parametrize("run", ["emotion2vec", "emotion2vec@small", "emotion2vec@of/step-7"])
def test_steps_are_read_from_the_checkpoints_name_and_not_from_a_hash(tmp_path, run):
    for step, ending in ((1, "~819410af"), (2, "~00000009"), (3, "")):
        name = f"{run}{'/' if '@' in run else '@'}step-{step:08}.safetensors{ending}"
        cells.make(tmp_path, upstream=name, table=cells.utterances(24, 3))
    ((name, drawn),) = plots.draw(tmp_path, loaded(tmp_path), "pretraining", "page")
    (axis,) = drawn.axes
    assert run.replace("@", "_").replace("/", "_") in name
    assert [list(line.get_xdata()) for line in axis.lines if len(set(line.get_xdata())) > 1] == [[1, 2, 3]]
    assert all(tick == round(tick) for tick in axis.get_xticks())


def test_a_log_of_one_line_is_seen(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1, "loss": 2.0}\n')
    with style.styled():
        drawn = curves.log(path, "column")
    (line,) = drawn.axes[0].lines
    assert line.get_marker() and all(tick == round(tick) for tick in drawn.axes[0].get_xticks())


def test_without_a_kind_all_that_was_measured_is_drawn_and_counted(tmp_path, capsys):
    cells.make(tmp_path, table=cells.utterances(24, 3), name="emodb")
    for task in ("emodb", "urdu"):
        cells.make(tmp_path, table=cells.utterances(24, 3), name=task, upstream="majority", head="reference")
    assert main(["plot", "--results", str(tmp_path), "--width", "column"]) == 0
    made = list((tmp_path / "plots").iterdir())
    assert capsys.readouterr().out == f"{len(made)} picture files in {tmp_path / 'plots'}\n"
    assert made and not any("urdu" in path.name for path in made)


def test_what_cannot_be_drawn_is_said(lone, tmp_path, capsys):
    assert main(["plot", "transfer", "--results", str(lone)]) == 1
    assert "no result for transfer: trained on one corpus" in capsys.readouterr().err
    (tmp_path / "log.jsonl").write_text("no JSON\n")
    for name in ("log.jsonl", "absent"):
        assert main(["plot", "--log", str(tmp_path / name), "--out", str(tmp_path)]) == 1
        assert name in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["plot", "pie"])
    assert "no picture is called 'pie'; there are: bars" in capsys.readouterr().err


def test_matplotlib_is_imported_for_pictures_alone():
    code = "import sys, leaderboard, leaderboard.__main__, leaderboard.plots; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=cells.ROOT)


def test_characters_that_no_font_has_are_told_of(tmp_path, capsys):
    for text, warning in (("anger ж é", ""), ("\U000f0000", "no font here has \U000f0000")):
        with style.styled():
            drawn, (axis,) = style.figure("column", 1.0)
            axis.set_xlabel(text)
        style.save(drawn, tmp_path / "picture")
        assert warning in (err := capsys.readouterr().err) and bool(err) == bool(warning)


def test_an_installed_font_helps_out(monkeypatch):
    from matplotlib import font_manager, rcParams

    fonts = [font_manager.FontEntry(name=name) for name in reversed(style.FALLBACKS[:3])]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", fonts)
    with style.styled():
        assert rcParams["font.family"] == ["DejaVu Sans", style.FALLBACKS[0]]


def test_our_label_is_whole_on_every_axis_and_panel(make, results):
    label = "emotion2vec-small (ours, 10 h)"
    for i, name in enumerate(("emotion2vec", "fbank", "mfcc", "opensmile")):
        for task in ("emodb", "urdu"):
            make(upstream=name, label=label if i == 0 else None, name=task, corpus=task, family=task, seed=i)
    records = leaderboard.load(results)[0]
    for kind in ("bars", "heatmap", "ranks", "layers", "confusion"):
        for width in style.WIDTHS:
            for _, drawn in plots.draw(results, records, kind, width):
                texts = [text.get_text().replace("\n", " ") for text in drawn.findobj(Text)]
                assert label in texts, (kind, width, texts)
                assert cut_or_overlapping(drawn) == []
    assert style.wrapped([label, "short", "x" * 50], 22) == ["emotion2vec-small\n(ours, 10 h)", "short",
                                                              style.short("x" * 50, 22)]  # fmt: skip


def test_layers_have_intervals_and_an_axis_that_begins_at_chance(make, results):
    record = make(upstream="hubert_base", right=0.9)
    drawn = next(drawn for _, drawn in plots.draw(results, [record], "layers", "column"))
    axis = drawn.axes[0]
    low, high = axis.get_ylim()
    assert low < 25 < low + 5 and high <= 106, "four classes: chance is 25"
    assert "chance" in [text.get_text() for text in axis.findobj(Text)]
    figures = layers.by_layer(results, record)
    assert figures[0].tolist() == pytest.approx(record.scores.by_layer)
    assert (figures[1] < figures[0]).all() and (figures[0] < figures[2]).all()
    segments = [s for lines in axis.collections for s in lines.get_segments()]
    np.testing.assert_allclose([(s[0][1], s[1][1]) for s in segments], figures[1:].T)


def test_intervals_of_layers_are_those_of_the_records(make, results):
    record = make(upstream="hubert_base", seeds=1)
    table = leaderboard.predictions(results, record)
    last = table.assign(prediction=table["layer:2"])
    own = score(last, record.task).metrics["UA"]
    figures = layers.by_layer(results, record)[:, 2]
    assert figures.tolist() == pytest.approx([own.value, own.low, own.high])


def test_one_corpus_family_is_one(make, results):
    for i, name in enumerate(("fbank", "mfcc")):
        for task in ("ravdess", "song"):
            make(upstream=name, name=task, corpus=task, family="ravdess", seed=i, right=0.3 + 0.3 * i)
    figures = [drawn for _, drawn in plots.draw(results, leaderboard.load(results)[0], "ranks", "page")]
    titles = [text.get_text() for drawn in figures for text in drawn.findobj(Text)]
    assert "1 corpus family · probe · UA" in titles and not any("families" in title for title in titles)


def test_lines_of_a_log_that_are_no_numbers_are_passed_over(tmp_path):
    lines = [
        '{"step": 1, "loss": 2.0}',
        '{"step": ' + "9" * 5000 + ', "loss": 1}',
        "[" * 50_000,
        '{"step": 1e999, "loss": 1}',
        '{"step": 2, "loss": NaN}',
        '{"step": true, "loss": 1}',
        '{"step": 3, "loss": 1.0}',
        '{"step": 4, "lo',
    ]
    (tmp_path / "log.jsonl").write_text("\n".join(lines))
    (line,) = curves.log(tmp_path / "log.jsonl", "page").axes[0].lines
    assert line.get_xydata().tolist() == [[1.0, 2.0], [3.0, 1.0]]


def test_a_kind_that_is_asked_for_and_cannot_be_drawn_is_named(results, make, capsys):
    for name in ("emodb", "urdu"):
        make(name=name, depth=None)
    assert main(["plot", "heatmap", "layers", "--width", "page", "--results", str(results)]) == 1
    out, err = capsys.readouterr()
    assert "heatmap" in out and "layers: nothing is drawn, since no result here has what it shows" in err
    assert main(["plot", "--width", "page", "--results", str(results)]) == 0, "nothing in particular was asked for"
    assert "layers" not in capsys.readouterr().err
