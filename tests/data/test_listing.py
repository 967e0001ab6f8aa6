"""FILES of folders and archives: what is listed, what is skipped and why, what is passed over without a word."""

import os
import stat
import sys
import zipfile
from pathlib import Path

import pytest
from made_pictures import colourful, encoded, write_files, write_zip

from sparring.data.pictures.archive import list_zip
from sparring.data.pictures.decode import Unreadable
from sparring.data.pictures.folder import list_folder
from sparring.data.pictures.listing import Listing, shown
from sparring.errors import DataError

PICTURE = encoded(colourful())


def names(listing: Listing) -> list[str]:
    return [file.name for file in listing.files]


def reasons(listing: Listing) -> dict[str, str]:
    return {problem.name: problem.reason for problem in listing.skipped}


def test_a_folder_lists_what_is_in_it_in_order(tmp_path: Path) -> None:
    listing = list_folder(
        write_files(tmp_path, dict.fromkeys(["b.png", "a/z.png", "a/deep/er/1.png", "C.png"], PICTURE))
    )
    assert names(listing) == ["C.png", "a/deep/er/1.png", "a/z.png", "b.png"]
    assert listing.files[2].parts == ("a", "z.png")
    assert listing.files[2].read(8) == PICTURE[:8]
    assert (listing.skipped, listing.ignored) == ([], 0)


def test_what_systems_keep_for_themselves_is_passed_over(tmp_path: Path) -> None:
    junk = [".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX/._a.png", ".git/x.png", "cats/._a.png"]
    listing = list_folder(write_files(tmp_path / "folder", dict.fromkeys([*junk, "cats/a.png"], PICTURE)))
    assert names(listing) == ["cats/a.png"]
    assert (listing.skipped, listing.ignored) == ([], 6)
    packed = list_zip(write_zip(tmp_path / "all.zip", dict.fromkeys([*junk, "cats/a.png"], PICTURE)))
    assert names(packed) == ["cats/a.png"]
    assert (packed.skipped, packed.ignored) == ([], 6)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links_within_the_folder_are_followed_and_others_are_not(tmp_path: Path) -> None:
    secret = write_files(tmp_path / "secret", {"s.png": PICTURE, "more/t.png": PICTURE})
    folder = write_files(tmp_path / "folder", {"real/a.png": PICTURE})
    (folder / "inside.png").symlink_to(folder / "real" / "a.png")
    (folder / "again").symlink_to(folder / "real", target_is_directory=True)
    (folder / "out.png").symlink_to(secret / "s.png")
    (folder / "up.png").symlink_to("../secret/s.png")
    (folder / "outside").symlink_to(secret, target_is_directory=True)
    (folder / "broken.png").symlink_to(folder / "none.png")
    (folder / "real" / "round").symlink_to(folder, target_is_directory=True)
    listing = list_folder(folder)
    assert names(listing) == ["again/a.png", "inside.png", "real/a.png"]
    assert reasons(listing) == {
        "out.png": "a link out of the folder; --follow-links follows such links",
        "up.png": "a link out of the folder; --follow-links follows such links",
        "outside": "a link out of the folder; --follow-links follows such links",
        "broken.png": "a link to nothing",
        "real/round": "a link to a folder above it",
        "again/round": "a link to a folder above it",
    }


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links_out_of_the_folder_are_followed_if_asked(tmp_path: Path) -> None:
    write_files(tmp_path / "all", {"1.png": PICTURE, "2.png": PICTURE, "more/3.png": PICTURE})
    folder = write_files(tmp_path / "subset", {"cats/own.png": PICTURE})
    (folder / "cats" / "1.png").symlink_to("../../all/1.png")
    (folder / "dogs").symlink_to("../all/more", target_is_directory=True)
    (folder / "again").symlink_to(tmp_path / "all" / "more", target_is_directory=True)
    (folder / "up").symlink_to(tmp_path, target_is_directory=True)
    (folder / "round").symlink_to("round")
    (folder / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "all" / "more" / "back").symlink_to(folder, target_is_directory=True)
    listing = list_folder(folder, follow=True)
    assert names(listing) == ["again/3.png", "cats/1.png", "cats/own.png"]
    assert reasons(listing) == {
        "dogs": "a link to a folder that was reached by another link",
        "up": "a link to a folder above it",
        "again/back": "a link to a folder above it",
        "round": "cannot be read: Too many levels of symbolic links",
        "zero.png": "not a regular file",
    }


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_file_with_links_to_it_is_taken_once_by_the_name_of_the_link(tmp_path: Path) -> None:
    folder = write_files(tmp_path, {"blobs/0a1b": PICTURE, "blobs/2c3d": PICTURE, "real/x.png": PICTURE})
    for name, blob in (("cat/1.png", "0a1b"), ("dog/2.png", "2c3d")):
        link = folder / "snapshots" / "main" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(f"../../../blobs/{blob}")
    (folder / "favourites").symlink_to("real", target_is_directory=True)
    listing = list_folder(folder, follow=True)
    assert names(listing) == ["real/x.png", "snapshots/main/cat/1.png", "snapshots/main/dog/2.png"]
    assert listing.ignored == 3


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_followed_links_that_lead_to_very_much_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparring.data.pictures.folder.MOST_LINKED", 3)
    write_files(tmp_path / "all", {f"{i}/a.png": PICTURE for i in range(4)})
    folder = write_files(tmp_path / "subset", {"own.png": PICTURE})
    (folder / "all").symlink_to("../all", target_is_directory=True)
    with pytest.raises(DataError, match="more than 3 folders"):
        list_folder(folder, follow=True)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links_to_links_do_not_multiply(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "folder", {f"{i:02d}/a.png": PICTURE for i in range(12)})
    for i in range(11):
        for name in ("left", "right"):
            (folder / f"{i:02d}" / name).symlink_to(folder / f"{i + 1:02d}", target_is_directory=True)
    listing = list_folder(folder)
    assert len(listing.files) == 12 + 2 * 11
    assert reasons(listing)["00/left/right"] == "a link to a folder, in a folder reached by a link"


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_folder_that_is_a_link_itself_is_fine(tmp_path: Path) -> None:
    write_files(tmp_path / "real", {"a.png": PICTURE})
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    assert names(list_folder(tmp_path / "link")) == ["a.png"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes there")
def test_what_is_no_ordinary_file_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert reasons(list_folder(tmp_path)) == {"pipe.png": "not a regular file"}


def test_a_run_among_the_folders_is_skipped(tmp_path: Path) -> None:
    write_files(tmp_path, {"run/recipe.json": b"{}", "run/environment.json": b"{}", "run/grids/1.png": PICTURE})
    listing = list_folder(tmp_path)
    assert names(listing) == []
    assert reasons(listing) == {"run": "a run of Sparring, not pictures to train on"}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_in_any_encoding(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path)
    for name in (b"caf\xe9.png", "caf\u00e9.png".encode(), b"tab\there.png", b"two\nlines.png"):
        with open(os.path.join(folder, name), "wb") as file:  # noqa: PTH118, PTH123
            file.write(PICTURE)
    listing = list_folder(tmp_path)
    assert sorted(names(listing)) == sorted(["caf\\udce9.png", "caf\u00e9.png", "tab\\there.png", "two\\nlines.png"])
    assert all(file.read(8) == PICTURE[:8] for file in listing.files)


def test_shown_names_can_be_printed_anywhere() -> None:
    assert shown("\x1b[31mred\udcff\r\n") == "\\x1b[31mred\\udcff\\r\\n"
    assert shown("h\u00fcbsch \u732b") == "h\u00fcbsch \u732b"


def test_a_file_that_is_gone_is_a_reason(tmp_path: Path) -> None:
    listing = list_folder(write_files(tmp_path, {"a.png": PICTURE}))
    (tmp_path / "a.png").unlink()
    with pytest.raises(Unreadable, match="cannot be read: No such file"):
        listing.files[0].read(8)


# ------------------------------------------------------------------------------------------------ archives


def test_a_zip_lists_what_is_in_it(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"b.png": PICTURE, "a/": b"", "a/c.png": PICTURE, "./d.png": PICTURE})
    listing = list_zip(path)
    assert names(listing) == ["a/c.png", "b.png", "d.png"]
    assert listing.files[0].read(10**6) == PICTURE
    assert listing.files[0].read(8) == PICTURE[:8]


