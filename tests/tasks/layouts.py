"""Small corpora in their official layouts, with noise for speech."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tasks import corpora

EMODB = {"W": "anger", "L": "boredom", "E": "disgust", "A": "fear", "F": "happiness", "T": "sadness", "N": "neutral"}


def write_audio(
    path: Path, seconds: float = 0.05, rate: int = 16000, channels: int = 1, subtype: str | None = None
) -> Path:
    """Noise that differs from file to file."""
    chance = np.random.default_rng(zlib.crc32(path.name.encode()))
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.1 * chance.standard_normal((round(seconds * rate), channels))
    how = {"format": "OGG", "subtype": "OPUS"} if path.suffix == ".opus" else {"subtype": subtype}
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


def emovo(data: Path, nested: bool, sentences: Iterable[str] = ("b1",)) -> Path:
    """EMOVO/f1/neu-f1-b1.wav ..., stereo at 48 kHz, sometimes one folder deeper."""
    for speaker in ("f1", "f2", "m1"):
        for emotion in ("neu", "dis", "gio", "pau", "rab", "sor", "tri"):
            folder = data / "EMOVO" / "EMOVO" if nested else data / "EMOVO"
            for sentence in sentences:
                write_audio(folder / speaker / f"{emotion}-{speaker}-{sentence}.wav", rate=48000, channels=2)
    return data


def ravdess(data: Path) -> Path:
    """RAVDESS/Audio_Speech_Actors_01-24/Actor_01/03-01-01-01-01-01-01.wav ..., speech and song."""
    for channel, kind, emotions, actors in (("01", "Speech", 8, (1, 2, 4, 18)), ("02", "Song", 6, (1, 2, 4))):
        for actor in actors:
            for emotion in range(1, emotions + 1):
                strong = emotion > 1 and (emotion + actor) % 2  # neutral speech has one level
                name = f"03-{channel}-{emotion:02d}-{'02' if strong else '01'}-02-01-{actor:02d}.wav"
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
                felt = (
                    "[2.5000, 3.0000, 3.5000]" if "script" in dialogue else f"[{turn % 5 + 1}.0, 2.0, {turn % 3 + 1}.0]"
                )
                labels.insert(
                    2 if turn % 2 else len(labels),
                    f"[{start:.4f} - {end:.4f}]\t{utterance}\t{codes[turn // 2]}\t{felt}\n"
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
    messages = ["file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage"]
    for speaker, gender in (("EB0", "female"), ("KS0", "male"), ("MP0", "male")):
        for emotion in ("anger", "fear", "happiness", "neutral", "sadness", "surprised"):
            for sentence in (1, 12):
                name = f"{speaker}_{emotion}_{sentence}.wav"
                write_audio(data / "nEMO" / "samples" / name, rate=24000)
                messages.append(
                    f"{name}\t{emotion}\tZdanie, {sentence}.\tzdanie {sentence}\t        {speaker}\t{gender}\t27"
                )
    (data / "nEMO" / "data.tsv").write_text("\n".join(messages) + "\n", encoding="utf-8")
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


def savee(data: Path) -> Path:
    """SAVEE/AudioData/DC/sa01.wav ..., at 44.1 kHz, with Info.txt beside."""
    for speaker in ("DC", "JE", "JK", "KL"):
        for emotion in ("a", "d", "f", "h", "n", "sa", "su"):
            # The same names in every speaker's folder.
            path = data / "SAVEE" / "AudioData" / speaker / f"{emotion}01.wav"
            write_audio(path.with_stem(f"{speaker}{emotion}"), rate=44100).rename(path)
    (data / "SAVEE" / "Info.txt").write_text("SAVEE")
    return data


def cafe(data: Path) -> Path:
    """CaFE/CaFE_48k/Tristesse/Faible/01-T-1-1.wav ..., at 48 kHz, in 24 bits; odd letters as in the archive."""
    folders = {
        "C": "Col\u0160re",
        "D": "D\u201agout",
        "J": "Joie",
        "N": "Neutre",
        "P": "Peur",
        "S": "Surprise",
        "T": "Tristesse",
    }
    for actor in ("01", "02", "03", "04", "05"):
        for letter, folder in folders.items():
            for level, name in (("1", "Faible"), ("2", "Fort")):
                home = data / "CaFE" / "CaFE_48k" / folder
                if letter == "N":
                    if level == "1":
                        write_audio(home / f"{actor}-N-1-1.wav", rate=48000, subtype="PCM_24")
                else:
                    write_audio(home / name / f"{actor}-{letter}-{level}-1.wav", rate=48000, subtype="PCM_24")
    return data


def subesco(data: Path) -> Path:
    """SUBESCO/F_01_OISHI_S_1_ANGRY_1.wav ..., at 44.1 and 48 kHz."""
    for number, speaker in enumerate(
        ("F_01_OISHI", "F_10_FAHMEE", "M_03_ILIAS", "M_04_RASEL", "M_09_TITAS", "F_02_TITHI")
    ):
        for emotion in ("ANGRY", "DISGUST", "FEAR", "HAPPY", "NEUTRAL", "SAD", "SURPRISE"):
            name = f"{speaker}_S_{10 if number else 1}_{emotion}_1.wav"
            write_audio(data / "SUBESCO" / name, rate=48000 if number % 2 else 44100)
    return data


def shemo(data: Path) -> Path:
    """ShEMO/male/M36S02.wav ..., at 44.1 and 22.05 kHz."""
    for number in range(1, 7):
        for letter in "AFHNSW":
            sex, folder = ("F", "female") if number % 2 else ("M", "male")
            write_audio(
                data / "ShEMO" / folder / f"{sex}{number:02d}{letter}01.wav", rate=22050 if number == 1 else 44100
            )
    return data


def aesdd(data: Path) -> Path:
    """AESDD/anger/a03 (3).wav ..., f03 (01), a06 (5)b, and the file that cannot be decoded."""
    for folder in ("anger", "disgust", "fear", "happiness", "sadness"):
        for speaker in ("01" if folder == "fear" else 1, 2, 3, 4, 6):
            write_audio(data / "AESDD" / folder / f"{folder[0]}03 ({speaker}).wav", rate=44100)
    write_audio(data / "AESDD" / "anger" / "a06 (6)b.wav", rate=44100)
    (data / "AESDD" / "sadness" / "s05 (3).wav").write_bytes(b"broken")
    return data


def resd(data: Path) -> Path:
    """RESD/train/happiness_enthusiasm_32/32_happiness_enthusiasm_h_010.wav ...; older dialogues have a blank."""
    pairs = (("happiness", "enthusiasm"), ("anger", "fear"), ("sadness", "disgust"), ("neutral", "anger"))
    for number, pair in enumerate(pairs, start=7):
        words = "_".join(pair)
        folder, blank = (f"{number:02d}_{words}", " ") if number < 9 else (f"{words}_{number:02d}", "_")
        for part, places in (("train", (10, 20, 31)), ("test", (40,))):
            for emotion in pair:
                for place in places:
                    name = f"{number:02d}_{words}{blank}{emotion[0]}_{place:03d}.wav"
                    write_audio(data / "RESD" / part / folder / name, rate=16000 if number % 2 else 44100)
    return data


def tess(data: Path) -> Path:
    """TESS/OAF_Fear/OAF_back_fear.wav ..., at 24414 Hz; one name lacks its F."""
    for speaker in ("OAF", "YAF"):
        for emotion in ("angry", "disgust", "fear", "happy", "neutral", "ps", "sad"):
            for word in ("back", "bar", "base", "bath", "bean"):
                write_audio(
                    data / "TESS" / f"{speaker}_{emotion.title()}" / f"{speaker}_{word}_{emotion}.wav", rate=24414
                )
    write_audio(data / "TESS" / "OAF_Neutral" / "OA_bite_neutral.wav", rate=24414)
    return data


def casia(data: Path) -> Path:
    """CASIA/liuchanhg/angry/201.wav ...: the same numbers in every folder."""
    for speaker in ("liuchanhg", "wangzhe", "zhaoquanyin", "ZhaoZuoxiang"):
        for emotion in ("angry", "fear", "happy", "neutral", "sad", "surprise"):
            for sentence in (201, 202):
                path = data / "CASIA" / speaker / emotion / f"{sentence}.wav"
                write_audio(path.with_stem(f"{speaker}{emotion}{sentence}")).rename(path)
    return data


def esd(data: Path) -> Path:
    """ESD/0011/Angry/0011_000351.wav ..., one speaker in the older layout with three parts."""
    for speaker in ("0001", "0002", "0003", "0011", "0012", "0013"):
        for number, emotion in enumerate(("Neutral", "Angry", "Happy", "Sad", "Surprise")):
            for sentence in (1, 2):
                folder = data / "ESD" / speaker / emotion / ("train" if speaker == "0001" else "")
                write_audio(folder / f"{speaker}_{350 * number + sentence:06d}.wav")
        _esd_texts(data / "ESD" / speaker / f"{speaker}.txt")
    return data


ESD_ENCODINGS = {
    "0001": "gb2312",
    "0002": "utf-16",
    "0003": "gbk",
    "0011": "utf-8",
    "0012": "latin-1",
    "0013": "utf-16",
}


def _esd_texts(path: Path) -> None:
    """A speaker's texts, in the encoding that her file has: utterance, text, emotion."""
    text = "\u6253\u8fdc\u4e00\u770b" if path.stem < "0011" else "The caf\xe9 is closed"
    emotions = ("\u4e2d\u7acb", "\u751f\u6c14") if path.stem < "0011" else ("Neutral", "Angry")
    rows = [
        f"{path.stem}_{350 * number + sentence:06d}\t{text} {sentence}.\t{emotions[number > 0]}"
        for number in range(5)
        for sentence in (1, 2)
    ]
    path.write_bytes("\r\n".join([*rows, ""]).encode(ESD_ENCODINGS[path.stem]))


