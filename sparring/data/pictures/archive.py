"""A ZIP ARCHIVE of pictures, read without unpacking it to disk. The headers of its members are not trusted."""

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
"""First bytes of a zip file and of an empty one."""
MAX_RATIO, LEAST_SUSPICIOUS = 200, 1 << 20
"""A member that unpacks to more than 1 MiB and to more than 200 times its size is refused as a zip bomb."""


def members(path: Path) -> list[str]:
    """The names of all members. Raises `DataError` if the archive cannot be opened."""
    with _opened(path) as archive:
        return archive.namelist()


def list_zip(path: Path) -> Listing:
    """List the files in an archive. Raises `DataError` if it cannot be opened or has too many files."""
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
        raise DataError(f"the list of the files in {path} does not fit into memory") from None
    except Exception as error:  # zipfile raises exceptions of many types for damaged files
        raise DataError(f"{path} is a damaged zip file ({reason(error)})") from None


def _refused_name(name: str) -> str | None:
    """The reason to refuse a member of this name, or None."""
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
    """The reason to refuse a member, or None."""
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
    except Exception as error:  # so do the decompressors
        raise Unreadable(f"cannot be unpacked: {reason(error)}") from None
