"""Faults of the page: markup in names, foreign cookies, a server that has ended, and others."""

import shutil
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from slow import later
from tabs import opened, pixels, same, until, until_same, until_settled, until_text

from sparring.files import checksummed
from sparring.runs.run import Run
from sparring.web import server

# ------------------------------------------------------------------------------------------------ others' marks


@pytest.mark.usefixtures("charts")
def test_markup_in_names_is_text_in_every_chart(tab: Any, runs: Path, tmp_path: Path) -> None:
    """Plotly interprets `<a href>` and `<b>`. They occur in names of runs and classes, and in alarms."""
    evil = "<a href='evil'>7<b>x</b>&lt;"
    for name in (evil, "other"):
        run = Run(Path(shutil.copytree(runs / "judged", tmp_path / "runs" / name)))
        run.add_event("alarm", 30, kind="flat", text=f"flat {evil}")
        about = checksummed.read(run.environment_file)
        about["data"]["classes"] = {f"{evil}{i}": 20 for i in range(10)}
        for path in (run.environment_file, run.path / "environment.copy.json"):
            checksummed.write(path, about)
    marks = "c => Array.from(c.querySelectorAll('a, [style*=bold]')).map(e => e.outerHTML)"
    with server.serve_in_background(tmp_path / "runs") as told:
        opened(tab, told, evil)
        places = [
            tab.get_by_label("Distance (Frechet): samples", exact=False),
            tab.get_by_label(f"{evil}0: 15%", exact=False),
        ]
        for place, shown in zip(places, (f"flat {evil}", f"{evil}3"), strict=True):
            place.scroll_into_view_if_needed()
            place.locator(".main-svg").first.wait_for()
            place.evaluate("c => Plotly.Fx.hover(c, {xval: c.data[0].x.length > 5 ? 3 : 30}, 'xy')")
            until_text(tab, place, shown)
            assert place.evaluate(marks) == []
        tab.goto(told)
        for name in (evil, "other"):
            tab.get_by_label(f"compare {name}", exact=True).check()
        tab.get_by_role("button", name="Compare 2 runs").click()
        place = tab.get_by_label("Losses: ", exact=False)
        until_text(tab, place, f"{evil}: discriminator")
        assert place.evaluate(marks) == []


# ------------------------------------------------------------------------------------------------ other servers


COOKIES = ["Path=/", "Path=/; Secure", "Path=/; HttpOnly; SameSite=Strict"]