def cremad(data: Path) -> Path:
    """CREMA-D/AudioWAV/1001_DFA_ANG_XX.wav ..., with votes and the actors' sex."""
    home = data / "CREMA-D"
    votes = ['"","FileName","VoiceVote","VoiceLevel"']
    single = ['"","A","D","F","H","N","S","fileName","numResponses","agreement","emoVote","meanEmoResp"']
    people = ["ActorID,Age,Sex,Race,Ethnicity"]
    for actor in range(1001, 1007):
        people.append(f"{actor},{actor - 980},{'Male' if actor % 2 else 'Female'},Caucasian,Not Hispanic")
        for place, emotion in enumerate(("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")):
            level = "XX" if emotion == "NEU" else ("HI", "MD", "LO")[(actor - 1001 + place) % 3]
            name = f"{actor}_IEO_{emotion}_{level}"
            write_audio(home / "AudioWAV" / f"{name}.wav")
            vote = "A:N" if (actor, emotion) == (1001, "DIS") else emotion[0]
            votes.append(f'"{len(votes)}","{name}","{vote}","66"')
            counts = [5 * (letter == vote[0]) + 3 * (letter == "N") + 2 * (letter == vote[-1]) for letter in "ADFHNS"]
            for modality in (1, 2, 3):  # the face and both are other votes
                given = counts if modality == 1 else [1, 1, 1, 1, 1, 5]
                shown = ",".join(map(str, given))
                single.append(f'"{modality}{len(votes):05d}",{shown},"{name}",{sum(given)},0.5,"{vote}",66.5')
    (home / "processedResults").mkdir()
    (home / "processedResults" / "summaryTable.csv").write_text("\n".join(votes) + "\n")
    (home / "processedResults" / "tabulatedVotes.csv").write_text("\n".join(single) + "\n")
    (home / "VideoDemographics.csv").write_text("\n".join(people) + "\n")
    return data


