"""HOSTILE files, by the hundred: they are skipped with a reason or refused in one sentence, and never do any harm.

`benchmarks/fuzz_loaders.py` makes them. What it found, and what was found by thinking like an opponent, comes first.
"""

import dataclasses
import json
import os
import random
import struct
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import fuzz_loaders
import numpy as np
import pytest
from fuzz_loaders import Member, idx, zip_of
from made_pictures import colourful, encoded, gray, reasons, write_files
from PIL import Image

from sparring.data import Collection, ImageSet, Shaping, check, collect, load
from sparring.data.named import sets as named
from sparring.data.pictures import collection as pictures
from sparring.data.pictures import folder, index
from sparring.data.pictures.archive import list_zip
from sparring.data.pictures.decode import Unreadable, decode, look
from sparring.data.pictures.folder import list_folder
from sparring.data.pictures.labels import arrange
from sparring.data.pictures.listing import LONGEST_SHOWN, shown
from sparring.data.pictures.parallel import Budget, in_order
from sparring.errors import DataError
from sparring.recipes import named_recipe

pytestmark = pytest.mark.usefixtures("cache")
LONG_SECONDS = float(os.environ.get("SPARRING_FUZZ_SECONDS", "600"))
"""How long each loader is tried by the test that is marked `long`."""
INPUTS = {"folder": 20, "zip": 30, "npz": 30, "idx": 30, "cache": 20, "named": 30}
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is limited in Linux's way")
no_links = pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
PICTURE = encoded(colourful())


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


# ------------------------------------------------------------------------------------------------ folders


@no_links
def test_a_link_to_itself_stops_no_import(tmp_path: Path) -> None:
    write_files(tmp_path / "some", {"a.png": PICTURE, "z.png": PICTURE})
    (tmp_path / "some" / "loop").symlink_to("loop")
    collection = collect(str(tmp_path / "some"))
    assert collection.count == 2
    assert [problem.name for problem in collection.problems] == ["loop"]


def test_a_folder_that_may_not_be_entered_hides_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path / "some", {f"{name}/a.png": PICTURE for name in "abc"})

    def refuse(path: Path) -> bool:
        if path.name == "b":
            raise PermissionError(13, "Permission denied", str(path))
        return False

    monkeypatch.setattr(folder, "is_run", refuse)
    listing = list_folder(tmp_path / "some")
    assert [file.name for file in listing.files] == ["a/a.png", "c/a.png"]
    assert [(one.name, one.reason) for one in listing.skipped] == [("b", "cannot be opened: Permission denied")]


@on_linux
def test_folders_in_folders_are_as_deep_as_the_system_allows(tmp_path: Path) -> None:
    deepest = f"{tmp_path}/some" + "/d" * 800
    os.makedirs(deepest)  # noqa: PTH103 (a Path takes long for so many)
    write_files(tmp_path / "some", {"a.png": PICTURE})
    written(Path(deepest) / "b.png", PICTURE)
    began = time.monotonic()
    assert collect(str(tmp_path / "some")).count == 2
    assert time.monotonic() - began < 5


def test_names_of_thousands_of_folders_are_compared_at_once() -> None:
    deep = [(*("d",) * 30_000, name) for name in ("cat", "dog") for _ in range(100)]
    began = time.process_time()
    assert arrange(deep, "train", "set").class_names == ("cat", "dog")
    arrange([(), *deep], "train", "set")
    arrange([("train", *each) for each in deep], "train", "set")
    assert time.process_time() - began < 2


