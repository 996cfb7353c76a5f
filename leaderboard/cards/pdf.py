"""A card as PDF, printed by a browser where there is one."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from leaderboard.errors import LeaderboardError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
LONGEST = 120  # s


def printed(html: str) -> bytes:
    """The PDF of a page. Raises LeaderboardError: there is no browser, or it fails."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        raise LeaderboardError(
            f"a PDF is printed by a browser, and none of {', '.join(BROWSERS)} is here; install one, or write "
            "--format html and print that"
        )
    with tempfile.TemporaryDirectory() as folder:
        page, made = Path(folder, "card.html"), Path(folder, "card.pdf")
        page.write_text(html.replace("<details>", "<details open>"), encoding="utf-8")
        command = [program, "--headless", "--disable-gpu", "--no-sandbox", "--no-pdf-header-footer",
                   f"--user-data-dir={folder}/profile", f"--print-to-pdf={made}", page.as_uri()]  # fmt: skip
        try:
            ended = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise LeaderboardError(
                f"{program} did not print the card ({error}); write --format html and print that"
            ) from None
        if ended.returncode or not made.is_file():
            last = (ended.stderr.strip().splitlines() or ["no message"])[-1]
            raise LeaderboardError(f"{program} did not print the card ({last}); write --format html and print that")
        return made.read_bytes()
