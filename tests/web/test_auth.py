"""Access control, tested with raw requests to a server process. Unauthenticated clients get no data."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from sparring.runs.run import Run
from sparring.web import server
from sparring.web.auth import MAX_BODY_BYTES

pytest.importorskip("starlette", reason="needs the extra `watch`")
pytest.importorskip("uvicorn", reason="needs the extra `watch`")

SECRET = b"the secret of another folder"


@dataclass(frozen=True)
class Served:
    port: int
    token: str
    place: str
    """The secret path prefix."""
    folder: Path

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def cookie(self) -> str:
        return f"sparring-{self.port}={self.token}"

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
        """Status and body; with the host and the cookie, unless other ones are said."""
        status, _, body = self.ask(path, method, **headers)
        return status, body

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        path = path if path.startswith("/?") else self.place + path
        sent = {"host": self.host, "cookie": self.cookie} | {k.replace("_", "-"): v for k, v in headers.items()}
        head = "".join(f"{name}: {value}\r\n" for name, value in sent.items() if value)
        return self.raw(f"{method} {path} HTTP/1.1\r\n{head}connection: close\r\n\r\n".encode())

    def raw(self, request: bytes, seconds: float = 10.0) -> tuple[int, dict[str, str], bytes]:
        """What is answered to these bytes; status 0 where that is nothing."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may hang up before all is sent
                connection.sendall(request)
            answer = http.client.HTTPResponse(connection, method=request[:4].decode("latin-1").strip())
            try:
                with contextlib.closing(answer):
                    answer.begin()
                    return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
            except (http.client.HTTPException, ConnectionResetError):
                return 0, {}, b""

    def works(self) -> bool:
        """Whether who has the token gets the runs."""
        status, body = self.get("/api/runs")
        return status == 200 and bool(json.loads(body)["runs"])

    def key(self, name: str) -> str:
        """The id of a run."""
        runs = json.loads(self.get("/api/runs")[1])["runs"]
        return str(next(run["id"] for run in runs if run["name"] == name))


