"""A reporter for tests."""

from sparring.training.reporter import Silence


class Lines(Silence):
    """Keeps the lines that it is asked to print."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def print(self, text: str) -> None:
        self.lines.append(text)
