"""IDX files: what is read, what is refused and in which words; and `load` for paths."""

import gzip
import hashlib
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_pictures import idx
from numpy.typing import NDArray

import sparring.data.arrays.idx
from sparring.data import ImageSet, load
from sparring.data.arrays.idx import idx_sha256, images_from_idx, labels_from_idx, read_idx
from sparring.errors import DataError

IMAGES = (np.arange(84) * 37 % 256).astype(np.uint8).reshape(7, 4, 3)
LABELS = np.array([3, 0, 1, 2, 3, 0, 1], dtype=np.uint8)


def header(*shape: int) -> bytes:
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "some-images"


def refusal(path: Path, content: bytes) -> str:
    """The message with which a file of this content is refused; it names the file and is one line."""
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_idx(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", ["plain", "named.gz"])
@pytest.mark.parametrize("zipped", [False, True])
def test_reads_images_gzipped_or_not_whatever_the_name(tmp_path: Path, name: str, zipped: bool) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(idx(IMAGES)) if zipped else idx(IMAGES))
    assert np.array_equal(read_idx(path), IMAGES)
    images = images_from_idx(str(path))
    assert images.shape == (7, 4, 3, 1)
    assert images.dtype == np.uint8
    assert np.array_equal(images[..., 0], IMAGES)


def test_reads_more_than_one_piece(file: Path) -> None:
    array = np.random.default_rng(2).integers(0, 256, (3, 1000, 1000), dtype=np.uint8)
    for content in (idx(array), gzip.compress(idx(array), 1)):
        file.write_bytes(content)
        assert np.array_equal(read_idx(file), array)