@pytest.fixture(scope="module")
def served(tiny_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    (folder / "secret").write_bytes(SECRET)
    runs = folder / "runs"
    runs.mkdir()
    for name in ("open", "linked"):
        subprocess.run(["cp", "-r", str(tiny_run.path), str(runs / name)], check=True)
    (runs / "linked" / "grids" / "00000010.png").unlink()
    (runs / "linked" / "grids" / "00000010.png").symlink_to(folder / "secret")
    (runs / "linked" / "closest.png").symlink_to(folder / "secret")
    os.mkfifo(runs / "linked" / "grids" / "00000050.png")
    (runs / "outside").symlink_to(folder)
    with server.serve_in_background(runs) as address:
        told = urlsplit(address)
        assert told.port
        with urllib.request.urlopen(address) as door:
            place = str(door.headers["set-cookie"]).partition("Path=")[2].rstrip("/")
        yield Served(told.port, parse_qs(told.query)["token"][0], place, runs)


# ------------------------------------------------------------------------------------------------ with the token


def test_the_address_that_is_printed_opens_the_page_and_sets_a_strict_cookie(served: Served) -> None:
    status, headers, body = served.ask(f"/?token={served.token}", cookie="")
    assert status == 200 and b"<title>Sparring</title>" in body and f"url={served.place}/".encode() in body
    cookie = f"sparring-{served.port}={served.token}; HttpOnly; SameSite=Strict; Path={served.place}/"
    assert headers["set-cookie"] == cookie and "default-src 'none'" in headers["content-security-policy"]
    status, headers, body = served.ask("/")
    assert status == 200 and "set-cookie" not in headers and b"<title>Sparring</title>" in body


def test_the_cookie_opens_nothing_without_the_place_that_it_is_for(served: Served) -> None:
    """Cookies ignore ports: the browser sends ours to other servers of this machine, but only below the prefix."""
    assert re.fullmatch(r"/[\w-]{32}", served.place)
    head = f"HTTP/1.1\r\nhost: {served.host}\r\ncookie: {served.cookie}\r\nconnection: close\r\n\r\n"
    for place in ("", f"/{'x' * 32}", f"{served.place}x", served.place[:-1], f"/{served.place}", "/.."):
        for path in ("/", "/api/runs", "/plotly.js"):
            status, headers, body = served.raw(f"GET {place}{path} {head}".encode())
            assert status == 403 and served.place.encode() not in body and "set-cookie" not in headers
    assert served.raw(f"GET {served.place} {head}".encode())[0] == 403


def test_every_answer_holds_the_browser_to_this_page(served: Served) -> None:
    key = served.key("open")
    for path in ("/", "/static/page.js", "/plotly.js", "/api/runs", f"/api/runs/{key}/grids/10.png", "/nothing"):
        _, headers, _ = served.ask(path)
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert not any(name.startswith("access-control") for name in headers)
        assert "server" not in headers


def test_authenticated_clients_get_runs_and_images(served: Served, tiny_run: Run) -> None:
    key = served.key("open")
    assert served.get(f"/api/runs/{key}/grids/10.png") == (200, tiny_run.grid(10).read_bytes())
    assert served.get(f"/api/runs/{key}/real.png") == (200, tiny_run.real_grid.read_bytes())
    assert json.loads(served.get(f"/api/runs/{key}")[1])["step"] == 30
    assert served.get(f"/api/runs/{key}/grids/11.png")[0] == 404
    assert served.get(f"/api/runs/{key}/closest.png")[0] == 404
    assert served.get("/static/page.css")[0] == 200 and served.get("/plotly.js")[0] == 200


def test_cookies_that_other_ports_set_do_not_lock_out_the_user(served: Served) -> None:
    """A page of any local port can set cookies of our name; browsers send all that match, in either order."""
    name, real = f"sparring-{served.port}", served.cookie
    flood = "; ".join(f"other-{i}={'x' * 4000}" for i in range(180))  # the most that a browser keeps for a host
    for cookie in (
        f"{real}; {name}=x",
        f"{name}=x; {real}",
        f"{name}=; {real}; {name}={served.token[:-1]}; {name}",
        f'{name}="; {real}',
        f"{name}=x;{real};=;;",
        f"{name}={'x' * 4000}; {real}",
        f"{flood}; {real}",
        f"{real}; {flood}",
    ):
        assert served.get("/api/runs", cookie=cookie)[0] == 200, cookie[:80]
    for cookie in (f"{name}=x", f"{name}=x; {name}=y", flood, '"', "=" * 100):
        assert served.get("/api/runs", cookie=cookie)[0] == 403, cookie[:80]
        status, headers, _ = served.ask(f"/?token={served.token}", cookie=cookie)
        assert status == 200 and served.token in headers["set-cookie"], "the printed address opens it again"


# ------------------------------------------------------------------------------------------------ without the token

ADDRESSES = ["/", "/api/runs", "/api/changes", "/static/page.js", "/plotly.js", "/api/compare?runs=a,b", "/nothing"]


@pytest.mark.parametrize("path", ADDRESSES)
@pytest.mark.parametrize(
    "change",
    [
        {"cookie": ""},
        {"cookie": "sparring-1={token}"},
        {"cookie": "sparring-{port}=x{token}"},
        {"cookie": "sparring-{port}="},
        {"cookie": "sparring-{port}=é"},
        {"host": "evil.example"},
        {"host": "evil.example:{port}"},
        {"host": "127.0.0.1"},
        {"host": "127.0.0.1:1"},
        {"host": "127.0.0.1:{port}@evil.example"},
        {"host": "127.0.0.1.evil.example:{port}"},
        {"host": "[::ffff:127.0.0.1]:{port}"},
        {"origin": "http://evil.example"},
        {"origin": "https://127.0.0.1:{port}"},
        {"origin": "http://127.0.0.1:1"},
        {"origin": "http://localhost:{port}"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
    ids=str,
)
def test_unauthenticated_clients_get_nothing(path: str, change: dict[str, str], served: Served) -> None:
    told = {name: value.format(port=served.port, token=served.token) for name, value in change.items()}
    status, headers, body = served.ask(path, **told)
    assert status == 403 and len(body) < 100
    assert b"tiny" not in body and served.token.encode() not in body and "set-cookie" not in headers


def test_a_guessed_token_and_one_from_another_origin_open_nothing(served: Served) -> None:
    for query in ("", "?token=", "?token=x", f"?token={served.token}x", f"?token={served.token[:-1]}", "?" + "&" * 50):
        assert served.get(f"/{query}", cookie="")[0] == 403
    assert served.get(f"/api/runs?token={served.token}", cookie="")[0] == 403, "only the page takes it from the address"
    for origin in ("http://evil.example", "null"):
        assert served.get(f"/?token={served.token}", origin=origin)[0] == 403


def test_two_headers_of_one_name_are_no_way_around(served: Served) -> None:
    head = f"GET {served.place}/api/runs HTTP/1.1\r\nhost: {served.host}\r\ncookie: {served.cookie}\r\n"
    for more in ("host: evil.example", "cookie: a=b", "origin: x\r\norigin: y"):
        assert served.raw(f"{head}{more}\r\nconnection: close\r\n\r\n".encode())[0] in (400, 403)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "POST", "BREW"])
def test_nothing_can_be_changed(method: str, served: Served) -> None:
    before = sorted((path, path.stat().st_mtime_ns) for path in served.folder.rglob("*"))
    for path in ("/", "/api/runs", f"/api/runs/{served.key('open')}"):
        assert served.get(path, method)[0] in (400, 405)
    assert sorted((path, path.stat().st_mtime_ns) for path in served.folder.rglob("*")) == before


# ------------------------------------------------------------------------------------------------ ways out


@pytest.mark.parametrize(
    "path",
    [
        "/../secret",
        "/..%2fsecret",
        "/static/..%2f..%2fapp.py",
        "/static/../app.py",
        "/static/%2e%2e%2fapp.py",
        "/static/..",
        "/static/.hidden",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/page.html%00.js",
        "/api/runs/..%2f..%2fsecret",
        "/api/runs/{key}/..%2f..%2f..%2fsecret",
        "/api/runs/{key}/grids/..%2f..%2frecipe.json",
        "/api/runs/{key}/grids/../../recipe.json.png",
        "/api/runs/{key}/grids/%2fetc%2fpasswd.png",
        "/api/runs/{key}/grids/-1.png",
        "/api/runs/{key}/recipe.json",
        "/api/runs/outside",
        "/api/changes/../runs",
        "//127.0.0.1/secret",
    ],
)
def test_no_address_leads_out_of_the_runs(path: str, served: Served) -> None:
    status, body = served.get(path.format(key=served.key("open")))
    assert status in (404, 405) and SECRET not in body and b"root:" not in body and b"import" not in body


WORDS = (
    *("", "0", "-1", "+1", "1.5", "1e400", "nan", "inf", "0x10", "1_000", "None", "__proto__", "²", "٣", "𝟙", "é"),
    *(
        "9" * 20,
        "9" * 400,
        "9" * 5_000,
        "x" * 300,
        "x" * 5_000,
        "%00",
        "%2f",
        "%ff%fe",
        "%",
        "%zz",
        "..",
        ".",
        "?",
        "#",
    ),
    *("%0d%0aset-cookie:a=b", "<b>", "' OR 1", "{run}", "$(id)", "\\", ";", ",", "," * 2_000),
)


@pytest.mark.parametrize(
    "shape",
    [
        "/{word}",
        "/static/{word}",
        "/static/{word}.js",
        "/api/{word}",
        "/api/runs/{word}",
        "/api/runs/{word}/real.png",
        "/api/runs/{word}/explorer",
        "/api/runs/{key}/{word}",
        "/api/runs/{key}/grids/{word}",
        "/api/runs/{key}/grids/{word}.png",
        "/api/runs/{key}/grids/10.png/{word}",
        "/api/changes?run={word}",
        "/api/changes?{word}={word}",
        "/api/compare?runs={word},{key}",
        "/api/runs/{key}/grids/10.png?v={word}",
    ],
)
def test_no_address_is_an_error_of_the_server(shape: str, served: Served) -> None:
    key = served.key("open")
    for word in WORDS:
        path = shape.format(word=quote(word, safe="%/.?#=&+,;{}$()'<>\\"), key=key).replace(" ", "%20")
        for method in ("GET", "HEAD", "POST"):
            status, headers, body = served.ask(path, method)
            outside = path.startswith("/?")
            assert status in ((403,) if outside else (0, 200, 400, 404, 405, 409, 415)), (method, path[:100])
            assert status or method != "GET", path[:100]
            assert "location" not in headers and "set-cookie" not in headers and SECRET not in body


def test_nothing_leads_out_of_the_place_and_an_unknown_address_is_only_refused(served: Served) -> None:
    key = served.key("open")
    known = ("/api/runs", f"/api/runs/{key}", "/plotly.js", "/static/page.js", f"/api/runs/{key}/real.png")
    for path in (
        "/api/runs/",
        f"/api/runs/{key}/",
        "/plotly.js/",
        "/static/page.js/",
        "/api/",
        "//",
        "/static/",
        "/x/",
    ):
        for method in ("GET", "HEAD", "POST"):
            status, headers, body = served.ask(path, method)
            assert status in (404, 405) and "location" not in headers and served.place.encode() not in body
    for path in (*known, *(f"{path}/" for path in known), "/", "//", f"//{served.host}/api/runs/"):
        status, headers, _ = served.raw(
            f"GET {path} HTTP/1.1\r\nhost: {served.host}\r\nconnection: close\r\n\r\n".encode()
        )
        assert status == 403 and "location" not in headers


def test_links_and_pipes_are_not_followed(served: Served) -> None:
    key = served.key("linked")
    for path in ("grids/10.png", "closest.png", "grids/50.png"):
        began = time.monotonic()
        status, body = served.get(f"/api/runs/{key}/{path}")
        assert status == 404 and SECRET not in body and time.monotonic() - began < 5
    names = {run["name"] for run in json.loads(served.get("/api/runs")[1])["runs"]}
    assert names == {"open", "linked"}


# ------------------------------------------------------------------------------------------------ too much


def posted(served: Served, body: bytes, length: int | None = None, **headers: str) -> bytes:
    key = served.key("open")
    sent = {"host": served.host, "cookie": served.cookie, "content-type": "application/json"} | headers
    sent["content-length"] = str(len(body) if length is None else length)
    head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    return (
        f"POST {served.place}/api/runs/{key}/discriminator HTTP/1.1\r\n{head}connection: close\r\n\r\n".encode() + body
    )


def test_a_request_of_100_megabytes_or_without_a_length_is_cut_off(served: Served) -> None:
    began = time.monotonic()
    status, _, _ = served.raw(posted(served, b"[" * 1000, length=100 << 20))
    assert status == 413 and time.monotonic() - began < 5
    assert served.raw(posted(served, b"[" * (4 << 20)))[0] in (0, 413)
    chunk = b"%x\r\n%s\r\n" % (1 << 20, b"[" * (1 << 20))
    head = posted(served, b"").replace(b"content-length: 0", b"transfer-encoding: chunked")
    assert served.raw(head + chunk * (MAX_BODY_BYTES // (1 << 20) + 2) + b"0\r\n\r\n")[0] in (0, 413)
    assert served.works()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"[" * 100_000,
        b"3",
        b"{}",
        b'{"pixels": []}',
        b'{"pixels": [1, 2]}',
        b'{"pixels": "x"}',
        b'{"pixels": [[1]]}',
        b'{"pixels": [NaN]}',
        b'{"pixels": [1e999]}',
        b'{"pixels": {"a": 1}}',
        b"\xff\xfe",
        json.dumps({"pixels": [0] * 784, "label": "x"}).encode(),
        json.dumps({"pixels": [0] * 784, "label": 1}).encode(),
        json.dumps({"pixels": [0] * 784, "label": -1}).encode(),
        json.dumps({"pixels": [256] * 784}).encode(),
        json.dumps({"pixels": [-1] * 784}).encode(),
        json.dumps({"pixels": [None] * 784}).encode(),
        b'{"pixels": [1' + b"0" * 5_000 + b"]}",
        b'{"pixels": [1' + b"0" * 400 + b"]}",
        b'{"pixels": ' + b"[" * 200 + b"]" * 200 + b"}",
        b'{"pixels": true}',
        b'{"pixels": [[1], [1, 2]]}',
        json.dumps({"pixels": [0] * 784, "label": True}).encode(),
        json.dumps({"pixels": [0] * 784, "label": 0.0}).encode(),
        json.dumps({"pixels": [0] * 784, "label": [0]}).encode(),
        json.dumps({"pixels": [0] * 784, "label": 10**300}).encode(),
    ],
    ids=lambda body: body[:24].decode("latin-1"),
)
def test_what_makes_no_sense_is_refused_in_words(body: bytes, served: Served) -> None:
    status, _, words = served.raw(posted(served, body), seconds=60)  # the first one waits for the networks
    assert status == 400 and 10 < len(words) < 200


def test_what_a_form_of_another_page_could_send_is_refused(served: Served) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        request = posted(served, b"{}").replace(b"application/json", kind.encode())
        assert served.raw(request)[0] == 415


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"\r\n\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20_000 + b"\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        b"\x00" * 1000,
    ],
    ids=lambda request: str(request[:20]),
)
def test_what_is_no_request_is_none(request_bytes: bytes, served: Served) -> None:
    try:
        status, _, body = served.raw(request_bytes, seconds=3)
    except TimeoutError:
        status, body = 0, b""
    assert status in (0, 400, 403, 404, 414, 431) and len(body) < 200
    assert served.works()


