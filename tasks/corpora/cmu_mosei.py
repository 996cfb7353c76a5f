"""CMU-MOSEI: whole videos, `Raw/Audio/Full/WAV_16000/<video>.wav`, cut by the times of their transcripts.

`label.csv` is MMSA's table (see `cmu_mosi`); `Raw/Transcript/Segmented/Combined/<video>.txt` has a line for each clip,
`video___clip___start___end___text`, in seconds. Two counts of the standard split are in use: 16326, 1871 and 4659 clips
(MMSA, MERBench), and 16327, 1871 and 4662 (s3prl); this reader has MMSA's.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tasks import textfile
from tasks.corpora import Corpus, audio_by_stem, cmu_mosi, label_file, label_folder, lines
from tasks.errors import TaskError

if TYPE_CHECKING:
    import pandas as pd

CORPUS = Corpus(
    name="cmu_mosei",
    title="CMU-MOSEI",
    language="en",
    licence="research only",
    homepage="github.com/CMU-MultiComp-Lab/CMU-MultimodalSDK",
    obtain="Unpack CMU_MOSEI.zip, so that Raw/ lies in it, and put MMSA's label.csv beside it.",
    folders=("cmu_mosei", "cmu-mosei", "mosei"),
    globs=("Raw/Audio/Full/WAV_16000/*",),
    texts=("label.csv",),
    files=22856,
    speakers=0,
    classes={},
    family="cmu_mosei",
    lossless=True,
    rate=16000,
    source="MERBench's labels, counted (16326, 1871 and 4659 clips); its audio is one file a video",
    cite=("zadeh2018",),
    videos=3227,
)


def _times(path: Path) -> dict[int, tuple[float, float]]:
    """Start and end of each clip of a video, s."""
    times = {}
    for number, line in enumerate(lines(path, (*textfile.WESTERN, "latin-1")), start=1):
        if line.strip():
            parts = line.split("___")
            try:
                times[int(parts[1])] = float(parts[2]), float(parts[3])
            except (IndexError, ValueError) as error:
                raise TaskError(f"{path}, line {number}: is not video___clip___start___end___text") from error
    return times


def read(root: Path) -> pd.DataFrame:
    """The utterance table of a CMU-MOSEI folder: the labelled clips whose video's audio is there.

    Where there is no audio, all labelled clips, without times.
    """
    from tasks import utterances

    audio, transcripts = audio_by_stem(root, CORPUS), label_folder(root, "Raw/Transcript/Segmented/Combined")
    times: dict[str, dict[int, tuple[float, float]]] = {}
    rows = []
    for video, clip, facts in cmu_mosi.labelled(label_file(root, "label.csv"), CORPUS.language):
        if not audio:
            rows.append({"id": f"{video}_{clip}", **facts})
        if video not in audio:
            continue
        if video not in times:
            times[video] = _times(transcripts / f"{video}.txt")
        if clip not in times[video]:
            raise TaskError(f"{transcripts / video}.txt: has no clip {clip}, which label.csv has; the two do not fit")
        start, end = times[video][clip]
        rows.append({"id": f"{video}_{clip}", "path": audio[video], "start": start, "end": end, **facts})
    return utterances.table(rows)
