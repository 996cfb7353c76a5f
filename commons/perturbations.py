"""What can be done to the audio of test: kinds, their levels, and suites of both. `KIND@LEVEL` names one, as white@10.

Tasks read the names, upstreams change the samples (upstreams/inputs/perturbing.py), records hold kind and level.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass

from commons.errors import Refused
from commons.registry import Registry

AT, AND = "@", "+"  # KIND@LEVEL+KIND@LEVEL


@dataclass(frozen=True)
class Kind:
    """A kind of perturbation.

    Attributes:
        about: what is done, in one line.
        unit: of the level; empty: the kind has no level.
        low, high: the least and the greatest level.
        example: a level, for messages.
        noise: speech of other corpora is mixed in, so a pool of it is needed.
        codec: what libsndfile calls the encoding of files that went through it; empty: it is no codec.
        package: a package that it needs beyond the usual ones, and the extra that brings it; empty: none.
        revision: raised when the samples of the kind change; part of every key.
    """

    about: str
    unit: str = ""
    low: float = 0.0
    high: float = 0.0
    example: str = ""
    noise: bool = False
    codec: str = ""
    package: tuple[str, str] = ("", "")
    revision: int = 1


SUITES = {
    # What must change nothing: a listener does not notice it.
    "small": ("gain@-6", "clip@0.1", "cut-start@30", "cut-end@30", "zeros@100", "white@40", "opus@0"),
    "hard": (
        *(f"{noise}@{level}" for noise in ("white", "pink", "babble") for level in (30, 20, 10, 0)),
        *("reverb@0.3", "reverb@0.6", "telephone", "resampled@8000", "opus@1", "mp3@0.9", "mulaw", "gsm"),
        *("gain@-30", "clip@10", "speed@0.9", "speed@1.1"),
    ),
}
SNR = "dB SNR"
KINDS = Registry(
    "perturbation",
    {
        "white": Kind("white noise", SNR, -20, 100, "10"),
        "pink": Kind("pink noise: its power falls by 3 dB an octave", SNR, -20, 100, "10"),
        "babble": Kind("six people of another corpus who speak at once", SNR, -20, 100, "10", noise=True),
        "reverb": Kind(
            "a simulated room of this reverberation time", "s", 0.1, 1.0, "0.3", package=("pyroomacoustics", "rooms")
        ),
        "telephone": Kind("the band of a telephone, 300 to 3400 Hz"),
        "resampled": Kind("resampled to this rate and back", "Hz", 2000, 48000, "8000"),
        "opus": Kind("Opus, there and back", "compression", 0.0, 1.0, "1", codec="OPUS"),
        "mp3": Kind("MP3, there and back", "compression", 0.0, 0.99, "0.9", codec="MPEG_LAYER_III"),
        "mulaw": Kind("8 kHz and mu-law, there and back", codec="ULAW"),
        "gsm": Kind("8 kHz and GSM 06.10, there and back", codec="GSM610"),
        "gain": Kind("louder or softer", "dB", -120, 60, "-6"),
        "clip": Kind("the loudest samples are cut off at one level", "% of samples", 0.001, 50, "1"),
        "cut-start": Kind("so much is cut off at the start, at most half", "ms", 0.1, 10_000, "30"),
        "cut-end": Kind("so much is cut off at the end, at most half", "ms", 0.1, 10_000, "30"),
        "zeros": Kind("so much digital silence before and after", "ms", 0.1, 10_000, "100"),
        "speed": Kind("faster (above 1) or slower, with the pitch, as a tape", "times", 0.5, 2.0, "1.1"),
    },
    others=SUITES,
)


@dataclass(frozen=True)
class Perturbation:
    """One change of audio; `level` is None for kinds without levels."""

    kind: str
    level: float | None

    @property
    def name(self) -> str:
        """KIND@LEVEL, or KIND where it has no level."""
        return self.kind if self.level is None else f"{self.kind}{AT}{self.level:.10g}"

    @property
    def facts(self) -> Kind:
        """What is known of its kind."""
        return KINDS.find(self.kind)

    @property
    def content(self) -> tuple[str, int]:
        """What goes into keys: the name, and the revision of the kind."""
        return self.name, self.facts.revision

    def seconds(self, before: float) -> float:
        """The length of audio of `before` seconds after the change."""
        level = self.level or 0.0
        if self.kind in ("cut-start", "cut-end"):
            return before - min(level / 1000, before / 2)
        if self.kind == "zeros":
            return before + 2 * level / 1000
        return before / level if self.kind == "speed" else before


def parse(name: str) -> Perturbation:
    """The perturbation of a name.

    Raises:
        UnknownName: there is no such kind.
        Refused: the level is missing, is no number or lies outside the kind's range; says what was expected.
    """
    kind, at, written = name.partition(AT)
    facts = KINDS.find(kind)
    if not facts.unit:
        if at:
            raise Refused(f"{name}: {kind} ({facts.about}) has no level; write {kind} alone")
        return Perturbation(kind, None)
    wanted = f"{kind}{AT}LEVEL with a level from {facts.low:g} to {facts.high:g} {facts.unit}"
    try:
        level = float(written)
    except ValueError:
        raise Refused(f"{name}: expected {wanted}, as in {kind}{AT}{facts.example}") from None
    if not facts.low <= level <= facts.high:
        raise Refused(f"{name}: the level is {written}; expected {wanted}")
    return Perturbation(kind, level + 0.0)  # -0 is 0


def expand(names: str) -> list[Perturbation]:
    """The perturbations of names and suites joined by +, in the order given, each once.

    Raises UnknownName, Refused: as `parse`; Refused also where nothing stands before or after a +.
    """
    if not all(name.strip() for name in names.split(AND)):
        raise Refused(
            f"{names!r}: a change is missing; expected KIND@LEVEL, several joined by {AND}, as in white@10+gsm"
        )
    several = [one for name in names.split(AND) for one in SUITES.get(name.strip(), (name.strip(),))]
    return list(dict.fromkeys(parse(name) for name in several))


def refuse_absent(perturbation: Perturbation) -> None:
    """Raise Refused where a package that it needs is not installed, or libsndfile lacks its codec."""
    package, extra = perturbation.facts.package
    if package and importlib.util.find_spec(package) is None:
        raise Refused(f"{perturbation.name} needs {package}; install it with: pip install 'emorep[{extra}]'")
    if codec := perturbation.facts.codec:
        import soundfile

        if codec not in soundfile.available_subtypes():
            version = soundfile.__libsndfile_version__
            raise Refused(f"{perturbation.name} needs {codec}, which libsndfile {version} lacks; update libsndfile")


def joined(several: Sequence[Perturbation]) -> str:
    """Their names, joined by +."""
    return AND.join(one.name for one in several)
