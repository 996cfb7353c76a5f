"""YAML that people write: what is read is plain and bounded, and whatever is wrong is one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from commons import yamlfile
from commons.yamlfile import LARGEST, NotYaml, mapping, parse

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(12)
)  # fmt: skip


def test_plain_values_are_read_and_numbers_are_what_people_mean() -> None:
    result = parse("a: 1e-3\nb: [1, 2.5, true, null, text]\nc: {d: -7}\ne: 2020-01-31\nf: 1e5\n")
    assert result == {"a": 0.001, "b": [1, 2.5, True, None, "text"], "c": {"d": -7}, "e": "2020-01-31", "f": 1e5}


def test_times_are_texts_and_no_numbers_to_base_60() -> None:
    """As Slurm writes them; in YAML 1.1, 2:00:00 is 7200."""
    assert parse("a: 2:00:00\nb: 16:00\nc: 1:30.5\nd: 12\n") == {"a": "2:00:00", "b": "16:00", "c": "1:30.5", "d": 12}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LAUGHS, "aliases are not allowed"),
        ("a: &x [*x]", "aliases are not allowed"),
        ("a: " + "9" * 5000, "number 999"),
        ("a: -" + "9" * 40, "is too large"),
        ("a: " + "[" * 20_000, "nested too deeply"),
        ("a: " + "[" * 60 + "]" * 60, "nested too deeply"),
        ("".join(" " * i + "a:\n" for i in range(300)), "nested too deeply"),
        ("a: 1\na: 2\n", "a is set more than once"),
        ("a: {b: 1, b: 2}\n", "b is set more than once"),
        ("a: !!python/object/apply:os.getcwd []", "not YAML"),
        ("a: !!binary aGk=", "not YAML"),
        ("a: !!set {x, y}", "not YAML"),
        ("a: !!timestamp 2020-99-99", "not YAML"),
        ("? [1, 2]\n: 3", "not YAML"),
        ("a: [", "not YAML"),
        ("a: \x00", "not YAML"),
        (b"a: \xff\xfe", "not YAML"),
        ("#" * (LARGEST + 1), "larger than 64 KiB"),
    ],
)
def test_what_is_hostile_or_no_yaml_is_one_short_line(text: str | bytes, said: str) -> None:
    with pytest.raises(NotYaml, match=said) as error:
        parse(text)
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


def test_many_keys_take_no_time_that_grows_with_their_square() -> None:
    text = "".join(f"k{i}: 1\n" for i in range(6000))
    assert len(text) < LARGEST and len(dict(parse(text))) == 6000  # type: ignore[call-overload]


def test_a_file_is_named_with_what_it_should_hold(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    for content in ("- a\n", "text", ""):
        file.write_text(content)
        with pytest.raises(NotYaml, match=r"mine\.yaml: must hold settings"):
            mapping(file, "settings")
    assert mapping(file, "settings", may_be_empty=True) == {}
    for wrong in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(NotYaml, match=r"cannot be read \("):
            mapping(wrong, "settings")
    file.write_text("a: [")
    with pytest.raises(NotYaml, match=r"mine\.yaml: not YAML"):
        mapping(file, "settings")


def test_no_room_reads_yaml_by_itself() -> None:
    house = Path(yamlfile.__file__).parents[1]
    rooms = ("cells", "commons", "downstreams", "leaderboard", "tasks", "upstreams")
    own = [path for room in rooms for path in (house / room).rglob("*.py") if "import yaml\n" in path.read_text()]
    assert own == [Path(yamlfile.__file__)]