def test_checksum_of_an_array_is_that_of_its_file() -> None:
    for array in (IMAGES, LABELS, np.asfortranarray(IMAGES)):
        assert idx_sha256(array) == hashlib.sha256(idx(array)).hexdigest()


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing-here is missing"):
        read_idx(tmp_path / "nothing-here")
    with pytest.raises(DataError, match="is not a file"):
        read_idx(tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        read_idx("a\0b")


WHOLE, ZIPPED = idx(IMAGES), gzip.compress(idx(IMAGES))
NO_IDX = "is not an IDX file: expected it to begin with 00 00 08, found"
REFUSED = [
    (b"", "is empty"),
    (gzip.compress(b""), "found nothing"),
    *((content, "a text file") for content in (b"hello, world", gzip.compress(b"hello, world"))),
    *((content, NO_IDX) for content in (b"\x89PNG\r\n\x1a\n", b"\0", gzip.compress(b"\0\x01\x08\x03" + bytes(40)))),
    (idx(IMAGES.astype(">f4"), kind=0x0D), "IDX type 0x0d, expected unsigned bytes (0x08)"),
    *((bytes([0, 0, 8, rank]) + bytes(4 * rank), f"rank {rank} ") for rank in (0, 9, 255)),
    (header(0, 28, 28), "holds no items: its header names the shape (0, 28, 28)"),
    (WHOLE[:-4], "cut short: expected 84 bytes after its header, found 80"),
    (gzip.compress(WHOLE[:-4]), "cut short: expected 84 bytes after its header, found 80"),
    (WHOLE[:10], "cut short: expected a header of 16 bytes, found 10"),
    (WHOLE + b"more", "too long: expected 84 bytes after its header, found at least 88"),
    (gzip.compress(WHOLE + b"more"), "too long: expected 84 bytes after its header, found at least 85"),
    (ZIPPED[:-8], "gzip data end early, expected 84 bytes inside, found 84"),
    (ZIPPED[:60], "gzip data end early, expected 84 bytes inside, found"),
    (ZIPPED[:12], "gzip data end before the IDX header does"),
    (ZIPPED[:-6] + b"\0" + ZIPPED[-5:], "is damaged: its gzip data cannot be unpacked"),  # the check sum
    (ZIPPED[:10] + b"\xff" * 60, "is damaged: its gzip data cannot be unpacked"),
]


@pytest.mark.parametrize(("content", "words"), REFUSED, ids=lambda part: part if isinstance(part, str) else "")
def test_other_content_is_refused_in_these_words(content: bytes, words: str, file: Path) -> None:
    assert words in refusal(file, content)


@pytest.mark.parametrize("zipped", [False, True])
def test_a_header_is_not_believed_before_the_bytes_are_there(file: Path, zipped: bool) -> None:
    for shape in ((4_000_000_000,), (60_000, 28_000, 4), (2**32 - 1,) * 8):
        content = header(*shape) + bytes(100)
        tracemalloc.start()
        refusal(file, gzip.compress(content) if zipped else content)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 8 << 20, shape


def test_promises_beyond_the_cap_are_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    huge = gzip.compress(header(60_000, 28_000, 28_000))
    assert "47,040,000,000,000 bytes, more than the limit of 8,589,934,592" in refusal(file, huge)
    monkeypatch.setattr(sparring.data.arrays.unpacked, "MAX_CONTENT", 83)
    assert "84 bytes, more than the limit of 83" in refusal(file, gzip.compress(idx(IMAGES)))


def test_a_gzip_bomb_is_not_unpacked_beyond_its_promise(file: Path) -> None:
    bomb = gzip.compress(header(10) + bytes(64 << 20), 9)
    tracemalloc.start()
    message = refusal(file, bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "too long: expected 10 bytes after its header, found at least 11" in message
    assert peak < 8 << 20


def test_the_wrong_kind_of_content(file: Path) -> None:
    file.write_bytes(idx(LABELS))
    with pytest.raises(DataError, match=r"holds labels \(rank 1\), expected images \(rank 3\)"):
        images_from_idx(file)
    file.write_bytes(idx(IMAGES))
    with pytest.raises(DataError, match=r"holds images \(rank 3\), expected labels \(rank 1\)"):
        labels_from_idx(file)
    file.write_bytes(idx(IMAGES[0]))
    with pytest.raises(DataError, match="holds an array of rank 2, expected images"):
        images_from_idx(file)


arrays = st.lists(st.integers(1, 5), min_size=1, max_size=3).flatmap(
    lambda shape: st.binary(min_size=int(np.prod(shape)), max_size=int(np.prod(shape))).map(
        lambda content: np.frombuffer(content, np.uint8).reshape(shape)
    )
)


@settings(max_examples=150, deadline=None)
@given(array=arrays, zipped=st.booleans(), data=st.data())
def test_every_truncation_is_refused(array: NDArray[np.uint8], zipped: bool, data: st.DataObject) -> None:
    whole = gzip.compress(idx(array)) if zipped else idx(array)
    length = data.draw(st.integers(0, len(whole) - 1))
    with TemporaryDirectory() as folder:
        refusal(Path(folder, "file"), whole[:length])


@settings(max_examples=150, deadline=None)
@given(array=arrays, data=st.data())
def test_every_changed_header_byte_is_refused(array: NDArray[np.uint8], data: st.DataObject) -> None:
    changed = bytearray(idx(array))
    changed[data.draw(st.integers(0, 3 + 4 * array.ndim))] ^= data.draw(st.integers(1, 255))
    with TemporaryDirectory() as folder:
        refusal(Path(folder, "file"), bytes(changed))


@settings(max_examples=200, deadline=None)
@given(array=arrays, data=st.data())
def test_any_changed_byte_of_a_gzip_is_refused_or_harmless(array: NDArray[np.uint8], data: st.DataObject) -> None:
    changed = bytearray(gzip.compress(idx(array), mtime=0))
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    with TemporaryDirectory() as folder:
        path = Path(folder, "file")
        path.write_bytes(bytes(changed))
        try:
            found = read_idx(path)
        except DataError:
            return
        assert np.array_equal(found, array)


def test_load_takes_the_path_of_an_images_file(tmp_path: Path) -> None:
    path = tmp_path / "train-images.idx3-ubyte"
    path.write_bytes(idx(IMAGES))
    images = load(str(path))
    assert images.name == images.source == str(path)
    assert images.labels is None
    assert images.class_names == ()
    assert np.array_equal(images.images[..., 0], IMAGES)


@pytest.mark.parametrize("images_name", ["my-images-idx3-ubyte", "my-images.idx3-ubyte.gz"])
@pytest.mark.parametrize("labels_name", ["my-labels-idx1-ubyte.gz", "my-labels.idx1-ubyte"])
def test_load_finds_the_labels_beside_the_images(tmp_path: Path, images_name: str, labels_name: str) -> None:
    (tmp_path / images_name).write_bytes(idx(IMAGES))
    (tmp_path / labels_name).write_bytes(gzip.compress(idx(LABELS)))
    found = load(str(tmp_path / images_name))
    assert found.labels is not None
    assert found.labels.tolist() == LABELS.tolist()
    assert found.class_names == ("0", "1", "2", "3")


def test_load_refuses_labels_that_do_not_fit(tmp_path: Path) -> None:
    (tmp_path / "my-images-idx3-ubyte").write_bytes(idx(IMAGES))
    (tmp_path / "my-labels-idx1-ubyte").write_bytes(idx(LABELS[:-1]))
    with pytest.raises(DataError, match=r"my-labels-idx1-ubyte holds 6 labels, but .*images-idx3-ubyte holds 7 images"):
        load(str(tmp_path / "my-images-idx3-ubyte"))


def test_load_takes_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(IMAGES)))
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(LABELS)))
    (folder / "t10k-images.idx3-ubyte").write_bytes(idx(IMAGES[:2]))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    train = load(str(folder))
    assert train.images.shape == (7, 4, 3, 1)
    assert train.labels is not None
    test = load("~/mine", "test")
    assert test.images.shape == (2, 4, 3, 1)
    assert test.labels is None


