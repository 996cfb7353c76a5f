"""Small corpora in their official layouts, with noise for speech."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile

EMODB = {"W": "anger", "L": "boredom", "E": "disgust", "A": "fear", "F": "happiness", "T": "sadness", "N": "neutral"}


def write_audio(path: Path, seconds: float = 0.05, rate: int = 16000, channels: int = 1) -> Path:
    """Noise that differs from file to file."""
    chance = np.random.default_rng(zlib.crc32(path.name.encode()))
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.1 * chance.standard_normal((round(seconds * rate), channels))
    how = {"format": "OGG", "subtype": "OPUS"} if path.suffix == ".opus" else {}
    soundfile.write(path, samples.clip(-1, 1), rate, **how)
    return path


def emodb(
    data: Path,
    speakers: Iterable[str] = ("03", "08", "09", "10"),
    emotions: str = "WLEAFTN",
    texts: Iterable[str] = ("a01", "b02"),
    suffix: str = ".wav",
) -> Path:
    """EmoDB/wav/03a01Wa.wav ..."""
    for speaker in speakers:
        for emotion in emotions:
            for text in texts:
                write_audio(data / "EmoDB" / "wav" / f"{speaker}{text}{emotion}a{suffix}")
    return data


def urdu(data: Path) -> Path:
    """URDU/Angry/SM1_F1_A01.wav ..., at 44.1 kHz."""
    for number, (folder, letter) in enumerate((("Angry", "A"), ("Happy", "H"), ("Neutral", "N"), ("Sad", "S"))):
        for speaker in (f"SM{number}", f"SF{number}", "SM9"):
            for take in (1, 2):
                name = f"{speaker}_F{take}_{letter}{10 * number + take:02d}.wav"
                write_audio(data / "URDU" / folder / name, rate=44100)
    return data


def emovo(data: Path, nested: bool) -> Path:
    """EMOVO/f1/neu-f1-b1.wav ..., stereo at 48 kHz, sometimes one folder deeper."""
    for speaker in ("f1", "f2", "m1"):
        for emotion in ("neu", "dis", "gio", "pau", "rab", "sor", "tri"):
            folder = data / "EMOVO" / "EMOVO" if nested else data / "EMOVO"
            write_audio(folder / speaker / f"{emotion}-{speaker}-b1.wav", rate=48000, channels=2)
    return data


def ravdess(data: Path) -> Path:
    """RAVDESS/Audio_Speech_Actors_01-24/Actor_01/03-01-01-01-01-01-01.wav ..., speech and song."""
    for channel, kind, emotions, actors in (("01", "Speech", 8, (1, 2, 4, 18)), ("02", "Song", 6, (1, 2, 4))):
        for actor in actors:
            for emotion in range(1, emotions + 1):
                name = f"03-{channel}-{emotion:02d}-01-02-01-{actor:02d}.wav"
                write_audio(data / "RAVDESS" / f"Audio_{kind}_Actors_01-24" / f"Actor_{actor:02d}" / name, rate=48000)
    return data


def iemocap(data: Path, sessions: Iterable[int] = (1, 2, 3, 4, 5)) -> Path:
    """IEMOCAP_full_release/Session1/... with two dialogues a session of two turns of each code and speaker."""
    codes = ("ang", "hap", "exc", "sad", "neu", "fru", "xxx")
    for session in sessions:
        home = data / "IEMOCAP_full_release" / f"Session{session}"
        for dialogue in (f"Ses0{session}F_impro01", f"Ses0{session}M_script01_1"):
            labels = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
            texts = []
            for turn in range(2 * len(codes)):
                utterance = f"{dialogue}_{'FM'[turn % 2]}{turn // 2:03d}"
                write_audio(home / "sentences" / "wav" / dialogue / f"{utterance}.wav")
                # The official files list each actor's turns for themselves, not in order of time.
                start, end = 1.5 * turn, 1.5 * turn + 1.2
                labels.insert(
                    2 if turn % 2 else len(labels),
                    f"[{start:.4f} - {end:.4f}]\t{utterance}\t{codes[turn // 2]}\t[2.5000, 3.0000, 3.5000]\n"
                    "C-E1:\tNeutral;\t()\nC-E2:\tAnger; Frustration;\t()\nA-E3:\tval 3; act 2; dom  2;\t()\n",
                )
                texts.append(f"{utterance} [{start:08.4f}-{end:08.4f}]: Word {turn}.")
            for folder, lines in (("EmoEvaluation", labels), ("transcriptions", texts)):
                (home / "dialog" / folder).mkdir(parents=True, exist_ok=True)
                (home / "dialog" / folder / f"{dialogue}.txt").write_text("\n".join(lines) + "\n")
                (home / "dialog" / folder / f"._{dialogue}.txt").write_bytes(b"\x00\xff")
            write_audio(home / "sentences" / "wav" / dialogue / f"{dialogue}_F999.wav").rename(
                home / "sentences" / "wav" / dialogue / f"._{dialogue}_F000.wav"
            )
    return data
