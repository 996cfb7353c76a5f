"""Small corpora in their official layouts, with noise for speech."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import soundfile

from tasks import corpora

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


def nemo(data: Path) -> Path:
    """nEMO/samples/EB0_anger_1.wav ..., at 24 kHz, with data.tsv."""
    told = ["file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage"]
    for speaker, gender in (("EB0", "female"), ("KS0", "male"), ("MP0", "male")):
        for emotion in ("anger", "fear", "happiness", "neutral", "sadness", "surprised"):
            for sentence in (1, 12):
                name = f"{speaker}_{emotion}_{sentence}.wav"
                write_audio(data / "nEMO" / "samples" / name, rate=24000)
                told.append(
                    f"{name}\t{emotion}\tZdanie, {sentence}.\tzdanie {sentence}\t        {speaker}\t{gender}\t27"
                )
    (data / "nEMO" / "data.tsv").write_text("\n".join(told) + "\n", encoding="utf-8")
    return data


def korean_emotion_tts(data: Path) -> Path:
    """.../SpeechCorpus/Emotional/emotional-to-emotional/nea/wav/nea00001.wav ..., at 22.05 kHz."""
    home = data / "emotiontts_open_db" / "Dataset" / "SpeechCorpus" / "Emotional"
    for kind, speakers in (("emotional-to-emotional", ("nea", "neb", "nec")), ("plain-to-emotional", ("ema", "emb"))):
        for speaker in speakers:
            for number in (1, 5, 101, 105, 201, 205, 301, 400):
                write_audio(home / kind / speaker / "wav" / f"{speaker}{number:05d}.wav", rate=22050)
    return data


def indian_emospeech(data: Path) -> Path:
    """emospeech-dataset-v1/webservice/go-safe-angry-1566229421468-<hash>.wav ..., with all that is left out."""
    home = data / "emospeech-dataset-v1" / "webservice"
    for speaker in range(3):
        for emotion in ("angry", "calm", "fearful", "happy"):
            for keyword in ("go", "bacho"):
                write_audio(home / f"{keyword}-safe-{emotion}-15662294214{speaker}-{speaker:056x}.wav")
    facts = corpora.module("indian_emospeech")
    write_audio(home / f"go-safe-angry-1562907046662-{facts.NOBODY}.wav")
    write_audio(home / f"background-safe-None-20190701193438-{1:056x}.wav")
    for flawed in facts.CORPUS.flawed:
        write_audio(home / f"{flawed}.wav")
    return data


# By corpus: writes its tree, whose folder is the official one's.
TREES: dict[str, Callable[[Path], Path]] = {
    "emodb": emodb,
    "emovo": lambda data: emovo(data, nested=False),
    "iemocap": iemocap,
    "indian_emospeech": indian_emospeech,
    "korean_emotion_tts": korean_emotion_tts,
    "nemo": nemo,
    "ravdess": ravdess,
    "ravdess_song": ravdess,
    "urdu": urdu,
}