def test_load_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no pictures"):
        load(str(tmp_path), "test")
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(idx(IMAGES))
    with pytest.raises(DataError, match="is one file and has no test split"):
        load(str(path), "test")
    path.write_bytes(idx(LABELS))
    with pytest.raises(DataError, match="expected images"):
        load(str(path))


@pytest.mark.parametrize("given", ["", "nonsense", "no/such/file", "a\0b", "x" * 5000, "~nobody-of-that-name/x"])
def test_load_says_what_it_accepts(given: str) -> None:
    with pytest.raises(DataError) as caught:
        load(given)
    message = str(caught.value)
    assert message.startswith(repr(given))
    assert "expected a name (mnist, fashion-mnist, stacked-mnist), the path of an IDX file" in message
    assert "did you mean" not in message


@pytest.mark.parametrize(
    ("typed", "meant"), [("MNIST", "mnist"), ("mnits", "mnist"), ("fashion_mnist", "fashion-mnist")]
)
def test_load_suggests_the_nearest_name(typed: str, meant: str) -> None:
    with pytest.raises(DataError, match=f"did you mean '{meant}'"):
        load(typed)


def test_load_refuses_an_unknown_split() -> None:
    with pytest.raises(DataError, match="no split 'validation'"):
        load("mnist", "validation")  # type: ignore[arg-type]


def image_set(**changes: Any) -> ImageSet:
    fields: dict[str, Any] = {
        "name": "some",
        "images": IMAGES[..., np.newaxis],
        "labels": LABELS.astype(np.int32),
        "class_names": ("a", "b", "c", "d"),
        "source": "here",
    }
    return ImageSet(**(fields | changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": IMAGES[..., np.newaxis].astype(np.float32)}, "must be of type uint8, found float32"),
        ({"images": IMAGES}, r"must have the shape \(N, H, W, C\), found \(7, 4, 3\)"),
        ({"images": np.zeros((0, 4, 3, 1), np.uint8)}, "holds no images"),
        ({"labels": LABELS}, "must be of type int32, found uint8"),
        ({"labels": LABELS[:3].astype(np.int32)}, r"expected one label an image, shape \(7,\), found \(3,\)"),
        ({"labels": LABELS[:, np.newaxis].astype(np.int32)}, r"shape \(7,\), found \(7, 1\)"),
        ({"class_names": ("a", "b", "c")}, "labels run from 0 to 3, but there are 3 classes"),
        ({"labels": LABELS.astype(np.int32) - 1}, "labels run from -1 to 2"),
        ({"labels": None}, "names 4 classes but has no labels"),
    ],
)
def test_an_image_set_is_checked(changes: dict[str, Any], words: str) -> None:
    assert image_set().labels is not None
    with pytest.raises(DataError, match=words):
        image_set(**changes)


def test_checksum_is_the_identity_of_the_data() -> None:
    checksum = image_set().checksum()
    assert checksum == "9a456e6151bf6e3b38f3f4c65df17fc073620d4c6a495a491b5caf87e7ae5bd9"
    assert image_set(name="other", source="there", notice="!", class_names=tuple("efghi")).checksum() == checksum
    assert image_set(images=np.asfortranarray(IMAGES)[..., np.newaxis]).checksum() == checksum
    others = [
        image_set(images=IMAGES.reshape(7, 3, 4, 1)),
        image_set(images=IMAGES[::-1, ..., np.newaxis]),
        image_set(labels=LABELS[::-1].astype(np.int32)),
        image_set(labels=None, class_names=()),
    ]
    assert len({checksum, *(other.checksum() for other in others)}) == 5


def test_the_import_is_light() -> None:
    program = (
        "import sys, sparring; before = set(sys.modules); import sparring.data; "
        "print(*{'jax', 'flax', 'rich', 'mlxtend'} & (set(sys.modules) - before))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == ""