@pytest.mark.parametrize("attributes", later(COOKIES, *COOKIES[1:]))
def test_cookies_of_another_port_do_not_lock_out_the_user(attributes: str, windows: Any, address: str) -> None:
    """The other server sets a cookie of our name, and as many large ones as the browser keeps."""
    name = f"sparring-{urlsplit(address).port}"

    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.send_header("set-cookie", f"{name}=x; {attributes}")
            self.end_headers()
            self.wfile.write(b"<title>other</title>")

        def log_message(self, *words: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        tab, second = windows.new_page(), windows.new_page()
        opened(tab, address, "plain")
        second.goto(f"http://127.0.0.1:{other.server_port}/")
        assert len(windows.cookies()) == 2
        tab.reload()
        tab.get_by_role("heading", name="plain", exact=True).wait_for()
        second.evaluate("for (let i = 0; i < 150; i++) document.cookie = `flood${i}=${'x'.repeat(4000)}; path=/`")
        until(tab, lambda: sum(len(cookie["value"]) for cookie in windows.cookies()) > 32_000)
        for fresh in (False, True):
            tab.goto("about:blank")
            tab.goto(address)
            tab.locator(".card").first.wait_for()
            assert fresh or tab.locator(".lost").is_hidden()
        other.shutdown()


def lost(tab: Any) -> Any:
    return tab.locator("#lost")


def test_every_view_reports_a_server_that_ended(windows: Any, runs: Path) -> None:
    with server.serve_in_background(runs) as told:
        tabs = {part: windows.new_page() for part in ("list", "run", "explore", "compare")}
        base, _, key = opened(tabs["run"], told, "plain").url.rpartition("#/run/")
        tabs["list"].goto(f"{base}#/")
        tabs["explore"].goto(f"{base}#/run/{key}/explore")
        tabs["compare"].goto(f"{base}#/compare/{key},{key}")
        tabs["explore"].get_by_text("16 samples").wait_for()
        for tab in tabs.values():
            tab.bring_to_front()
            assert lost(tab).is_hidden()
    for tab in tabs.values():
        tab.bring_to_front()
        lost(tab).wait_for(timeout=10_000)
        words = lost(tab).inner_text()
        assert "Not connected since" in words and f"sparring watch {runs}" in words
        assert tab.get_by_role("heading").first.is_visible(), "what was seen stays"


def test_a_restarted_server_is_reported(tab: Any, runs: Path) -> None:
    with server.serve_in_background(runs) as told:
        opened(tab, told, "plain")
        port = urlsplit(told).port
    with socket.create_server(("127.0.0.1", port or 0)) as listening:
        listening.close()
        command = [sys.executable, "-m", "sparring.cli.main", "watch", str(runs), "--port", str(port)]
        again = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        tab.get_by_text("Open the address that it printed").wait_for()
        assert "restarted" in lost(tab).inner_text()
    finally:
        again.terminate()
        again.communicate()


def test_a_page_goes_on_when_the_server_answers_again(tab: Any, runs: Path, tmp_path: Path) -> None:
    """As after a suspend or a network failure."""
    run = Run(Path(shutil.copytree(runs / "plain", tmp_path / "runs" / "plain")))
    with server.serve_in_background(tmp_path / "runs") as told:
        tab.goto(told)
        tab.get_by_role("heading", name="plain", exact=True).wait_for()
        tab.route("**/api/**", lambda route: route.abort())
        lost(tab).wait_for(timeout=10_000)
        run.add_event("log", 1000, seconds=1.0)
        tab.unroute("**/api/**")
        lost(tab).wait_for(state="hidden")
        tab.get_by_text("step 1,000 of 30").wait_for()


def test_a_window_keeps_no_connection(tab: Any, address: str) -> None:
    waiting = set[Any]()
    tab.on("request", lambda request: waiting.add(request))
    tab.on("requestfinished", lambda request: waiting.discard(request))
    tab.goto(address)
    tab.get_by_role("heading", name="4 runs in runs").wait_for()
    with tab.expect_request("**/api/changes"):  # the next look, after all that is loaded at first
        pass
    until(tab, lambda: not waiting)


@pytest.mark.ci
def test_many_windows_at_once_are_all_shown(windows: Any, address: str) -> None:
    """A browser opens six connections to a server; no window keeps one."""
    for _ in range(7):
        tab = windows.new_page()
        tab.goto(address)
        tab.get_by_role("heading", name="4 runs in runs").wait_for()
    first = windows.pages[0]
    assert first.evaluate("async () => (await fetch('api/runs')).status") == 200


def test_a_hidden_tab_asks_nothing_and_a_shown_one_at_once(tab: Any, address: str) -> None:
    opened(tab, address, "plain")
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    hide = (
        "hidden => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});"
        " document.dispatchEvent(new Event('visibilitychange')); }"
    )
    tab.evaluate(hide, True)
    tab.wait_for_timeout(1500)
    asked.clear()
    tab.wait_for_timeout(2500)
    assert [url for url in asked if ".png" not in url] == []  # pictures that were asked for before may come late
    tab.evaluate(hide, False)
    until(tab, lambda: len(asked) > 0)


def test_a_killed_training_is_shown_at_once(tab: Any, tiny_run: Run, tmp_path: Path) -> None:
    if not Path("/proc/locks").exists():
        pytest.skip("needs Linux")
    run = Run(Path(shutil.copytree(tiny_run.path, tmp_path / "runs" / "live")))
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom sparring.runs.run import Run\nrun = Run(Path(sys.argv[1]))\n"
        "with run.lock():\n    run.add_event('resumed', 30)\n    time.sleep(100)\n"
    )
    with server.serve_in_background(run.path.parent) as told:
        trainer = subprocess.Popen([sys.executable, "-c", code, str(run.path)])
        tab.goto(told)
        tab.locator(".state.running").wait_for()
        tab.wait_for_timeout(2000)
        trainer.kill()
        trainer.wait()
        tab.locator(".state.killed").wait_for(timeout=10_000)


# ------------------------------------------------------------------------------------------------ faults of one view


def test_the_name_is_shown_before_the_charts_are_there(tab: Any, address: str) -> None:
    tab.goto(address)
    tab.route("**/plotly.js", lambda route: None)
    tab.locator("h3 a", has_text="judged").click()
    tab.get_by_role("heading", name="judged", exact=True).wait_for()
    assert tab.get_by_alt_text("samples after step 30").is_visible()
    assert not tab.get_by_text("No samples yet").is_visible()
    assert not tab.get_by_text("; newest").is_visible()


def test_pictures_have_their_place_before_they_are_there(tab: Any, address: str) -> None:
    tab.route("**/*.png*", lambda route: None)
    opened(tab, address, "plain")
    samples = tab.get_by_alt_text("samples after step 30")
    width, height = samples.evaluate("i => [i.width, i.height]")
    assert width / height == pytest.approx(88 / 59, rel=0.05)


