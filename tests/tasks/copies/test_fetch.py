"""fetch, against a server on this machine: resumed, proved, unpacked whole or not at all, and nowhere else."""

import hashlib
import io
import os
import stat
import tarfile
import threading
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from commons.files import LOCK
from tasks import corpora, fetch
from tasks.__main__ import main
from tasks.copies import archives
from tasks.corpora import Archive
from tasks.errors import TaskError
from tests.tasks import layouts


class Server(ThreadingHTTPServer):
    """Serves `content` under any path; breaks off after `most` bytes of an answer."""

    content, most, tag, asked = b"", None, '"1"', None


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.asked.append(self.headers.get("Range"))
        first = 0
        if self.path.endswith("missing.zip"):
            self.send_error(404)
            return
        if self.headers.get("Range") and self.headers.get("If-Range") == server.tag:
            first = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            if first >= len(server.content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(server.content)}")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{len(server.content) - 1}/{len(server.content)}")
        else:
            self.send_response(200)
        body = server.content[first:]
        self.send_header("ETag", server.tag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.most])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    pytest.importorskip("pooch")
    with Server(("127.0.0.1", 0), Handler) as running:
        running.asked = []
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def small_emodb(tmp_path) -> bytes:
    data = layouts.emodb(tmp_path / "source", speakers=("03",), texts=("a01",))
    return zipped({f"wav/{path.name}": path.read_bytes() for path in sorted((data / "EmoDB" / "wav").iterdir())})


@pytest.fixture
def emodb(server, tmp_path, monkeypatch):
    """The corpus EmoDB as this server has it."""
    server.content = small_emodb(tmp_path)
    module = corpora.module("emodb")
    digest = hashlib.sha256(server.content).hexdigest()
    url = f"http://127.0.0.1:{server.server_address[1]}/download.zip"
    facts = replace(module.CORPUS, archives=(Archive(url, checksum=f"sha256:{digest}"),), files=7)
    monkeypatch.setattr(module, "CORPUS", facts)
    return facts


def places(tmp_path) -> list[str]:
    return ["--data", str(tmp_path / "data"), "--cache", str(tmp_path / "cache")]