def test_the_middle_of_a_long_name_is_left_out() -> None:
    assert shown("a" * 70_000 + ".png") == "a" * (LONGEST_SHOWN // 2) + "..." + "a" * (LONGEST_SHOWN // 2 - 4) + ".png"


# ------------------------------------------------------------------------------------------------ archives


def test_members_without_a_name_are_passed_over(tmp_path: Path) -> None:
    names = (b"", b".", b"./", b"./.", b"a.png")
    path = written(tmp_path / "a.zip", zip_of([Member(name, PICTURE) for name in names]))
    listing = list_zip(path)
    assert [file.name for file in listing.files] == ["a.png"]
    assert collect(str(path)).count == 1


def test_two_members_of_one_name_are_two_pictures(tmp_path: Path) -> None:
    members = [Member(b"a.png", PICTURE), Member(b"a.png", encoded(gray())), Member(b"./a.png", encoded(gray(seed=1)))]
    path = written(tmp_path / "a.zip", zip_of(members))
    assert collect(str(path)).count == 3
    assert collect(str(path)).problems == ()


def test_a_member_that_begins_beyond_the_end_of_the_world_is_a_reason(tmp_path: Path) -> None:
    extra = struct.pack("<HHQ", 1, 8, 2**64 - 1)
    members = [Member(b"a.png", PICTURE), Member(b"b.png", PICTURE, 0, {"offset": 2**32 - 1}, extra)]
    path = written(tmp_path / "a.zip", zip_of(members))
    assert list(reasons(path)) == ["b.png"]
    assert "cannot be unpacked" in reasons(path)["b.png"]


def test_a_damaged_member_of_any_compression_is_a_reason(tmp_path: Path) -> None:
    content = zip_of([Member(b"a.png", PICTURE), Member(b"b.png", encoded(gray()), 14)])
    place = content.index(b"b.png") + 5
    path = written(tmp_path / "a.zip", content[: place + 9] + b"\xff" * 40 + content[place + 49 :])
    assert list(reasons(path)) == ["b.png"]
    assert "cannot be unpacked" in reasons(path)["b.png"]


# ------------------------------------------------------------------------------------------------ pictures


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (fuzz_loaders.jpeg_of_many_scans(600, 64), "it has more than 500 scans"),
        (fuzz_loaders.jpeg_of_many_segments(4000), "it has far too many parts"),
        (fuzz_loaders.png_of_many_chunks(6000), "it has far too many parts"),
        (fuzz_loaders.tiff_of_a_huge_tile(5000), "its tiles of 25,000,000 pixels are larger"),
        (fuzz_loaders.tiff_of_many_strips(300_000), "it has 300,000 tiles or strips, more than the limit of 262,144"),
    ],
    ids=["scans", "segments", "chunks", "a tile", "strips"],
)
def test_what_would_keep_a_decoder_busy_is_refused(content: bytes, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparring.data.pictures.decode._Counted.left", 10_000)  # so that the test is a short one
    with pytest.raises(Unreadable, match=words):
        look(content)
        decode(content)


def test_usual_pictures_of_many_parts_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparring.data.pictures.decode._Counted.left", 10_000)
    assert decode(fuzz_loaders.jpeg_of_many_scans(300, 64)).size == (64, 64)
    assert decode(fuzz_loaders.jpeg_of_many_segments(1000)).size == (16, 16)
    assert decode(fuzz_loaders.png_of_many_chunks(1000)).size == (2, 2)
    assert decode(fuzz_loaders.tiff_of_many_strips(1000)).size == (40, 30)
    assert decode(b"P5 120 100 99\n" + bytes(12_000)).size == (120, 100)  # read pixel by pixel
    assert decode(encoded(colourful(), "JPEG", progressive=True) + b"\xff\xda\0\0" * 1000).size == (40, 30)


def test_a_budget_is_never_exceeded() -> None:
    budget, lock = Budget(10), threading.Lock()
    taken, most = 0, 0

    def work(amount: int) -> int:
        nonlocal taken, most
        with budget.take(amount):
            with lock:
                taken += min(amount, 10)
                most = max(most, taken)
            time.sleep(0.001)
            with lock:
                taken -= min(amount, 10)
        return amount

    amounts = random.Random(0).choices(range(15), k=200)
    assert list(in_order(work, amounts, "")) == amounts
    assert most <= 10
    assert budget.left == 10


def test_large_pictures_are_decoded_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path / "some", {f"{i}.png": encoded(colourful(seed=i)) for i in range(8)})
    budget = Budget(1500)  # fewer than two of them have pixels
    monkeypatch.setattr(pictures, "DECODING", budget)
    left: list[int] = []

    def note(content: bytes, *options: Any) -> Image.Image:
        left.append(budget.left)
        return decode(content, *options)

    monkeypatch.setattr(pictures, "decode", note)
    assert load(str(tmp_path / "some")).images.shape == (8, 30, 40, 3)
    assert max(left) < 1500 - 40 * 30


def test_what_does_not_fit_into_memory_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    written(tmp_path / "some-images-idx3-ubyte", idx(2, 3, 4))
    monkeypatch.setattr("sparring.data.load_idx_file", fail)
    with pytest.raises(DataError, match=r"ubyte does not fit into memory$"):
        load(str(tmp_path / "some-images-idx3-ubyte"))
    monkeypatch.setattr(index, "_look", fail)
    write_files(tmp_path / "some", {"a.png": PICTURE})
    assert reasons(tmp_path / "some") == {"a.png": "it does not fit into memory"}


