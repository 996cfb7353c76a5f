"""Colour and marker of every label: of emotions by their arousal, of anything else by its place."""

from __future__ import annotations

from collections.abc import Sequence

from leaderboard.plots.style import GREY, line_style

Look = tuple[str, str]  # colour, marker

UNKNOWN = "unknown"

# Blue: high arousal, red: low, by the words of Russell's circumplex (1980), which has none for disgust and contempt
# (violet); of sentiment it says nothing. Markers tell apart what a hue does not, for colour-blind readers and in grey.
EMOTIONS: dict[str, Look] = {
    "anger": ("#08306b", "o"),
    "fear": ("#2171b5", "s"),
    "happiness": ("#4aa8e8", "^"),
    "excitement": ("#7fcdea", "v"),
    "enthusiasm": ("#5b7fa6", "P"),
    "surprise": ("#1fb5b5", "D"),
    "frustration": ("#3f51b5", "X"),
    "disgust": ("#7b3294", "P"),
    "contempt": ("#c290d6", "X"),
    "neutral": (GREY, "o"),
    "calm": ("#fdae6b", "^"),
    "boredom": ("#f16913", "s"),
    "sadness": ("#a50f15", "D"),
    "positive": ("#009E73", "o"),
    "negative": ("#CC79A7", "s"),
    # Levels of intensity, the higher the darker.
    "low": ("#9ecae1", "v"),
    "normal": ("#9ecae1", "o"),
    "weak": ("#9ecae1", "s"),
    "medium": ("#4292c6", "D"),
    "strong": ("#084594", "^"),
    "high": ("#084594", "P"),
}
# As people write them in tables of their own.
ALSO = {
    "angry": "anger", "afraid": "fear", "fearful": "fear", "happy": "happiness", "joy": "happiness",
    "excited": "excitement", "surprised": "surprise", "frustrated": "frustration", "disgusted": "disgust",
    "bored": "boredom", "sad": "sadness",
}  # fmt: skip
DISTINCT = 28  # looks that line_style tells apart


def looks(labels: Sequence[str | None]) -> dict[str, Look]:
    """Every label that occurs (None as `unknown`), in the order of a legend, with how it looks.

    Emotions have colours of their own, the same in every picture. Where one label is none of them, or two are one, all
    have the general palette, sorted; more than DISTINCT labels a row of colours, in which neighbours look alike.
    """
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    known = sorted({label for label in labels if label is not None})
    names = {label: ALSO.get(label.lower(), label.lower()) for label in known}
    if set(names.values()) <= set(EMOTIONS) and len(set(names.values())) == len(known):
        place = list(EMOTIONS)
        ordered = sorted(known, key=lambda label: place.index(names[label]))
        looking = {label: EMOTIONS[names[label]] for label in ordered}
    elif len(known) <= DISTINCT:
        styles = [line_style(index) for index in range(len(known))]
        looking = {label: (style["color"], style["marker"]) for label, style in zip(known, styles, strict=True)}
    else:
        row = colormaps["viridis"]
        looking = {label: (to_hex(row(i / (len(known) - 1))), "o") for i, label in enumerate(known)}
    if None in labels:
        looking[UNKNOWN] = ("#d5d5d5", "o")
    return looking
