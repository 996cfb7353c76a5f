"""The sound of MELD's video clips, written beside each as WAV: its own sample rate, 16 bits, one channel.

Most clips are mp4 files with 5.1 sound, whose voices are in the centre channel. Of other sound the mean of the channels
is written.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from commons.progress import Progress
from tasks.errors import TaskError

CENTRE = {3: 2, 4: 2, 5: 2, 6: 2, 7: 2, 8: 2}  # channel of the centre by number of channels: FL FR FC ...


def extract(clips: Sequence[Path], progress: Progress | None = None) -> dict[Path, str]:
    """Write the sound of every clip that has none yet; returns the clips that failed, each with the reason.

    Raises:
        TaskError: ffmpeg is not installed.
    """
    lacking = [name for name in ("ffmpeg", "ffprobe") if shutil.which(name) is None]
    if lacking:
        raise TaskError(
            f"--extract needs {' and '.join(lacking)}, not found on this machine; install ffmpeg (ffmpeg.org, or your "
            "system's packages) and run the command again"
        )
    failed = {}
    for done, clip in enumerate(clips, start=1):
        target = clip.with_suffix(".wav")
        if not target.exists() and (reason := _sound(clip, target)):
            failed[clip] = reason
        if progress:
            progress(done, len(clips))
    return failed


def _sound(clip: Path, target: Path) -> str:
    """Write a clip's sound to a temporary file and rename it; returns what went wrong, empty if nothing."""
    probe = ["ffprobe", "-v", "error", "-select_streams", "a:0", "-show_entries", "stream=channels", "-of", "csv=p=0"]
    channels, reason = _run([*probe, str(clip)])
    if not channels.strip().rstrip(",").isdigit():
        return reason or "has no sound"
    number = int(channels.strip().rstrip(","))
    mix = f"pan=mono|c0=c{CENTRE[number]}" if number in CENTRE else f"pan=mono|c0={_mean(number)}"
    aside = target.with_name(f".{target.name}.part")
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", "-i", str(clip), "-map", "0:a:0", "-af", mix]
    _, reason = _run([*command, "-c:a", "pcm_s16le", "-f", "wav", str(aside)])
    if aside.exists() and aside.stat().st_size and not reason:
        os.replace(aside, target)
        return ""
    aside.unlink(missing_ok=True)
    return reason or "ffmpeg wrote nothing"


def _mean(channels: int) -> str:
    return "+".join(f"{1 / channels:.6f}*c{channel}" for channel in range(channels))


def _run(command: list[str]) -> tuple[str, str]:
    """What a command printed, and the last line of why it failed; empty if it did not."""
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    said = done.stderr.strip().splitlines()
    return done.stdout, "" if done.returncode == 0 else (said[-1] if said else f"status {done.returncode}")