def msp_podcast(data: Path) -> Path:
    """MSP-Podcast/Audios/MSP-PODCAST_0001_0001.wav ... and Labels/labels_consensus.csv."""
    home = data / "MSP-Podcast"
    messages = ["FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set"]
    single = ["FileName,WorkerID,EmoClass_Major,EmoClass_Second,EmoAct,EmoVal,EmoDom"]
    words = dict(zip("ASHUFDCNOX", ("Angry", "Sad", "Happy", "Surprise", "Fear", "Disgust", "Contempt", "Neutral",
                                    "Other-relaxed", "Neutral"), strict=True))  # fmt: skip
    for number, part in enumerate(("Train", "Train", "Development", "Test1", "Test2", "Test3"), start=1):
        for i, letter in enumerate("ASHUFDCNOX"):
            name = f"MSP-PODCAST_{number:04d}_{i:04d}.wav"
            write_audio(home / "Audios" / name)
            who = "Unknown,Unknown" if part == "Train" and number == 2 else f"{number},Female"
            for worker, word in enumerate((words[letter], words[letter], "Neutral")):
                single.append(f'{name},WORKER{worker:08d},{word},"{word},Neutral",4,4,4')
            messages.append(f"{name},{letter},{1 + 0.6 * i:.1f},{7 - 0.6 * i:.1f},{4 + 0.1 * i:.1f},{who},{part}")
    (home / "Labels").mkdir()
    (home / "Labels" / "labels_detailed.csv").write_text("\n".join(single) + "\n")
    (home / "Labels" / "labels_consensus.csv").write_text("\n".join(messages) + "\n")
    return data


