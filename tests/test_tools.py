"""THE TOOLS: that the archive of the emoji is checked, and what is taken out of it."""

import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path

import fetch_emoji
import pytest
from fetch_emoji import LIST, PICTURES

LISTED = [
    {"image": "1f600.png", "category": "Smileys & Emotion"},
    {"image": "1f44b.png", "category": "People & Body", "skin_variations": {"1F3FB": {"image": "1f44b-1f3fb.png"}}},
]


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package like the real one, with three pictures and other things."""
    contents = {LIST: json.dumps(LISTED).encode(), "package/img/twitter/sheets/64.png": b"sheet"}
    contents |= {PICTURES + name: name.encode() for name in ("1f600.png", "1f44b.png", "1f44b-1f3fb.png", "notes.txt")}
    contents[PICTURES + "../../../../escaped.png"] = b"out"
    path = tmp_path / "package.tgz"
    with tarfile.open(path, "w:gz") as written:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            written.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo(PICTURES + "link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        written.addfile(link)
    monkeypatch.setattr(fetch_emoji, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def unpacked(monkeypatch: pytest.MonkeyPatch, folder: Path, *options: str) -> set[str]:
    monkeypatch.setattr(sys, "argv", ["fetch_emoji.py", str(folder), *options])
    fetch_emoji.main()
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_pictures_are_unpacked_and_the_licence_lies_beside_them(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = unpacked(monkeypatch, tmp_path / "emoji", "--archive", str(archive))
    assert found == {"1f600.png", "1f44b.png", "1f44b-1f3fb.png", "LICENCE.txt"}
    assert (tmp_path / "emoji" / "1f600.png").read_bytes() == b"1f600.png"
    assert "CC BY 4.0" in (tmp_path / "emoji" / "LICENCE.txt").read_text()
    out = capsys.readouterr().out
    assert "3 pictures in" in out and "CC BY 4.0" in out and fetch_emoji.PACKAGE in out


def test_kinds_are_folders_and_one_colour_of_skin_is_enough(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = unpacked(monkeypatch, tmp_path / "emoji", "--archive", str(archive), "--classes", "--one-skin")
    assert found == {"smileys-emotion/1f600.png", "people-body/1f44b.png", "LICENCE.txt"}


def test_another_archive_is_refused(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.write_bytes(archive.read_bytes() + b"more")
    with pytest.raises(SystemExit, match="is not emoji-datasource-twitter"):
        unpacked(monkeypatch, tmp_path / "emoji", "--archive", str(archive))
    assert not (tmp_path / "emoji").exists()


def test_a_folder_with_something_in_it_is_left_alone(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match="is there already"):
        unpacked(monkeypatch, tmp_path, "--archive", str(archive))


def test_without_npm_there_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="npm is not installed"):
        unpacked(monkeypatch, tmp_path / "emoji")