@pytest.mark.ci
def test_two_hundred_silent_connections_block_no_client_and_are_closed(served: Served) -> None:
    silent = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(200)]
    half = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(20)]
    try:
        for connection in half:
            connection.sendall(b"GET /api/runs HTTP/1.1\r\nhost: ")
        assert served.works()
        end = time.monotonic() + 40
        for connection in silent + half:
            connection.settimeout(max(0.1, end - time.monotonic()))
            assert connection.recv(1000) in (b"",) or connection in half
    finally:
        for connection in silent + half:
            connection.close()
    assert served.works()


def test_a_missing_body_times_out(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=30) as connection:
        connection.sendall(posted(served, b"", length=1000))
        began = time.monotonic()
        answer = connection.recv(4000)
    assert b" 408 " in answer.split(b"\r\n")[0] and time.monotonic() - began < 20


# ------------------------------------------------------------------------------------------------ the process


def test_changes_are_answered_at_once_with_what_to_type_when_the_page_has_ended(served: Served) -> None:
    key = served.key("open")

    def stamps() -> tuple[str, str]:
        one, every = (json.loads(served.get(f"/api/changes{query}")[1]) for query in (f"?run={key}", ""))
        assert one["again"] == f"sparring watch {served.folder}"
        return one["stamp"], every["stamp"]

    before = stamps()
    Run(served.folder / "open").add_event("log", 30)
    for _ in range(100):
        now = stamps()
        if now[0] != before[0] and now[1] != before[1]:
            return
        time.sleep(0.1)
    pytest.fail("the change was not reported")


