"""FORMATS of files, recognised by their first bytes and names, and advice for those that are not pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import PurePath

READ = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".gif", ".bmp", ".webp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
)
FOREIGN = (
    *(".heic", ".heif", ".avif", ".jxl", ".jp2", ".svg", ".psd", ".ico", ".tga", ".exr"),
    *(".dng", ".cr2", ".nef", ".arw"),
)
ENDINGS = READ + FOREIGN
"""Endings of pictures. A file with one that is not a picture is reported; other files are ignored."""

ARRAYS = "load it in Python and save its images as an array (N, H, W, C) with numpy.savez('images.npz', images=...)"
UNPACK = "unpack it, and give the folder that it becomes"
NEEDED = "give the folder that holds the pictures"

KINDS: dict[str, tuple[str, str]] = {
    "csv": ("a table of text (CSV)", ARRAYS),
    "parquet": ("a Parquet table", f"its pictures have to be taken out of it: write them as files, or {ARRAYS}"),
    "arrow": ("an Arrow table", f"its pictures have to be taken out of it: write them as files, or {ARRAYS}"),
    "matlab": ("a MATLAB file", ARRAYS.replace("in Python", "with scipy.io.loadmat")),
    "hdf5": ("an HDF5 file", ARRAYS.replace("in Python", "with h5py")),
    "tfrecord": ("a TFRecord file", ARRAYS),
    "lmdb": ("an LMDB database", ARRAYS),
    "torch": ("a file of PyTorch", ARRAYS.replace("in Python", "with torch.load and weights_only=True")),
    "pickle": ("a Python pickle, which can hold code and is never opened", ARRAYS),
    "safetensors": ("a safetensors file", ARRAYS),
    "cifar": ("perhaps a binary file of CIFAR: it has no header", ARRAYS),
    "npy": ("a damaged NumPy array", "save it again"),
    "npz": ("a damaged NPZ file", "save it again"),
    "tar": ("a tar archive", UNPACK),
    "gzip": ("a file packed with gzip", UNPACK),
    "bzip2": ("a file packed with bzip2", UNPACK),
    "xz": ("a file packed with xz", UNPACK),
    "zstd": ("a file packed with zstd", UNPACK),
    "7z": ("a 7-Zip archive", UNPACK),
    "rar": ("a RAR archive", UNPACK),
    "zip": ("a damaged zip file", "fetch it again"),
    "video": ("a video", "take single pictures out of it: ffmpeg -i VIDEO frames/%06d.png"),
    "sound": ("a sound file", NEEDED),
    "pdf": ("a PDF document", "take the pictures out of it: pdfimages -png DOCUMENT pictures/p"),
    "html": ("a web page, perhaps an error that was saved in place of the file", "fetch it again"),
    "json": ("a JSON file", NEEDED),
    "xml": ("an XML file", NEEDED),
    "text": ("a text file", NEEDED),
    "onnx": ("an ONNX network", NEEDED),
    "program": ("a program", NEEDED),
    "database": ("an SQLite database", ARRAYS),
    "office": ("an office document", "save the pictures in it as files"),
    "lfs": ("a pointer of Git LFS, not the file itself", "fetch the file: git lfs pull"),
}
"""Kind -> (description, advice)."""

MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"version https://git-lfs", "lfs"),
    (0, b"\x93NUMPY", "npy"),
    (0, b"PAR1", "parquet"),
    (0, b"ARROW1", "arrow"),
    (0, b"MATLAB 5.0", "matlab"),
    (0, b"\x89HDF\r\n\x1a\n", "hdf5"),
    (512, b"\x89HDF\r\n\x1a\n", "hdf5"),
    (257, b"ustar", "tar"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"BZh", "bzip2"),
    (0, b"\xfd7zXZ\0", "xz"),
    (0, b"\x28\xb5\x2f\xfd", "zstd"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (0, b"Rar!\x1a\x07", "rar"),
    (0, b"PK\x03\x04", "zip"),
    (4, b"ftyp", "video"),
    (0, b"\x1a\x45\xdf\xa3", "video"),
    (8, b"AVI ", "video"),
    (8, b"WAVE", "sound"),
    (0, b"ID3", "sound"),
    (0, b"OggS", "sound"),
    (0, b"fLaC", "sound"),
    (0, b"%PDF", "pdf"),
    (0, b"\x7fELF", "program"),
    (0, b"MZ", "program"),
    (0, b"SQLite format 3", "database"),
    (0, b"\xd0\xcf\x11\xe0", "office"),
    *((0, b"\x80" + bytes([version]), "pickle") for version in (2, 3, 4, 5)),
)
"""(offset, bytes at the offset, kind)."""
BEGINNINGS = (
    ("<!doctype html", "html"),
    ("<html", "html"),
    ("<?xml", "xml"),
    ("{", "json"),
    ("[", "json"),
)
"""(beginning of a text in lower case, kind)."""
NAMES: dict[str, str] = {
    **dict.fromkeys((".csv", ".tsv"), "csv"),
    **dict.fromkeys((".mat",), "matlab"),
    **dict.fromkeys((".h5", ".hdf5", ".hdf", ".keras"), "hdf5"),
    **dict.fromkeys((".pt", ".pth", ".ckpt"), "torch"),
    **dict.fromkeys((".pkl", ".pickle", ".joblib"), "pickle"),
    **dict.fromkeys((".tfrecord", ".tfrecords"), "tfrecord"),
    **dict.fromkeys((".mdb", ".lmdb"), "lmdb"),
    **dict.fromkeys((".arrow", ".feather"), "arrow"),
    **dict.fromkeys((".tar", ".tgz", ".tbz2", ".txz"), "tar"),
    **dict.fromkeys((".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg"), "video"),
    **dict.fromkeys((".wav", ".mp3", ".flac", ".ogg"), "sound"),
    **dict.fromkeys((".json", ".jsonl", ".ndjson"), "json"),
    **dict.fromkeys((".txt", ".md", ".rst", ".yaml", ".yml"), "text"),
    **dict.fromkeys((".doc", ".docx", ".xls", ".xlsx", ".ppt", ".pptx", ".odt"), "office"),
    ".parquet": "parquet",
    ".npy": "npy",
    ".npz": "npz",
    ".safetensors": "safetensors",
    ".onnx": "onnx",
    ".bin": "cifar",
    ".zip": "zip",
    ".7z": "7z",
    ".rar": "rar",
    ".gz": "gzip",
    ".bz2": "bzip2",
    ".xz": "xz",
    ".zst": "zstd",
    ".pdf": "pdf",
    ".xml": "xml",
    ".html": "html",
    ".htm": "html",
}
"""Endings that are more specific than the first bytes, or of formats without a magic number."""
CONTAINERS = {"gzip": ("tar",), "zip": ("torch", "office", "hdf5"), "bzip2": ("tar",), "xz": ("tar",), "zstd": ("tar",)}
"""Kinds of containers -> kinds of content that the name may specify."""
MOST_ASKED = 100
"""Files of a folder without pictures whose kind is determined."""
LOOKED_AT = 520
"""First bytes needed to recognise a kind."""


def kind_of(name: str, head: bytes) -> str | None:
    """The kind of a file that is not a picture, by its first bytes or its name; None if unknown."""
    path = PurePath(name.lower())
    packed = path.suffix in (".gz", ".bz2", ".xz", ".zst")
    named = "tar" if ".tar" in path.suffixes else NAMES.get(PurePath(path.stem).suffix if packed else path.suffix)
    found = next((kind for place, magic, kind in MAGIC if head[place : place + len(magic)] == magic), None)
    if found is not None:
        return named if named is not None and (packed or named in CONTAINERS.get(found, ())) else found
    if not head or b"\0" in head:
        return named if head and named not in ("csv", "json", "text", "xml", "html") else None
    text = head.decode("latin-1").lstrip("\ufeff\xef\xbb\xbf \t\r\n").lower()
    begins = next((kind for beginning, kind in BEGINNINGS if text.startswith(beginning)), None)
    return begins or named or ("text" if _is_text(head) else None)


def advice(kind: str) -> str:
    """Description and advice, such as "a table of text (CSV): load it in Python ..."."""
    what, to_do = KINDS[kind]
    return f"{what}: {to_do}"


def kinds_words(files: Sequence[tuple[str, Callable[[int], bytes]]]) -> str:
    """The most frequent kind of files (name, function that reads n bytes), with advice, as the end of a sentence.

    Empty if no kind is known.
    """
    first: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for name, read in files[:MOST_ASKED]:
        try:
            kind = kind_of(name, read(LOOKED_AT))
        except Exception:  # unreadable files are reported elsewhere
            continue
        if kind is not None and KINDS[kind][1] != NEEDED:
            counts[kind] += 1
            first.setdefault(kind, name)
    if not counts:
        return ""
    ((kind, _),) = counts.most_common(1)
    return f"; {first[kind]} is {advice(kind)}"


def _is_text(head: bytes) -> bool:
    try:
        head[:-3].decode()
    except UnicodeDecodeError:
        return False
    return len(head) > len(head[:-3]) > 0
