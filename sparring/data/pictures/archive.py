"""A ZIP ARCHIVE of pictures, read where it lies: nothing is unpacked. No header of a member is believed unchecked."""

from __future__ import annotations

import re
import stat
import zipfile
from functools import partial
from pathlib import Path

from sparring.data.pictures.decode import MAX_BYTES, Unreadable
from sparring.data.pictures.listing import MAX_FILES, File, Listing, Problem, is_hidden, shown
from sparring.errors import DataError, reason

MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
"""How a zip file begins; the second one is empty."""
MAX_RATIO, LEAST_SUSPICIOUS = 200, 1 << 20
"""A member that unpacks to more than 1 MiB, and to more than 200 times its size, is a trap and no picture."""


def members(path: Path) -> list[str]:
    """The names of all members. Raises `DataError` where the archive cannot be opened."""
    with _opened(path) as archive:
        return archive.namelist()


def list_zip(path: Path) -> Listing:
    """The files in an archive. Raises `DataError` where it cannot be opened, or holds far too many."""
    archive = _opened(path)
    infos = archive.infolist()
    if len(infos) > MAX_FILES:
        raise DataError(f"{path} holds {len(infos):,} files, more than the {MAX_FILES:,} that are allowed")
    status = path.stat()
    changed = max(status.st_mtime_ns, status.st_ctime_ns)
    files: list[File] = []
    skipped: list[Problem] = []
    ignored = 0
    for info in infos:
        parts = tuple(part for part in info.orig_filename.split("/") if part not in ("", "."))
        if why := _refused_name(info.orig_filename):
            skipped.append(Problem(shown(info.orig_filename), why))
        elif not parts or any(map(is_hidden, parts)):
            ignored += not info.orig_filename.endswith("/")
        elif why := _refused(info):
            skipped.append(Problem(shown(info.orig_filename), why))
        elif not info.is_dir():
            stamp = (info.file_size, changed, status.st_size, info.header_offset, info.CRC)
            files.append(File(parts, stamp, partial(_read, archive, info)))
    return Listing(sorted(files, key=lambda file: file.parts), skipped, ignored)


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except MemoryError:
        raise DataError(f"the list of what is in {path} does not fit into memory") from None
    except Exception as error:  # zipfile raises whatever damaged bytes lead it to
        raise DataError(f"{path} is a damaged zip file ({reason(error)})") from None


def _refused_name(name: str) -> str | None:
    """Why a member called so is not looked at."""
    if "\\" in name:
        return "its name has a backslash"
    if name.startswith("/"):
        return "its name begins at the root of the disk"
    if re.match("[A-Za-z]:", name):
        return "its name begins with a drive"
    if ".." in name.split("/"):
        return "its name leads out of the archive"
    if "\0" in name:
        return "its name has a zero byte"
    return None


def _refused(info: zipfile.ZipInfo) -> str | None:
    """Why a member is not looked at."""
    if info.is_dir():
        return None
    if stat.S_ISLNK(info.external_attr >> 16):
        return "a link"
    if info.flag_bits & 1:
        return "encrypted"
    if info.file_size > LEAST_SUSPICIOUS and info.file_size > MAX_RATIO * info.compress_size:
        return f"it unpacks to {info.file_size:,} bytes, more than {MAX_RATIO} times its size"
    return None


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, most: int) -> bytes:
    try:
        with archive.open(info) as member:
            return member.read(min(most, MAX_BYTES + 1))
    except MemoryError:
        raise Unreadable("it does not fit into memory") from None
    except Exception as error:  # so does what unpacks
        raise Unreadable(f"cannot be unpacked: {reason(error)}") from None
