"""SHARDS: numbered folders that are parts of a numbering, and numbered folders that are classes."""

import pytest

from sparring.data.pictures.shards import are_shards


def folders(*names: str, size: int, file: str = "{whole}.png", last: int | None = None) -> dict[str, list[str]]:
    """So many files in each folder, called by their number there and among all."""
    sizes = [size] * (len(names) - 1) + [size if last is None else last]
    return {
        name: [file.format(whole=size * place + i, own=i, padded=f"{size * place + i:08}") for i in range(sizes[place])]
        for place, name in enumerate(names)
    }


FIVE = [f"{i:05}" for i in range(5)]
DIGITS = [str(i) for i in range(10)]


@pytest.mark.parametrize(
    "some",
    [
        folders(*FIVE, size=100, file="img{padded}.png"),
        folders(*FIVE, size=100, file="img{padded}.png", last=7),
        folders(*[f"{1000 * i:05}" for i in range(5)], size=1000, file="{padded}.png"),
        folders(*[f"{i:02}" for i in range(5)], size=50),
        folders(*FIVE, size=100, file="{own}.png"),
        folders(*FIVE, size=100, file="{own}.png", last=7),
        {"00000": ["0.png", "5.png"], "00001": ["10.png"], "00002": ["21.png", "22.png", "29.png"]},
        {"00001": ["1.png", "10.png"], "00002": ["11.png"], "00003": ["21.png", "30.png"]},
        {f"{i:03}": [f"{1000 * j + i}.jpg" for j in range(i + 1)] for i in range(6)},
    ],
    ids=[
        "StyleGAN",
        "a shorter last one",
        "FFHQ",
        "two digits",
        "numbered anew",
        "anew, a shorter last one",
        "some are missing",
        "counted from 1",
        "by the last digits",
    ],
)
def test_shards(some: dict[str, list[str]]) -> None:
    assert are_shards(some)


@pytest.mark.parametrize(
    "some",
    [
        folders(*DIGITS, size=100),
        folders(*DIGITS, size=100, file="{own}.png"),
        folders("00", "01", "02", size=100, file="{own}.png"),
        {f"{i:05}": [f"{j // 30:05}_{j % 30:05}.ppm" for j in range(30 * (i + 1))] for i in range(43)},
        {str(i): [f"{j}.png" for j in range(i, 330, 11)] for i in range(11)},
        {f"{i:02}": [f"{j}.png" for j in range(i, 330, 11)] for i in range(11)},
        folders("cats", "dogs", size=100),
        folders("00000", size=100),
        {"00000": ["a.png"] * 5, "00001": ["b.png"] * 9},
    ],
    ids=[
        "digits",
        "digits, numbered anew",
        "two digits, numbered anew",
        "traffic signs",
        "eleven",
        "eleven, two digits",
        "words",
        "one",
        "no numbers",
    ],
)
def test_classes(some: dict[str, list[str]]) -> None:
    assert not are_shards(some)