def test_nine_runs_are_compared_as_eight(tab: Any, address: str) -> None:
    opened(tab, address, "plain")
    base, _, one = tab.url.rpartition("#/run/")
    opened(tab, address, "judged")
    other = tab.url.rpartition("/")[2]
    tab.goto(f"{base}#/compare/{','.join([one, other] * 4 + [one])}")
    tab.get_by_text("The first 8 of 9 runs are compared").wait_for()
    tab.locator(".differs").first.wait_for()
    cells = tab.locator("tr").evaluate_all("rows => rows.map(row => row.children.length)")
    assert set(cells) == {9}


def test_an_address_of_nothing_shows_the_list(tab: Any, address: str) -> None:
    tab.goto(address)
    listed = tab.get_by_role("heading", name="4 runs in runs")
    listed.wait_for()
    for part in ("#/run/", "#/run/..%2f..", "#/run/x/explore", "#/compare/", "#/compare/,,x", "#/nothing"):
        listed.evaluate("heading => heading.remove()")
        tab.goto(tab.url.split("#")[0] + part)
        listed.wait_for()


def test_a_chosen_sample_is_the_one_that_is_shown(tab: Any, address: str) -> None:
    opened(tab, address, "plain", "explore")
    tab.get_by_text("16 samples").wait_for()
    tab.get_by_label("direction 2", exact=True).press("Home")
    for chosen in (6, 2, 2, 11, 6):
        tab.get_by_label(f"select sample {chosen}", exact=True).click()
        until_same(tab, "the selected image", f"sample {chosen}")
        assert "B" in tab.get_by_label(f"select sample {chosen}", exact=True).inner_text()
    tab.get_by_role("button", name="Walk").click()
    tab.get_by_label("select sample 9").click()
    until_settled(tab, "the selected image")
    assert same(tab, "the selected image", "sample 9"), "a walk under way ends"


def test_a_walk_between_classes_ends_at_its_ends(tab: Any, address: str) -> None:
    opened(tab, address, "conditional", "explore")
    tab.get_by_text("16 samples").wait_for()
    way = tab.get_by_label("from sample A to sample B")
    for a, b in ((3, 4), (4, 5), (5, 6), (6, 7)):
        for sample in (a, b):
            tab.get_by_label(f"select sample {sample}", exact=True).click()
        for key, sample in (("Home", a), ("End", b)):
            way.press(key)
            until_same(tab, "the selected image", f"sample {sample}")
    words = tab.locator("figcaption").first.inner_text()
    assert "from A" in words and "as " in words
    tab.get_by_role("button", name="7", exact=True).click()
    assert tab.locator("figcaption").first.inner_text() == "from A to B, all as 7"


def test_clear_leaves_nothing_and_nothing_comes_after_it(tab: Any, address: str) -> None:
    opened(tab, address, "plain", "explore")
    tab.get_by_text("16 samples").wait_for()
    blank = pixels(tab, "draw here, or drop an image")
    for waits in (True, False):
        tab.get_by_role("button", name="Use the generated image").click()
        if waits:
            tab.get_by_text("the nearest generated image that was found").wait_for()
            assert pixels(tab, "the nearest generated image")[..., 3].any()
        tab.get_by_role("button", name="Clear").click()
        tab.wait_for_timeout(3000)
        assert "Draw something" in tab.locator(".answer").inner_text()
        assert not tab.get_by_text("that was found").or_(tab.get_by_text("searching")).is_visible()
        for label in ("gradient of the logit", "the nearest generated image"):
            assert not pixels(tab, label).any()
        assert (pixels(tab, "draw here, or drop an image") == blank).all()


def test_a_picture_that_is_dropped_beside_the_board_is_not_opened(tab: Any, address: str) -> None:
    for part in ("", "explore"):
        opened(tab, address, "plain", part)
        for type in ("dragover", "drop"):
            refused = tab.locator("h1").evaluate(
                "(e, type) => !e.dispatchEvent(new DragEvent(type, "
                "{bubbles: true, cancelable: true, dataTransfer: new DataTransfer()}))",
                type,
            )
            assert refused


def test_the_board_is_white_where_the_data_are(tab: Any, address: str) -> None:
    def on_white(route: Any) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json=answer.json() | {"background": [250]})

    tab.route("**/explorer", on_white)
    opened(tab, address, "plain", "explore")
    board = "draw here, or drop an image"
    tab.get_by_label(board).scroll_into_view_if_needed()
    assert (pixels(tab, board) == [250, 250, 250, 255]).all()
    tab.get_by_label(board).click()
    assert pixels(tab, board)[14, 14].tolist() == [0, 0, 0, 255]