def test_the_licence_is_shown_and_accepted_first(emodb, server, tmp_path, capsys):
    assert main(["fetch", "emodb", *places(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert emodb.licence in said and "--accept-licence" in said and not server.asked
    assert not (tmp_path / "data").exists()
    assert main(["fetch", "emodb", "--accept-licence", *places(tmp_path)]) == 0
    assert "7 of 7 audio files" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["emodb"]
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.name != LOCK]


def test_a_download_that_breaks_off_is_told_and_gone_on_with(emodb, server, tmp_path):
    server.most = 1000
    for part in (1000, 2000):
        with pytest.raises(TaskError, match=rf"stopped at {part} of {len(server.content)} bytes; the same command"):
            fetch.fetch(emodb, tmp_path / "data", tmp_path / "cache", accepted=True)
    assert not (tmp_path / "data").exists()
    server.most = None
    root = fetch.fetch(emodb, tmp_path / "data", tmp_path / "cache", accepted=True)
    assert server.asked == [None, "bytes=1000-", "bytes=2000-"] and corpora.count(emodb, root) == 7


def test_another_version_on_the_server_is_fetched_from_its_beginning(emodb, server, tmp_path):
    server.most = 1000
    with pytest.raises(TaskError, match="stopped at"):
        fetch.fetch(emodb, tmp_path / "data", tmp_path / "cache", accepted=True)
    server.most, server.tag = None, '"2"'
    assert corpora.count(emodb, fetch.fetch(emodb, tmp_path / "data", tmp_path / "cache", accepted=True)) == 7


def test_a_whole_part_that_was_not_used_yet_is_used(emodb, server, tmp_path):
    part = tmp_path / "cache" / "downloads" / "emodb" / "download.zip.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(server.content)
    part.with_suffix(".version").write_text('"\\"1\\""')
    assert corpora.count(emodb, fetch.fetch(emodb, tmp_path / "data", tmp_path / "cache", accepted=True)) == 7
    assert server.asked == [f"bytes={len(server.content)}-"]


def test_a_wrong_checksum_leaves_nothing(emodb, server, tmp_path):
    server.content = server.content[:-1] + b"x"
    with pytest.raises(TaskError, match=r"download\.zip: the downloaded file does not have the checksum sha256:"):
        fetch.fetch(emodb, tmp_path / "data", tmp_path / "cache", accepted=True)
    assert not (tmp_path / "data").exists()
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_truncated_archive_leaves_the_folder_as_it_was(emodb, server, tmp_path):
    server.content = server.content[: len(server.content) // 2]
    url = emodb.archives[0].url
    for facts in (replace(emodb, archives=(Archive(url),)), replace(emodb, archives=(Archive(url + "?again"),))):
        with pytest.raises(TaskError, match=r"download\.zip: is truncated or no archive"):
            fetch.fetch(facts, tmp_path / "data", tmp_path / "cache", accepted=True)
        assert list((tmp_path / "data").iterdir()) == []


def test_an_answer_that_is_an_error_is_told(emodb, server, tmp_path):
    gone = replace(emodb, archives=(Archive(emodb.archives[0].url.replace("download", "missing")),))
    with pytest.raises(TaskError, match=r"missing\.zip: the server answers 404"):
        fetch.fetch(gone, tmp_path / "data", tmp_path / "cache", accepted=True)
    nobody = replace(emodb, archives=(Archive("http://127.0.0.1:9/a.zip"),))
    with pytest.raises(TaskError, match=r"a\.zip: cannot be downloaded"):
        fetch.fetch(nobody, tmp_path / "data", tmp_path / "cache", accepted=True)


def test_files_that_were_there_stay(emodb, tmp_path):
    other = tmp_path / "data" / "EmoDB" / "notes.txt"
    other.parent.mkdir(parents=True)
    other.write_text("mine")
    root = fetch.fetch(emodb, tmp_path / "data", tmp_path / "cache", accepted=True)
    assert root == other.parent and other.read_text() == "mine" and corpora.count(emodb, root) == 7


def test_what_a_killed_fetch_unpacked_is_removed_and_no_part_of_the_corpus(emodb, tmp_path, monkeypatch):
    half, move, unpacked = tmp_path / "data" / ".fetching-emodb" / "wav" / "half.wav", fetch._move, []
    half.parent.mkdir(parents=True)
    half.write_bytes(b"RIFF")
    monkeypatch.setattr(fetch, "_move", lambda aside, root: unpacked.append(aside) or move(aside, root))
    root = fetch.fetch(emodb, tmp_path / "data", tmp_path / "cache", accepted=True)
    assert unpacked == [tmp_path / "data" / ".fetching-emodb"], "the next one finds it, should this one be killed"
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["emodb"]
    assert corpora.count(emodb, root) == 7 and not list(root.rglob("half.wav"))


@pytest.mark.parametrize("name", [name for name in corpora.names() if not corpora.module(name).CORPUS.archives])
def test_the_others_come_with_instructions(tmp_path, name, capsys):
    assert main(["fetch", name, *places(tmp_path)]) == 1
    said = capsys.readouterr().err
    facts = corpora.module(name).CORPUS
    assert facts.homepage in said and facts.obtain in said and facts.licence in said


@pytest.mark.parametrize("name", ["../out.wav", "/out.wav", "a/../../out.wav", "..\\out.wav", "C:\\out.wav"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_no_member_leaves_the_folder(tmp_path, name, kind):
    path = tmp_path / f"a.{kind}"
    if kind == "zip":
        path.write_bytes(zipped({"fine.wav": b"1", name: b"2"}))
    else:
        with tarfile.open(path, "w:gz") as archive:
            for member in ("fine.wav", name):
                archive.addfile(tarfile.TarInfo(member), io.BytesIO())
    with pytest.raises(TaskError, match="would land outside"):
        archives.unpack(path, tmp_path / "folder" / "inner")
    assert sorted(p.name for p in tmp_path.rglob("*")) in (["a." + kind, "fine.wav", "folder", "inner"], ["a." + kind])


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_refused(tmp_path, kind):
    member = tarfile.TarInfo("link.wav")
    member.type, member.linkname = kind, "/etc/passwd"
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(member)
    with pytest.raises(TaskError, match=r"link\.wav.* link or a device"):
        archives.unpack(tmp_path / "a.tar", tmp_path / "folder")
    info = zipfile.ZipInfo("link.wav")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(TaskError, match=r"link\.wav.* link or a device"):
        archives.unpack(tmp_path / "a.zip", tmp_path / "folder")


def test_leading_folders_are_stripped(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped({"top/wav/a.wav": b"1", "top/": b"", "readme": b"2"}))
    archives.unpack(tmp_path / "a.zip", tmp_path / "folder", strip=1)
    assert [str(p.relative_to(tmp_path / "folder")) for p in (tmp_path / "folder").rglob("*")] == ["wav", "wav/a.wav"]


@pytest.mark.parametrize("cut", [10, 200])
def test_a_truncated_tar_is_told(tmp_path, cut):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        content = os.urandom(5000)
        info = tarfile.TarInfo("a.wav")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    (tmp_path / "a.tar.gz").write_bytes((tmp_path / "a.tar.gz").read_bytes()[:-cut])
    with pytest.raises(TaskError, match=r"a\.tar\.gz: is truncated or no archive"):
        archives.unpack(tmp_path / "a.tar.gz", tmp_path / "folder")


def meld_clips(tmp_path):
    """A MELD folder of clips only, one macOS leftover among them."""
    home = layouts.meld(tmp_path / "data") / "MELD.Raw"
    for folder in layouts.MELD_FOLDERS.values():
        for path in list((home / folder).glob("dia*.wav")):
            path.rename(path.with_suffix(".mp4"))
    (home / layouts.MELD_FOLDERS["test"] / "._dia0_utt0.mp4").write_bytes(b"")
    return home


def test_without_ffmpeg_extract_says_what_to_install(tmp_path, monkeypatch, capsys):
    meld_clips(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["fetch", "meld", "--extract", *places(tmp_path)]) == 1
    assert "needs ffmpeg and ffprobe" in capsys.readouterr().err
    assert main(["fetch", "emodb", "--extract", *places(tmp_path)]) == 1
    assert "has audio files" in capsys.readouterr().err


def test_extract_takes_the_centre_of_5_1_and_names_what_cannot_be_read(tmp_path, monkeypatch, capsys):
    """With programs that stand for ffprobe and ffmpeg: a clip is its WAV renamed, told by its name what it has."""
    home = meld_clips(tmp_path)
    (tmp_path / "bin").mkdir()
    scripts = {
        "ffprobe": 'case "$*" in *train/*dia0_utt1.mp4) echo "moov atom not found" >&2; exit 1;; '
        "*dev/*) echo 2;; *) echo 6;; esac",
        "ffmpeg": f'echo "$*" >> {tmp_path}/calls; while [ "$1" != -i ]; do shift; done; in=$2; '
        "for out; do :; done; "
        'case "$in" in *train/*dia125_utt3*) echo "invalid data" >&2; exit 1;; esac; cp "$in" "$out"',
    }
    for name, script in scripts.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    assert main(["fetch", "meld", "--extract", *places(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "1 clips cannot be read" in said and "dia0_utt1.mp4: moov atom not found" in said and "dia125" not in said
    calls = (tmp_path / "calls").read_text().splitlines()
    assert len(calls) == 3 * 21 - 1 and not any("._" in call.split(" -i ")[1].split(" ")[0] for call in calls)
    assert all(("c0=c2" in call) == ("/dev/" not in call) for call in calls)
    assert all("0.500000*c0+0.500000*c1" in call for call in calls if "/dev/" in call)
    assert not list(home.rglob("*.part")) and len(list(home.rglob("dia*.wav"))) == 61
    assert corpora.extractor("meld")(home, None) != []  # what was done is not done again
    assert len((tmp_path / "calls").read_text().splitlines()) == len(calls) + 1  # the known-bad one alone is tried
