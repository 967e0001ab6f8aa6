"""Downloads, against a real server on this machine that misbehaves in every way that mirrors do."""

import gzip
import hashlib
import io
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sparring.data.named.download import Limits, fetch, no_progress, shown_progress
from sparring.errors import DataError, DownloadError

CONTENT = hashlib.shake_256(b"sparring").digest(600_000) + bytes(400_000)
FILE = gzip.compress(CONTENT, 1, mtime=0)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HALF = len(FILE) // 2

Handler = BaseHTTPRequestHandler
Answer = Callable[[Handler], None]


def whole(body: bytes = FILE, *, ranges: bool = True, piece: int = 1 << 20, pause: float = 0.0) -> Answer:
    """Sends everything, or what the Range header asks for."""

    def answer(handler: Handler) -> None:
        start = _range_start(handler) if ranges else 0
        if start >= len(body) and start:
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(body)}")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        handler.send_header("Content-Length", str(len(body) - start))
        handler.end_headers()
        for at in range(start, len(body), piece):
            handler.wfile.write(body[at : at + piece])
            time.sleep(pause)

    return answer


def cut_short(sent: int = HALF, body: bytes = FILE) -> Answer:
    """Promises the whole body, sends the first `sent` bytes of it and hangs up."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[:sent])

    return answer


def stalls(released: threading.Event, sent: int = HALF) -> Answer:
    """Sends the first `sent` bytes, then nothing until the test is over."""

    def answer(handler: Handler) -> None:
        cut_short(sent)(handler)
        handler.wfile.flush()
        released.wait(30)

    return answer


def status(code: int) -> Answer:
    def answer(handler: Handler) -> None:
        handler.send_response(code)
        handler.send_header("Content-Length", "4")
        handler.end_headers()
        handler.wfile.write(b"oops")

    return answer


def redirect(address: str) -> Answer:
    def answer(handler: Handler) -> None:
        handler.send_response(302)
        handler.send_header("Location", address)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def other_range(handler: Handler) -> None:
    """Answers a request for the rest with the wrong rest, and any other as it should."""
    if _range_start(handler) == 0:
        whole()(handler)
        return
    handler.send_response(206)
    handler.send_header("Content-Range", f"bytes 1-{len(FILE) - 1}/{len(FILE)}")
    handler.send_header("Content-Length", str(len(FILE) - 1))
    handler.end_headers()
    handler.wfile.write(FILE[1:])


def without_length(body: bytes) -> Answer:
    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def in_chunks(*chunks: bytes, end: bool = True) -> Answer:
    """Sends in HTTP's chunked coding; without `end` it hangs up before the last chunk."""

    def answer(handler: Handler) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.send_header("Connection", "close")
        handler.end_headers()
        for chunk in (*chunks, b"") if end else chunks:
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        if not end:
            handler.wfile.write(b"ffff\r\nnot so many")

    return answer


def hangs_up(handler: Handler) -> None:
    handler.close_connection = True


def _range_start(handler: Handler) -> int:
    asked = handler.headers.get("Range")
    return 0 if asked is None else int(asked.removeprefix("bytes=").removesuffix("-"))


@dataclass
class Mirror:
    """A server that gives its answers one after the other, the last one for ever."""

    address: str
    answers: list[Answer] = field(default_factory=list)
    ranges: list[str | None] = field(default_factory=list)
    """The Range header of each request that came."""

    @property
    def url(self) -> str:
        return f"{self.address}/file.gz"


@contextmanager
def mirror(*answers: Answer) -> Iterator[Mirror]:
    class ScriptedHandler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.ranges.append(self.headers.get("Range"))
            answer = state.answers.pop(0) if len(state.answers) > 1 else state.answers[0]
            try:
                answer(self)
                self.wfile.flush()
            except ConnectionError:
                pass  # the client has seen enough

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), ScriptedHandler)
    state = Mirror(f"http://127.0.0.1:{server.server_port}", list(answers))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def released() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def closed_port() -> str:
    """The address of a port on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}/file.gz"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "file.gz"


def get(destination: Path, *urls: str, timeout: float = 5.0, limit: int = 1 << 24) -> None:
    fetch(urls, destination, sha256=SHA256, limits=Limits(timeout=timeout, pause=0.0, size=limit))


def failure(destination: Path, *urls: str, timeout: float = 5.0, limit: int = 1 << 24) -> str:
    """The message of a download that fails as a whole; nothing has its final name then, nor is it one's own part."""
    with pytest.raises(DownloadError) as caught:
        get(destination, *urls, timeout=timeout, limit=limit)
    message = str(caught.value)
    assert message.startswith("file.gz could not be fetched: ")
    assert "\n" not in message
    assert all(url in message for url in urls)
    assert {path.name for path in destination.parent.iterdir()} <= {"file.gz.part"}
    return message