def test_only_this_machine_can_ask(served: Served) -> None:
    listening = Path("/proc/net/tcp")
    if not listening.exists():
        pytest.skip("needs Linux")
    local = [line.split()[1] for line in listening.read_text().splitlines()[1:] if line.split()[3] == "0A"]
    assert [place for place in local if place.endswith(f":{served.port:04X}")] == [f"0100007F:{served.port:04X}"]


def test_the_token_is_in_no_list_of_processes(served: Served) -> None:
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            assert served.token.encode() not in command.read_bytes()


def test_the_page_ends_with_its_parent_process(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom sparring.web import server\n"
        "with server.serve_in_background(Path(sys.argv[1])) as address:\n"
        "    print(address, flush=True)\n    time.sleep(60)\n"
    )
    trainer = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert trainer.stdout is not None
    port = urlsplit(trainer.stdout.readline().strip()).port
    socket.create_connection(("127.0.0.1", port or 0)).close()
    trainer.kill()
    trainer.communicate()
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port or 0)).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.1)
    pytest.fail("the page continues after its parent process ended")


def test_a_second_page_takes_the_next_port(tmp_path: Path) -> None:
    with server.serve_in_background(tmp_path) as first, server.serve_in_background(tmp_path) as second:
        assert urlsplit(first).port != urlsplit(second).port
        assert parse_qs(urlsplit(first).query) != parse_qs(urlsplit(second).query)


def test_loopback_is_known_by_what_a_name_means() -> None:
    for host in ("127.0.0.1", "localhost", "127.8.8.8", "::1"):
        assert server.is_loopback(host)
    for host in ("0.0.0.0", "::", "8.8.8.8", "no.such.name.invalid"):
        assert not server.is_loopback(host)


def test_nothing_is_written_by_looking(served: Served, tiny_run: Run) -> None:
    assert not stat.S_ISFIFO((served.folder / "open" / "events.jsonl").stat().st_mode)
    files = {path.relative_to(tiny_run.path) for path in tiny_run.path.rglob("*")}
    assert {path.relative_to(served.folder / "open") for path in (served.folder / "open").rglob("*")} == files
    assert re.fullmatch(r"[\w-]{32}", served.token)
