"""The hub of Hugging Face: which files a repository has."""

from __future__ import annotations


def files(repository: str, revision: str = "") -> tuple[str | None, list[str]]:
    """The commit of a repository and the names of its files.

    It asks once and does not try again: without a network it raises at once, while a download would retry for half a
    minute. So it comes before every download. Raises whatever the hub's client raises.
    """
    from huggingface_hub import HfApi

    about = HfApi().model_info(repository, revision=revision or None)
    return about.sha, [file.rfilename for file in about.siblings or []]


def reason(error: Exception) -> str:
    """The first line of what the hub's client says."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:200]}" if text else type(error).__name__