MELD_FOLDERS = {
    "train": "train/train_splits",
    "dev": "dev/dev_splits_complete",
    "test": "test/output_repeated_splits_test",
}


def meld(data: Path) -> Path:
    """MELD.Raw/train/train_splits/dia0_utt0.wav ..., as extracted: 64 ms and long clips, numbers that skip, `._`."""
    home = data / "MELD.Raw"
    emotions = ("neutral", "joy", "surprise", "anger", "sadness", "disgust", "fear")
    for part, folder in MELD_FOLDERS.items():
        lines = ["Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"]
        for dialogue in (0, 1, 125):
            for utterance, emotion in enumerate((*emotions[dialogue % 7 :], *emotions[: dialogue % 7])):
                number = utterance + (utterance > 3)  # the official numbers skip some
                speaker = "Ross" if utterance % 2 else f"The Guest of {part} {dialogue}"
                sentiment = "neutral" if utterance == 0 else "positive" if utterance in (1, 2) else "negative"
                lines.append(
                    f'{len(lines)},"Oh, it\u2019s ""{emotion}""",{speaker},{emotion},{sentiment},{dialogue},{number},'
                    '4,7,"00:20:57,256","00:21:00,049"'
                )
                seconds = 0.064 if number == 1 else 40 if (part, dialogue, number) == ("train", 0, 2) else 0.05
                name = f"dia{dialogue}_utt{number}"
                path = write_audio(home / folder / f"{part}{name}.wav", seconds, rate=48000)
                path.rename(path.with_stem(name))
        (home / f"{part}_sent_emo.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    folder = home / MELD_FOLDERS["test"]
    (folder / "._dia0_utt0.wav").write_bytes(b"\x00\x05\x16\x07")
    write_audio(folder / "final_videos_testdia0_utt0.wav")
    (folder / "dia0_utt0.mp4").write_bytes(b"")
    (home / MELD_FOLDERS["train"] / "dia125_utt3.wav").write_bytes(b"")  # the official clip cannot be read
    return data


def m3ed(data: Path) -> Path:
    """M3ED/modality_speech/A_huanlesong_1_1.wav ..., annotation.json and splitInfo, which spells a series otherwise."""
    home, annotation = data / "M3ED", {}
    series = {"train": ("huanlesong", "zhengyangmenxia"), "val": ("woju",), "test": ("xiangjianni",)}
    emotions = ("Anger", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise")
    (home / "splitInfo").mkdir(parents=True)
    for part, names in series.items():
        listed = "".join(f"{name.replace('menxia', 'menxi(a)')}\n" for name in names)
        (home / "splitInfo" / f"movie_list_{part}.txt").write_text(listed)
        for name in names:
            dialogue = f"{name}_1"
            said = {}
            for turn, emotion in enumerate((*emotions, *emotions), start=1):
                speaker, utterance = "AB"[turn % 2], f"{dialogue}_{turn}"
                write_audio(home / "modality_speech" / f"{speaker}_{utterance}.wav")
                said[utterance] = {
                    "StartTime": "00:00:01:01",
                    "EndTime": "00:00:02:01",
                    "Text": "\u4f60\u597d",
                    "Speaker": speaker,
                    "EmoAnnotation": {"final_mul_emo": emotion, "final_main_emo": emotion},
                }
            who = {letter: {"Name": f"Li {letter}", "Gender": "Female", "Age": "mid"} for letter in "AB"}
            annotation[name] = {dialogue: {"SpeakerInfo": who, "Dialog": said}}
    (home / "annotation.json").write_text(json.dumps(annotation, ensure_ascii=False), encoding="utf-8")
    return data


def _mmsa(home: Path, videos: dict[str, str]) -> list[tuple[str, int]]:
    """MMSA's label.csv; returns the clips."""
    lines, clips = ["video_id,clip_id,text,label,label_T,label_A,label_V,annotation,mode"], []
    for video, mode in videos.items():
        for clip, label in enumerate((-3.0, -1.4, 0.0, 0.6, 2.8), start=1):
            lines.append(f'{video},{clip},"WELL, I {label}",{label},,,,Positive,{mode}')
            clips.append((video, clip))
    home.mkdir(parents=True, exist_ok=True)
    (home / "label.csv").write_text("\n".join(lines) + "\n")
    return clips


def cmu_mosi(data: Path) -> Path:
    """MOSI/Raw/Audio/WAV_16000/Segmented/03bSnISJMiM_1.wav ... and label.csv; a video's name may hold an underscore."""
    home = data / "MOSI"
    for video, clip in _mmsa(home, {"03bSnISJMiM": "train", "_dI--eQ6qVU": "train", "a-b": "valid", "c_d": "test"}):
        write_audio(home / "Raw" / "Audio" / "WAV_16000" / "Segmented" / f"{video}_{clip}.wav")
    return data


def cmu_mosei(data: Path) -> Path:
    """CMU_MOSEI/Raw/Audio/Full/WAV_16000/<video>.wav, cut by Raw/Transcript/Segmented/Combined/<video>.txt."""
    home = data / "CMU_MOSEI"
    clips = _mmsa(home, {"-3g5yACwYnA": "train", "100178": "train", "99331": "valid", "_0efYOjQYRc": "test"})
    transcripts = home / "Raw" / "Transcript" / "Segmented" / "Combined"
    transcripts.mkdir(parents=True)
    for video in dict(clips):
        write_audio(home / "Raw" / "Audio" / "Full" / "WAV_16000" / f"{video}.wav", 2.0)
        lines = [
            f"{video}___{clip}___{0.3 * clip:.2f}___{0.3 * clip + 0.25:.2f}___Caf\xe9"
            for v, clip in clips
            if v == video
        ]
        (transcripts / f"{video}.txt").write_text("\n".join(lines) + "\n", encoding="latin-1")
    return data


# By corpus: writes its tree, whose folder is the official one's.
TREES: dict[str, Callable[[Path], Path]] = {
    "aesdd": aesdd,
    "cafe": cafe,
    "casia": casia,
    "cmu_mosei": cmu_mosei,
    "cmu_mosi": cmu_mosi,
    "cremad": cremad,
    "emodb": emodb,
    "emovo": lambda data: emovo(data, False, ("b1", "b2", "l4", "n5", "d1")),
    "esd": esd,
    "iemocap": iemocap,
    "indian_emospeech": indian_emospeech,
    "korean_emotion_tts": korean_emotion_tts,
    "m3ed": m3ed,
    "meld": meld,
    "msp_podcast": msp_podcast,
    "nemo": nemo,
    "ravdess": ravdess,
    "ravdess_song": ravdess,
    "resd": resd,
    "savee": savee,
    "shemo": shemo,
    "subesco": subesco,
    "tess": tess,
    "urdu": urdu,
}


def official(corpus: str, data: Path) -> Path:
    """The folder `data`, in which a corpus's tree was written."""
    if corpus not in TREES:
        pytest.fail(f"write a small tree of {corpus}'s layout and add it to TREES in tests/tasks/layouts.py")
    return TREES[corpus](data)


def without_audio(data: Path) -> Path:
    """The folder `data`, in which all audio is removed: what a user has who was given labels and texts alone."""
    for path in data.rglob("*"):
        if path.suffix.lower() in corpora.SUFFIXES:
            path.unlink()
    return data
