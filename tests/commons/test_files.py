"""Files written whole: what a living process writes is safe from others that tidy up."""

import os

from commons import files


def test_a_file_that_is_about_to_be_renamed_is_not_taken_for_abandoned(tmp_path, monkeypatch):
    """Writing may take long where many processes write; meanwhile others remove what killed processes left."""
    rename = os.replace

    def late(aside, path):
        os.utime(aside, (0, os.stat(aside).st_mtime - 10 * files.YOUNG))
        files.sweep(tmp_path)
        rename(aside, path)

    monkeypatch.setattr(os, "replace", late)
    files.write(tmp_path / "a.json", "whole")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.json", "whole")]