def test_zip_names_that_lead_elsewhere_are_skipped(tmp_path: Path) -> None:
    evil = ["../up.png", "a/../../up.png", "/etc/x.png", "C:/x.png", "c:x.png", "a\\b.png", "..\\up.png"]
    listing = list_zip(write_zip(tmp_path / "evil.zip", dict.fromkeys([*evil, "good.png"], PICTURE)))
    assert names(listing) == ["good.png"]
    assert {shown(name): reason for name, reason in reasons(listing).items()} == {
        "../up.png": "its name leads out of the archive",
        "a/../../up.png": "its name leads out of the archive",
        "/etc/x.png": "its name begins at the root of the disk",
        "C:/x.png": "its name begins with a drive",
        "c:x.png": "its name begins with a drive",
        "a\\b.png": "its name has a backslash",
        "..\\up.png": "its name has a backslash",
    }


def test_links_in_a_zip_are_skipped(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("link.png")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    assert reasons(list_zip(tmp_path / "a.zip")) == {"link.png": "a link"}


def test_encrypted_members_are_skipped(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"a.png": PICTURE})
    content = bytearray(path.read_bytes())
    content[6] |= 1  # the flag in the member's own header
    content[content.index(b"PK\1\2") + 8] |= 1  # and in the directory
    path.write_bytes(content)
    assert reasons(list_zip(path)) == {"a.png": "encrypted"}


def test_a_member_that_unpacks_to_far_too_much_is_skipped(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"bomb.bmp": bytes(8 << 20), "small.bmp": bytes(1 << 20)})
    listing = list_zip(path)
    assert names(listing) == ["small.bmp"]
    assert reasons(listing) == {"bomb.bmp": "it unpacks to 8,388,608 bytes, more than 200 times its size"}


def test_no_more_is_unpacked_than_is_asked_for(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"a.bmp": bytes(1 << 20)})
    assert len(list_zip(path).files[0].read(1000)) == 1000


def test_a_member_of_an_unknown_compression_is_a_reason(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"a.png": PICTURE})
    content = bytearray(path.read_bytes())
    content[8] = content[content.index(b"PK\1\2") + 10] = 97
    path.write_bytes(content)
    (file,) = list_zip(path).files
    with pytest.raises(Unreadable, match="cannot be unpacked"):
        file.read(8)


@pytest.mark.parametrize("content", [b"", b"PK\3\4 and no more", PICTURE])
def test_what_is_no_zip_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.zip is a damaged zip file"):
        list_zip(tmp_path / "a.zip")


def test_far_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {f"{i}.png": PICTURE for i in range(4)}
    monkeypatch.setattr("sparring.data.pictures.archive.MAX_FILES", 3)
    monkeypatch.setattr("sparring.data.pictures.folder.MAX_FILES", 3)
    with pytest.raises(DataError, match="holds 4 files, more than the 3"):
        list_zip(write_zip(tmp_path / "a.zip", files))
    with pytest.raises(DataError, match="holds more than 3 files"):
        list_folder(write_files(tmp_path / "folder", files))