def assert_whole(destination: Path) -> None:
    """The file is there, right, and alone."""
    assert gzip.decompress(destination.read_bytes()) == CONTENT
    assert [path.name for path in destination.parent.iterdir()] == ["file.gz"]


def part(destination: Path) -> Path:
    return destination.with_name("file.gz.part")


def test_fetches_the_file(destination: Path) -> None:
    with mirror(whole()) as server:
        get(destination, server.url)
        assert server.ranges == [None]
        assert_whole(destination)
        get(destination, server.url)
        assert server.ranges == [None], "what is there and right is not fetched again"
    umask = os.umask(0)
    os.umask(umask)
    assert destination.stat().st_mode & 0o777 == 0o666 & ~umask, "others may read it"


def test_replaces_a_damaged_file(destination: Path) -> None:
    destination.parent.mkdir()
    destination.write_bytes(FILE[:-1])
    with mirror(whole()) as server:
        get(destination, server.url)
    assert_whole(destination)


def test_checks_the_content_not_the_wrapper(destination: Path) -> None:
    other_wrapper = gzip.compress(CONTENT, 9, mtime=1)
    assert other_wrapper != FILE
    for body in (other_wrapper, CONTENT):
        with mirror(whole(body)) as server:
            get(destination, server.url)
        assert destination.read_bytes() == body
        destination.unlink()


def test_checks_the_bytes_as_received_where_nothing_is_to_be_unpacked(destination: Path) -> None:
    with mirror(whole()) as server:
        with pytest.raises(DownloadError, match="wrong bytes"):
            fetch([server.url], destination, sha256=SHA256, unpack=False)
        fetch([server.url], destination, sha256=hashlib.sha256(FILE).hexdigest(), unpack=False)
    assert_whole(destination)