# ------------------------------------------------------------------------------------------------ arrays


def npy(header: str, content: bytes = b"", version: bytes = b"\1\0") -> bytes:
    length = struct.pack("<H" if version == b"\1\0" else "<I", len(header))
    return b"\x93NUMPY" + version + length + header.encode() + content


def header(kind: str, shape: str) -> str:
    return f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}}}"


IMAGES = npy(header("|u1", "(2, 3, 4)"), bytes(24))


@pytest.mark.parametrize(
    "content",
    [
        npy("{'descr': '|u1', 'shape': (2, '''"),  # which ends within a text
        npy(header("|u1", f"(0, {10**30}, 4)")),
        npy(header("|u1", "(-2, -3, 4)"), bytes(24)),
        npy("(" * 9000),
        npy("-" * 9999),
    ],
    ids=["no end", "huge and empty", "negative", "brackets", "signs"],
)
def test_a_header_that_cannot_be_understood_is_one_sentence(content: bytes, tmp_path: Path) -> None:
    path = written(tmp_path / "a.npz", zip_of([Member(b"images.npy", content)]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy's, of a header that looks as if Python 2 had written it
        with pytest.raises(DataError, match=r"a\.npz (is damaged|promises|does not fit)"):
            load(str(path))


def test_a_damaged_array_of_any_compression_is_one_sentence(tmp_path: Path) -> None:
    content = zip_of([Member(b"images.npy", npy(header("|u1", "(20, 30, 40)"), random.Random(0).randbytes(24000)), 14)])
    path = written(tmp_path / "a.npz", content[:2000] + b"\xff" * 2000 + content[4000:])
    with pytest.raises(DataError, match="damaged or no archive of plain arrays"):
        load(str(path))


def test_labels_of_characters_that_there_are_not_are_refused(tmp_path: Path) -> None:
    labels = npy(header("<U1", "(2,)"), b"\xff" * 8)
    path = written(tmp_path / "a.npz", zip_of([Member(b"images.npy", IMAGES), Member(b"labels.npy", labels)]))
    with pytest.raises(DataError, match="some labels are texts with invalid characters"):
        load(str(path))


def test_labels_that_cannot_be_printed_are_names_that_can(tmp_path: Path) -> None:
    labels = npy(header("<U1", "(2,)"), struct.pack("<II", 0xD800, 0x1B))
    path = written(tmp_path / "a.npz", zip_of([Member(b"images.npy", IMAGES), Member(b"labels.npy", labels)]))
    assert set(load(str(path)).class_names) == {"\\ud800", "\\x1b"}


def test_the_archive_of_keras_is_read_with_the_same_care(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("SPARRING_DATA", raising=False)
    monkeypatch.setitem(named.NAMED, "mnist", dataclasses.replace(named.NAMED["mnist"], sample=None))
    (tmp_path / "datasets").mkdir()
    huge = npy(header("|u1", f"({2**32}, 28, 28)"))
    for content, words in (
        (zip_of([Member(b"x_train.npy", huge)]), "promises 3,367,254,360,064 bytes of x_train and holds fewer"),
        (IMAGES, "damaged or no archive"),
        (zip_of([Member(b"x_train.npy", IMAGES), Member(b"y_train.npy", b"\x93NUMPY")]), "damaged or no archive"),
    ):
        written(tmp_path / "datasets" / "mnist.npz", content)
        with pytest.raises(DataError, match=words):
            load("mnist")


# ------------------------------------------------------------------------------------------------ the cache


@pytest.mark.parametrize("key", ["sha256", "height"])
def test_a_flipped_index_is_made_anew(key: str, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "YOUNG_NANOSECONDS", -(10**10))
    source = write_files(tmp_path / "some", {f"{i}.png": encoded(colourful(seed=i)) for i in range(3)})
    expected = load(str(source), shaping=Shaping(8)).checksum()
    (path,) = (cache / "images" / "index").iterdir()
    saved = json.loads(path.read_bytes())
    found = saved["files"]["1.png"][1]
    found[0 if key == "sha256" else 1] = "0" * 64 if key == "sha256" else 10**9
    path.write_text(json.dumps(saved))
    collection = collect(str(source), shaping=Shaping(8))
    assert collection.problems == ()
    assert collection.sizes == {(30, 40): 3}
    assert collection.images is not None and collection.images.checksum() == expected


@pytest.mark.parametrize(
    "change",
    [
        {"failed": [[99, "x"]]},
        {"failed": [[-1, "x"]]},
        {"failed": []},
        {"shape": [3, 4, 16, 3]},
        {"failed": [[1e400, ""]]},
    ],
    ids=["beyond", "negative", "none", "another shape", "infinite"],
)
def test_a_changed_store_is_made_anew(change: dict[str, Any], tmp_path: Path, cache: Path) -> None:
    files = {f"{i}.png": encoded(colourful(seed=i)) for i in range(3)} | {"cut.png": PICTURE[:-200]}
    source = write_files(tmp_path / "some", files)
    expected = load(str(source), shaping=Shaping(8)).checksum()
    for path in (cache / "images").glob("*/about.json"):
        path.write_text(json.dumps(json.loads(path.read_bytes()) | change))
    collection = collect(str(source), shaping=Shaping(8))
    assert [problem.name for problem in collection.problems] == ["cut.png"]
    assert collection.images is not None and collection.images.checksum() == expected


# ------------------------------------------------------------------------------------------------ `data check`


def checked(images: ImageSet) -> Collection:
    return pictures.collect_array(images, "some", Shaping())


def test_two_pictures_are_enough_for_a_command() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 1), np.uint8)
    some = ImageSet("some", images, None, (), "here")
    assert "--batch-size 2" in check.report(checked(some), Shaping(), named_recipe())["command"]


def test_a_sheet_of_thousands_of_classes_with_endless_names(tmp_path: Path) -> None:
    count = 30_000
    images = np.zeros((count, 2, 2, 1), np.uint8)
    names = tuple("m" * 50_000 if i == 0 else str(i) for i in range(count))
    began = time.monotonic()
    check.save_sheet(tmp_path / "a.png", ImageSet("some", images, np.arange(count, dtype=np.int32), names, "here"))
    assert time.monotonic() - began < 5


# ------------------------------------------------------------------------------------------------ chance


@on_linux
@pytest.mark.parametrize("name", INPUTS)
def test_chance_finds_nothing(name: str, tmp_path: Path) -> None:
    tally = fuzz_loaders.fuzz(name, 120, seed=0, keep_in=tmp_path, inputs=INPUTS[name])
    assert tally.findings == []
    assert tally.inputs == INPUTS[name]
    assert tally.outcomes["a"] + tally.outcomes["s"] > INPUTS[name] // 10
    assert set(INPUTS) == set(fuzz_loaders.LOADERS)


@on_linux
@pytest.mark.long
@pytest.mark.parametrize("name", INPUTS)
def test_ten_minutes_of_chance_find_nothing(name: str, tmp_path: Path) -> None:
    tally = fuzz_loaders.fuzz(name, LONG_SECONDS, seed=random.randrange(10**6), keep_in=tmp_path)
    assert tally.findings == []


BROKEN = """
import sys, time
from pathlib import Path
import fuzz_loaders
from sparring import data
collect = data.collect
fuzz_loaders.SECONDS_AN_INPUT = 1.0

def broken(source, *words, **more):
    if "/input" not in source: return collect(source, *words, **more)
    number = broken.number
    broken.number += 1
    if number == 0: raise ValueError("no sentence")
    if number == 1: Path(source).parent.joinpath("outside").write_text("")
    if number == 2: bytearray(8 << 30)
    if number == 3: sys.stdout.flush(); import os; os._exit(3)
    if number == 4: time.sleep(100)
    return collect(source, *words, **more)

broken.number = int(sys.argv[sys.argv.index("--first") + 1])
data.collect = broken
sys.exit(fuzz_loaders.main())
"""


@on_linux
def test_what_is_looked_for_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "broken.py"
    script.write_text(BROKEN)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(fuzz_loaders.__file__).parent), *sys.path]))
    monkeypatch.setattr(fuzz_loaders, "__file__", str(script))
    tally = fuzz_loaders.fuzz("idx", 120, seed=0, keep_in=tmp_path / "kept", inputs=6)
    words = (
        "ValueError: no sentence",
        "written outside the cache: open",
        "MemoryError",
        "died with status 3",
        "too long",
    )
    assert len(tally.findings) == len(words)
    for finding, expected in zip(tally.findings, words, strict=True):
        assert expected in finding
    assert tally.inputs == 6
    assert len(list((tmp_path / "kept").iterdir())) == 5
