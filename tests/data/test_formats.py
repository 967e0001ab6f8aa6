"""Files that are no pictures are called by their name, with what to do; sets of IDX files and NPY files are read."""

import bz2
import gzip
import io
import json
import lzma
import sqlite3
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_pictures import encoded, gray, idx, write_files, write_zip

from sparring.cli.main import main
from sparring.data import collect, has_pictures, load
from sparring.data.arrays.formats import KINDS, MAGIC, NAMES, kind_of
from sparring.errors import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 28, 28), np.uint8)
LABELS = (np.arange(12) % 3).astype(np.uint8)
PICKLED = b"\x80\x04]\x94K\x01a."
TABLE = b"label,pixel0,pixel1\n" + b"3,0,255\n" * 50


def tar(mode: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:  # type: ignore[call-overload]
        about = tarfile.TarInfo("a.png")
        about.size = 3
        archive.addfile(about, io.BytesIO(b"abc"))
    return file.getvalue()


def database() -> bytes:
    connection = sqlite3.connect(":memory:")
    connection.execute("create table pictures (content blob)")
    connection.commit()
    return connection.serialize()


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def torch_file() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("weights/data.pkl", PICKLED)
        archive.writestr("weights/data/0", bytes(100))
    return file.getvalue()


FILES: dict[str, tuple[bytes, str, str]] = {
    "x.csv": (TABLE, "CSV", "numpy.savez"),
    "x.tsv": (TABLE.replace(b",", b"\t"), "CSV", "numpy.savez"),
    "x.csv.gz": (gzip.compress(TABLE), "CSV", "numpy.savez"),
    "x.parquet": (b"PAR1" + bytes(200), "Parquet", "write them as files"),
    "x.mat": (b"MATLAB 5.0 MAT-file, Platform: GLNXA64".ljust(600), "MATLAB", "scipy.io.loadmat"),
    "v73.mat": (b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n" + bytes(99), "HDF5", "h5py"),
    "x.h5": (b"\x89HDF\r\n\x1a\n" + bytes(600), "HDF5", "h5py"),
    "x.tar": (tar("w"), "tar archive", "unpack it"),
    "x.tar.gz": (tar("w:gz"), "tar archive", "unpack it"),
    "x.tgz": (tar("w:gz"), "tar archive", "unpack it"),
    "x.tar.xz": (tar("w:xz"), "tar archive", "unpack it"),
    "x.bz2": (bz2.compress(b"abc"), "bzip2", "unpack it"),
    "x.xz": (lzma.compress(b"abc"), "xz", "unpack it"),
    "x.7z": (b"7z\xbc\xaf\x27\x1c" + bytes(60), "7-Zip", "unpack it"),
    "x.rar": (b"Rar!\x1a\x07\x01\x00" + bytes(60), "RAR", "unpack it"),
    "x.pkl": (PICKLED, "pickle", "never opened"),
    "x.pt": (PICKLED, "pickle", "never opened"),
    "data_batch_1.bin": (bytes([3]) + bytes(3072), "CIFAR", "numpy.savez"),
    "data_batch_2.bin": (bytes(3073), "CIFAR", "numpy.savez"),
    "x.mp4": (b"\0\0\0\x18ftypmp42" + bytes(200), "video", "ffmpeg"),
    "x.mkv": (b"\x1a\x45\xdf\xa3" + bytes(200), "video", "ffmpeg"),
    "x.pdf": (b"%PDF-1.7\n" + bytes(100), "PDF", "pdfimages"),
    "x.json": (json.dumps({"labels": []}).encode(), "JSON", "folder that holds the pictures"),
    "x.txt": (b"hello, these are no pictures\n", "a text", "folder that holds the pictures"),
    "noname": (b"hello, these are no pictures\n", "a text", "folder that holds the pictures"),
    "x.html": (b"<!DOCTYPE html><title>503</title>", "web page", "fetch it again"),
    "train-images-idx3-ubyte.gz": (b"\n <HTML><body>404", "web page", "fetch it again"),
    "lfs.npz.pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS", "git lfs pull"),
    "x.db": (database(), "SQLite", "numpy.savez"),
    "x.safetensors": (struct.pack("<Q", 2) + b"{}", "safetensors", "numpy.savez"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_called_what_it_is_with_what_to_do(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, what, to_do = FILES[name]
    path = write_files(tmp_path, {name: content}) / name
    assert main(["data", "check", str(path)]) == 2
    said = capsys.readouterr().err
    assert name in said and what in said and to_do in said
    assert "00 00 08" not in said


@pytest.mark.parametrize("name", [name for name in FILES if "folder that holds" not in FILES[name][2]])
def test_a_folder_that_holds_only_such_files_says_the_same(name: str, tmp_path: Path) -> None:
    if "images-idx3" in name:
        pytest.skip("is a damaged set of IDX files")
    content, what, to_do = FILES[name]
    write_files(tmp_path / "some", {name: content, "README.md": b"# data"})
    with pytest.raises(DataError) as caught:
        load(str(tmp_path / "some"))
    assert name in str(caught.value) and to_do in str(caught.value)
    assert what in str(caught.value) or name == "x.csv.gz"


def test_a_zip_without_pictures_says_what_is_in_it(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", {"train.parquet": b"PAR1" + bytes(100)})
    with pytest.raises(DataError, match=r"train\.parquet is a Parquet table"):
        load(str(path))
    write_files(tmp_path, {"weights.pt": torch_file()})
    with pytest.raises(DataError, match="holds no pictures"):
        load(str(tmp_path / "weights.pt"))


def test_other_files_beside_pictures_are_passed_over(tmp_path: Path) -> None:
    pictures = {f"{i}.png": encoded(gray(seed=i)) for i in range(3)}
    write_files(tmp_path / "some", pictures | {"labels.csv": TABLE, "x.parquet": b"PAR1"})
    assert collect(str(tmp_path / "some")).count == 3


def test_every_kind_has_words() -> None:
    assert {kind for _, _, kind in MAGIC} | set(NAMES.values()) <= set(KINDS)
    assert kind_of("x.png", b"") is None
    assert kind_of("x", bytes(100)) is None
    assert kind_of("x", bytes(range(128, 256))) is None


# ------------------------------------------------------------------------------------------------ NPY


def test_an_array_of_images_is_read(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.npy": npy(IMAGES), "b.npy": npy(np.stack([IMAGES, IMAGES[::-1], IMAGES], -1) / 255)})
    np.testing.assert_array_equal(load(str(tmp_path / "a.npy")).images[..., 0], IMAGES)
    assert load(str(tmp_path / "b.npy")).images.shape == (12, 28, 28, 3)
    assert not has_pictures(str(tmp_path / "a.npy"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (npy(IMAGES)[:-5], "damaged"),
        (npy(IMAGES) + b"more", "damaged"),
        (npy(IMAGES)[:20], "damaged"),
        (npy(np.array([{"code": 1}, None])), "Python objects"),
        (npy(np.arange(10)), "should have the shape"),
        (npy(IMAGES).replace(b"(12, 28, 28)", b"(1200000000000, 28)"), "damaged"),
    ],
)
def test_other_arrays_are_refused(content: bytes, words: str, tmp_path: Path) -> None:
    write_files(tmp_path, {"a.npy": content})
    with pytest.raises(DataError, match=words):
        load(str(tmp_path / "a.npy"))


# ------------------------------------------------------------------------------------------------ sets of IDX files


def parts_of(prefix: str = "", top: str = "", test: str = "test", own_folders: bool = False) -> dict[str, bytes]:
    found = {}
    for split, rows in (("train", slice(0, 8)), (test, slice(8, 12))):
        for what, array in (("images-idx3", IMAGES), ("labels-idx1", LABELS)):
            name = f"{prefix}{split}-{what}-ubyte"
            found[f"{top}{name}/{name}" if own_folders else f"{top}{name}"] = idx(array[rows])
    return found


LAYOUTS = {
    "emnist": parts_of("emnist-letters-"),
    "gzipped": {f"{name}.gz": gzip.compress(content) for name, content in parts_of("emnist-digits-").items()},
    "one top folder": parts_of(top="mnist/", test="t10k"),
    "torchvision": parts_of(top="MNIST/raw/", test="t10k")
    | {f"MNIST/raw/{name}.gz": gzip.compress(content) for name, content in parts_of(test="t10k").items()},
    "Kaggle": parts_of(test="t10k", own_folders=True),
    "Kaggle twice": parts_of(test="t10k", own_folders=True)
    | {name.replace("-idx", ".idx"): content for name, content in parts_of(test="t10k").items()},
    "dots": {name.replace("-idx", ".idx"): content for name, content in parts_of(test="t10k").items()},
    "MNIST": parts_of(test="t10k"),
    "hidden": parts_of(test="t10k", top="data/") | {"__MACOSX/data/._train-images-idx3-ubyte": b"x", ".DS_Store": b"x"},
}


@pytest.mark.parametrize("form", ["folder", "zip"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_idx_files_are_read_from_folders_and_zips(name: str, form: str, tmp_path: Path) -> None:
    files = LAYOUTS[name] | {"README.txt": b"hello"}
    source = str(write_files(tmp_path / "some", files) if form == "folder" else write_zip(tmp_path / "some.zip", files))
    training, test = load(source), load(source, "test")
    np.testing.assert_array_equal(training.images[..., 0], IMAGES[:8])
    np.testing.assert_array_equal(test.images[..., 0], IMAGES[8:])
    assert training.labels is not None and training.labels.tolist() == LABELS[:8].tolist()
    assert training.class_names == ("0", "1", "2")
    assert not has_pictures(source)


def test_idx_files_without_a_split_are_training_data(tmp_path: Path) -> None:
    source = str(write_files(tmp_path / "some", {"shapes-images-idx3-ubyte": idx(IMAGES)}))
    assert len(load(source).images) == 12
    with pytest.raises(DataError, match="holds no test images"):
        load(source, "test")


def test_several_sets_are_not_guessed_among(tmp_path: Path) -> None:
    files = parts_of("emnist-letters-") | parts_of("emnist-digits-")
    with pytest.raises(DataError, match="emnist-digits, emnist-letters"):
        load(str(write_files(tmp_path / "some", files)))
    files = parts_of(top="mnist/", test="t10k") | parts_of(top="fashion/", test="t10k")
    with pytest.raises(DataError, match="give the folder of one of them"):
        load(str(write_files(tmp_path / "two", files)))


def test_an_idx_file_among_pictures_changes_nothing(tmp_path: Path) -> None:
    pictures = {f"{i}.png": encoded(gray(seed=i)) for i in range(3)}
    source = str(write_files(tmp_path / "some", pictures | {"old/x-images-idx3-ubyte": idx(IMAGES)}))
    assert collect(source).count == 3
    assert has_pictures(source)


@pytest.mark.parametrize("cut", [3, 10, 500])
def test_a_damaged_member_is_a_sentence(cut: int, tmp_path: Path) -> None:
    files = parts_of(test="t10k")
    files["train-images-idx3-ubyte"] = files["train-images-idx3-ubyte"][:cut]
    with pytest.raises(DataError, match="train-images-idx3-ubyte"):
        load(str(write_zip(tmp_path / "some.zip", files)))
    labels = parts_of(test="t10k") | {"train-labels-idx1-ubyte": idx(LABELS)}
    with pytest.raises(DataError, match=r"12 labels, but .* 8 images"):
        load(str(write_zip(tmp_path / "other.zip", labels)))


def test_a_bomb_within_a_zip_is_refused(tmp_path: Path) -> None:
    bomb = struct.pack(">BBBB3I", 0, 0, 8, 3, 100_000, 28, 28) + bytes(100_000 * 784)
    for name, content in (("a-images-idx3-ubyte", bomb), ("b-images-idx3-ubyte.gz", gzip.compress(bomb))):
        path = write_zip(tmp_path / "some.zip", {name: content})
        with pytest.raises(DataError, match="more than 200 times its size"):
            load(str(path))