def test_a_slow_server_is_waited_for(destination: Path) -> None:
    with mirror(whole(piece=len(FILE) // 20, pause=0.06)) as server:
        get(destination, server.url, timeout=1.0)  # about 1.2 s in all, but never no data for long
        assert len(server.ranges) == 1
    assert_whole(destination)


def test_a_silent_server_is_given_up_for_the_next(destination: Path, released: threading.Event) -> None:
    with mirror(stalls(released)) as silent, mirror(whole()) as good:
        get(destination, silent.url, good.url, timeout=0.5)
        assert len(silent.ranges) == 1
        assert good.ranges == [f"bytes={HALF}-"], "what the first mirror sent is not fetched again"
    assert_whole(destination)


def test_a_server_that_never_answers_is_given_up(destination: Path, released: threading.Event) -> None:
    def says_nothing(handler: Handler) -> None:
        released.wait(30)

    with mirror(says_nothing) as silent:
        assert "(no data for 0.2 s)" in failure(destination, silent.url, timeout=0.2)
        released.set()
    assert not part(destination).exists()


def test_a_cut_is_mended_at_once(destination: Path) -> None:
    with mirror(cut_short(), whole()) as server:
        get(destination, server.url)
        assert server.ranges == [None, f"bytes={HALF}-"]
    assert_whole(destination)


def test_a_cut_is_mended_by_the_next_call(destination: Path) -> None:
    with mirror(cut_short()) as server:
        assert f"{server.url} (cut short" in failure(destination, server.url)
        assert len(server.ranges) == 3
    assert part(destination).read_bytes() == FILE[:HALF]
    with mirror(whole()) as server:
        get(destination, server.url)
        assert server.ranges == [f"bytes={HALF}-"]
    assert_whole(destination)


def test_tries_are_bounded(destination: Path) -> None:
    with mirror(hangs_up) as server:
        assert "(connection lost)" in failure(destination, server.url)
        assert len(server.ranges) == 3


def test_a_server_without_ranges_sends_everything_again(destination: Path) -> None:
    with mirror(cut_short(), whole(ranges=False)) as server:
        get(destination, server.url)
        assert server.ranges == [None, f"bytes={HALF}-"]
    assert_whole(destination)


def test_a_server_that_sends_another_range_is_asked_again(destination: Path) -> None:
    destination.parent.mkdir()
    part(destination).write_bytes(FILE[:HALF])
    with mirror(other_range) as server:
        get(destination, server.url)
        assert server.ranges == [f"bytes={HALF}-", None]
    assert_whole(destination)


def test_a_part_that_was_whole_already_is_used(destination: Path) -> None:
    destination.parent.mkdir()
    part(destination).write_bytes(FILE)
    with mirror(whole()) as server:
        get(destination, server.url)
        assert server.ranges == [f"bytes={len(FILE)}-"], "one answer of 416, nothing fetched"
    assert_whole(destination)


@pytest.mark.parametrize("length", [HALF, len(FILE), len(FILE) + 7])
def test_a_part_of_another_file_is_thrown_away(destination: Path, length: int) -> None:
    destination.parent.mkdir()
    part(destination).write_bytes(b"\x1f\x8b" + b"?" * (length - 2))
    with mirror(whole()) as server:
        get(destination, server.url)
        assert server.ranges == [f"bytes={length}-", None]
    assert_whole(destination)


def test_a_part_from_a_mirror_with_another_wrapper_is_thrown_away(destination: Path) -> None:
    other_wrapper = gzip.compress(CONTENT, 9, mtime=1)
    with mirror(cut_short(), status(403)) as first, mirror(whole(other_wrapper)) as second:
        get(destination, first.url, second.url)
        assert second.ranges == [f"bytes={HALF}-", None]
    assert destination.read_bytes() == other_wrapper


def test_wrong_bytes_are_removed_and_the_next_mirror_is_asked(destination: Path) -> None:
    wrong = gzip.compress(b"something else")
    with mirror(whole(wrong)) as first, mirror(whole()) as second:
        get(destination, first.url, second.url)
        assert len(first.ranges) == 1
        assert second.ranges == [None]
        assert_whole(destination)
        destination.unlink()
        message = failure(destination, first.url)
    assert "wrong bytes: expected SHA-256 " + SHA256 in message
    assert hashlib.sha256(b"something else").hexdigest() in message
    assert list(destination.parent.iterdir()) == []


@pytest.mark.parametrize("body", [b"", b"<html>Sign in to this network</html>", FILE[:-9], b"\x1f\x8b" + b"?" * 50])
def test_a_wrong_answer_that_claims_to_be_whole(destination: Path, body: bytes) -> None:
    with mirror(whole(body)) as server:
        assert "wrong bytes: " in failure(destination, server.url)
    assert list(destination.parent.iterdir()) == []


def test_an_answer_without_a_length(destination: Path) -> None:
    with mirror(without_length(FILE)) as server:
        get(destination, server.url)
    assert_whole(destination)
    destination.unlink()
    with mirror(without_length(FILE[:HALF])) as server:
        assert "wrong bytes: damaged gzip data" in failure(destination, server.url)


def test_an_answer_in_chunks(destination: Path) -> None:
    with mirror(in_chunks(FILE[:HALF], end=False), in_chunks(FILE[:HALF], FILE[HALF:])) as server:
        get(destination, server.url)
        assert server.ranges[0] is None
        assert server.ranges[1] is not None
        assert len(server.ranges) == 2
    assert_whole(destination)


def test_a_refused_connection(destination: Path, closed_port: str) -> None:
    with mirror(whole()) as good:
        get(destination, closed_port, good.url)
    assert_whole(destination)
    destination.unlink()
    assert "(connection refused)" in failure(destination, closed_port)


@pytest.mark.parametrize(
    ("code", "words"), [(404, "HTTP 404 Not Found"), (403, "HTTP 403 Forbidden"), (416, "HTTP 416")]
)
def test_an_answer_that_will_not_change_is_not_asked_for_again(destination: Path, code: int, words: str) -> None:
    with mirror(status(code)) as bad:
        assert words in failure(destination, bad.url)
        assert len(bad.ranges) == 1
        with mirror(whole()) as good:
            get(destination, bad.url, good.url)
    assert_whole(destination)


@pytest.mark.parametrize("code", [500, 503, 429])
def test_a_server_in_trouble_is_asked_again(destination: Path, code: int) -> None:
    with mirror(status(code), whole()) as server:
        get(destination, server.url)
        assert len(server.ranges) == 2
    assert_whole(destination)


def test_every_mirror_is_listed_with_its_reason(destination: Path, closed_port: str, released: threading.Event) -> None:
    with mirror(status(404)) as gone, mirror(stalls(released, 0)) as silent, mirror(whole(b"!")) as wrong:
        message = failure(destination, gone.url, silent.url, wrong.url, closed_port, timeout=0.2)
        assert (
            f"{gone.url} (HTTP 404 Not Found); {silent.url} (no data for 0.2 s); {wrong.url} (wrong bytes: " in message
        )
        assert message.endswith(f"; {closed_port} (connection refused)")


def test_no_mirror_at_all(destination: Path) -> None:
    assert "no mirror is known" in failure(destination)


@pytest.mark.parametrize(
    "url", ["file:///etc/hostname", "ftp://127.0.0.1/x", "data:,x", "/etc/hostname", "http://", "http://a:b/c", ""]
)
def test_only_http_and_https(destination: Path, url: str) -> None:
    with pytest.raises(DataError, match="only http and https addresses are accepted"):
        get(destination, "http://127.0.0.1:9/never-asked", url)
    assert not destination.parent.exists()


def test_redirections(destination: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(FILE)
    with mirror(whole()) as good, mirror(redirect(good.url)) as server:
        get(destination, server.url)
        assert_whole(destination)
        destination.unlink()
    for address in (secret.as_uri(), "ftp://127.0.0.1/file.gz", "data:,x"):
        with mirror(redirect(address)) as server:
            failure(destination, server.url)
    with mirror(redirect("/file.gz")) as server:
        assert "HTTP 302 Found" in failure(destination, server.url)


def test_sizes_are_limited(destination: Path) -> None:
    with mirror(whole()) as server:
        assert "larger than 1000 bytes" in failure(destination, server.url, limit=1000)
    bomb = gzip.compress(bytes(8 << 20), 9)
    with mirror(whole(bomb)) as server:
        assert "wrong bytes: more than 100000 when unpacked" in failure(destination, server.url, limit=100_000)
    assert list(destination.parent.iterdir()) == []


def test_a_part_beyond_the_limit_is_thrown_away(destination: Path) -> None:
    destination.parent.mkdir()
    part(destination).write_bytes(bytes(len(FILE) - 1))
    with mirror(whole(FILE + b"?"), whole()) as server:
        get(destination, server.url, limit=len(CONTENT))
    assert_whole(destination)
    destination.unlink()
    part(destination).write_bytes(bytes(len(CONTENT)))
    with mirror(whole(bytes(len(CONTENT) + 9)), whole()) as server:
        get(destination, server.url, limit=len(CONTENT))
        assert server.ranges == [f"bytes={len(CONTENT)}-", None]
    assert_whole(destination)


def test_progress_is_told(destination: Path) -> None:
    told: list[tuple[int, int | None]] = []
    destination.parent.mkdir()
    part(destination).write_bytes(FILE[:HALF])
    with mirror(whole(piece=50_000)) as server:
        fetch([server.url], destination, sha256=SHA256, progress=lambda *now: told.append(now))
    assert [received for received, _ in told] == sorted({received for received, _ in told})
    assert told[0][0] > HALF
    assert told[-1] == (len(FILE), len(FILE))
    assert {expected for _, expected in told} == {len(FILE)}


def test_an_interruption_leaves_only_a_part(destination: Path) -> None:
    def interrupt(received: int, expected: int | None) -> None:
        raise KeyboardInterrupt

    with mirror(whole(piece=100_000)) as server:
        with pytest.raises(KeyboardInterrupt):
            fetch([server.url], destination, sha256=SHA256, progress=interrupt)
        assert [path.name for path in destination.parent.iterdir()] == ["file.gz.part"]
        received = part(destination).read_bytes()
        assert 0 < len(received) < len(FILE)
        assert FILE.startswith(received)
        get(destination, server.url)
        assert server.ranges[1:] == [f"bytes={len(received)}-"]
    assert_whole(destination)


def test_two_at_once_do_not_harm_each_other(destination: Path) -> None:
    errors: list[BaseException] = []

    def work(url: str) -> None:
        try:
            get(destination, url)
        except BaseException as error:
            errors.append(error)

    with mirror(whole(piece=len(FILE) // 10, pause=0.02)) as server:
        threads = [threading.Thread(target=work, args=(server.url,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert None in server.ranges
    assert_whole(destination)


@pytest.mark.skipif(sys.platform == "win32", reason="no file locks of this kind on Windows")
def test_a_part_in_use_is_left_alone(destination: Path) -> None:
    import fcntl

    destination.parent.mkdir()
    part(destination).write_bytes(b"another process writes here")
    with part(destination).open("rb+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with mirror(whole()) as server:
            get(destination, server.url)
            assert server.ranges == [None]
        assert destination.read_bytes() == FILE
        destination.unlink()
        with mirror(cut_short(), status(404)) as server:
            failure(destination, server.url)
    assert part(destination).read_bytes() == b"another process writes here"
    assert sorted(path.name for path in destination.parent.iterdir()) == ["file.gz.part"]


def test_a_place_that_cannot_be_written(tmp_path: Path, destination: Path) -> None:
    destination.parent.write_bytes(b"a file where the folder should be")
    with pytest.raises(DownloadError, match="could not be written"):
        get(destination, "http://127.0.0.1:9/never-asked")


def test_progress_off_a_terminal_is_one_plain_line(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_progress("digits") as progress:
        assert progress is no_progress
        progress(1, 2)
    assert capsys.readouterr() == ("", "Fetching digits\n")


def test_progress_on_a_terminal_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with shown_progress("[bold]digits") as progress:
        progress(500_000, None)
        progress(1_000_000, 2_000_000)
    shown = terminal.getvalue()
    assert "[bold]digits" in shown
    assert "1.0/2.0 MB" in shown
