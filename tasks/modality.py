"""Whether upstreams of a modality can read a task: audio may be absent, and so may texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commons.corridors.utterances import Modality
from commons.errors import some
from tasks.errors import TaskError

if TYPE_CHECKING:
    from tasks.load_options import Options
    from tasks.task import Task


def readable(task: Task, modality: Modality, reader: str, options: Options) -> bool:
    """Whether all utterances can be read; False where those without text are to be left out (`--skip-bad`).

    Args:
        reader: the upstream or reference row that reads, for messages.

    Raises:
        TaskError: the audio or all texts are missing; or some texts are, and `skip_bad` is false.
    """
    if "audio" in modality and not task.has_audio:
        raise TaskError(
            f"{task.name}: {reader} reads audio, and {task.corpus.name} has labels and texts only here; "
            f"{how_to_get_audio(task)}"
        )
    if "text" not in modality or not (gone := task.textless):
        return True
    if len(gone) == len(task.utterances):
        raise TaskError(
            f"{task.name}: {reader} reads text, and {task.corpus.name} has no texts here; give transcripts with "
            f"--text {task.corpus.name}=FILE (columns id and text)"
        )
    if options.skip_bad:
        return False
    raise TaskError(
        f"{task.name}: {len(gone)} of {len(task.utterances)} utterances have no text: {some(gone)}\n"
        "Give their texts (--text), or leave them out with --skip-bad"
    )


def how_to_get_audio(task: Task) -> str:
    """What to do where a copy has labels and texts only, for messages."""
    corpus = task.corpus
    return f"python -m tasks check {corpus.name} says how to get audio" if corpus.folders else "add a column path"


def refuse_unchanged(task: Task, modality: Modality, reader: str) -> None:
    """Raise TaskError where only audio is changed and an upstream reads none; a fusion that reads both may."""
    if "audio" not in modality and "perturbation" in task.utterances:
        base = task.derivation.base if task.derivation else task.corpus.name
        raise TaskError(
            f"{task.name}: {reader} reads text, and only the audio of test is changed here; ask for {base} instead"
        )
