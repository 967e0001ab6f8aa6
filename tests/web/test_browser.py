"""The page in a browser: all views, during and after a training."""

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from slow import later
from tabs import SECONDS, opened, pixels, until, until_changed, until_same, until_settled

from sparring.recipes.recipe import Recipe
from sparring.runs import generator as sampling
from sparring.runs.run import Run
from sparring.web import server

pytest.importorskip("starlette", reason="needs the extra `watch`")
pytest.importorskip("plotly", reason="needs the extra `watch`")

# ------------------------------------------------------------------------------------------------ the list


def test_all_runs_are_cards_with_their_state(tab: Any, address: str) -> None:
    tab.goto(address)
    tab.get_by_role("heading", name="4 runs in runs").wait_for()
    assert "token" not in tab.url
    told = {card.locator("h3").inner_text(): card.inner_text() for card in tab.locator(".card").all()}
    assert "finished" in told["plain"] and "step 30 of 30" in told["plain"]
    assert "best distance 4 at step 20 (real images 1.5)" in told["judged"] and "1 alarm" in told["judged"]
    assert "failed: the losses are no longer finite at step 7" in told["failed"] and "no samples yet" in told["failed"]
    picture = tab.get_by_alt_text("samples of plain after step 30")
    assert picture.evaluate("i => i.decode().then(() => i.naturalWidth)") > 50


@pytest.mark.usefixtures("charts")
def test_runs_are_put_side_by_side(tab: Any, address: str) -> None:
    tab.goto(address)
    tab.get_by_label("compare plain", exact=True).check()
    assert tab.get_by_role("button", name="Select two or more").is_disabled()
    tab.get_by_label("compare judged", exact=True).check()
    tab.get_by_role("button", name="Compare 2 runs").click()
    tab.locator(".differs").first.wait_for()
    rows = {
        row.locator("th").inner_text(): row.locator("td").all_inner_texts() for row in tab.locator(".differs").all()
    }
    assert rows["generator.hidden"] == ["8", "16"] and rows["batch_size"] == ["20", "10"] and "seed" not in rows
    chart = tab.get_by_label("Losses: plain: discriminator", exact=False)
    assert "judged: generator" in chart.get_attribute("aria-label")
    tab.get_by_label("progress of training").evaluate("s => { s.value = 333; s.dispatchEvent(new Event('input')); }")
    assert tab.get_by_alt_text("samples of plain after step 10").is_visible()
    tab.get_by_label("the same training time").check()
    tab.get_by_text("of training", exact=False).first.wait_for()


def test_the_one_run_of_a_folder_is_shown_at_once(tab: Any, runs: Path) -> None:
    with server.serve_in_background(runs / "plain") as told:
        tab.goto(told)
        tab.get_by_role("heading", name="plain", exact=True).wait_for()


def test_an_empty_folder_says_what_to_do_and_a_run_appears_when_it_begins(tab: Any, runs: Path, tmp_path: Path) -> None:
    with server.serve_in_background(tmp_path) as told:
        tab.goto(told)
        tab.get_by_text("No runs in").wait_for()
        tab.get_by_text("Start one with sparring train").wait_for()
        shutil.copytree(runs / "plain", tmp_path / "a")
        shutil.copytree(runs / "judged", tmp_path / "b")
        tab.get_by_role("heading", name="2 runs in").wait_for()
        shutil.rmtree(tmp_path / "a")
        tab.get_by_role("heading", name="1 run in").or_(tab.get_by_role("heading", name="b", exact=True)).wait_for()


# ------------------------------------------------------------------------------------------------ one run


@pytest.mark.usefixtures("charts")
def test_a_run_shows_its_alarms_classes_and_pairs(tab: Any, address: str) -> None:
    opened(tab, address, "judged")
    assert "collapse: <i>half</i> of the samples are '3'" in tab.locator(".alarms").inner_text()
    tab.get_by_label("Distance (Frechet): samples from 9 to 5").wait_for()
    tab.get_by_label("0: 15% of the samples, 10% of the data", exact=False).scroll_into_view_if_needed()
    pairs = tab.get_by_alt_text("samples, each with its nearest training image on the right")
    assert pairs.evaluate("i => i.decode().then(() => i.naturalWidth)") == (8 * 29 + 1) * 2
    tab.get_by_text("The first 2 pairs are suspiciously close").wait_for()
    tab.get_by_role("button", name="step 20").click()
    assert tab.get_by_alt_text("samples after step 20").is_visible()


def test_the_slider_shows_what_became_of_the_noise(tab: Any, address: str, tiny_run: Run) -> None:
    opened(tab, address, "plain")
    slider = tab.get_by_label("step of the samples")
    assert tab.get_by_alt_text("samples after step 30").is_visible()
    slider.focus()
    for step in (20, 10, 0):
        tab.keyboard.press("ArrowLeft")
        shown = tab.get_by_alt_text(f"samples after step {step}", exact=True)
        source = shown.get_attribute("src")
        content = tab.evaluate("async s => Array.from(new Uint8Array(await (await fetch(s)).arrayBuffer()))", source)
        assert bytes(content) == tiny_run.grid(step).read_bytes()
        assert slider.get_attribute("aria-valuetext") == f"step {step}"


@pytest.mark.ci
@pytest.mark.usefixtures("charts")
def test_a_run_is_trained_while_somebody_watches(tab: Any, tiny_recipe: Recipe, tmp_path: Path) -> None:
    """Grids and curves update, and the end is shown. (test_load.py checks that the training is unchanged.)"""
    recipe = tiny_recipe.replace(steps=60_000, grid_every=500, log_every=50)
    code = (
        "import json, sys\nfrom sparring import Recipe, train\n"
        "train(Recipe.from_json(json.loads(sys.argv[1])), out=sys.argv[2])"
    )
    run = Run(tmp_path / "runs" / "live")
    run.path.parent.mkdir()
    with server.serve_in_background(run.path.parent) as told:
        command = [sys.executable, "-c", code, json.dumps(recipe.to_json()), str(run.path)]
        trainer = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            tab.goto(told)
            tab.get_by_role("heading", name="live", exact=True).wait_for()
            chart = tab.get_by_label("Losses: discriminator from", exact=False)
            chart.wait_for()
            tab.locator(".state.running").wait_for()
            seen, curves = set(), set()
            for _ in range(300):
                seen.add(tab.locator(".picture img").first.get_attribute("alt"))
                curves.add(chart.evaluate("c => c.data[1].x.at(-1)"))
                if min(len(seen), len(curves)) > 1:
                    break
                tab.wait_for_timeout(200)
            assert min(len(seen), len(curves)) > 1
            slider = tab.get_by_label("step of the samples")
            slider.evaluate("s => { s.value = 1; s.dispatchEvent(new Event('input')); }")
            chosen = tab.get_by_alt_text("samples after step 500", exact=True)
            newest = run.all_grids()[-1][0]
            until(tab, lambda: int(slider.get_attribute("max")) > newest // 500 + 1)
            assert chosen.is_visible(), "the view stays at an earlier step"
        finally:
            trainer.terminate()
            trainer.wait()
        tab.locator(".state.stopped").wait_for()
        assert f"step {run.reached():,}".split()[1] in tab.inner_text("main")
        shutil.rmtree(run.path)
        tab.get_by_text("this run was deleted").wait_for()


# ------------------------------------------------------------------------------------------------ explore


def test_the_pictures_are_the_generators_and_come_at_once(tab: Any, address: str, runs: Path) -> None:
    opened(tab, address, "plain", "explore")
    tab.get_by_text("16 samples").wait_for()
    before = pixels(tab, "sample 3")
    tab.get_by_role("button", name="New samples").click()
    until_changed(tab, "sample 3", before)
    generator = sampling.load(runs / "plain")
    latents = generator.draw_latents(3)
    sheet = tab.evaluate(
        "async z => { const key = location.hash.split('/')[2], body = JSON.stringify({latents: z});"
        " const sent = {method: 'POST', body, headers: {'content-type': 'application/json'}};"
        " const answer = await fetch(`api/runs/${key}/images`, sent);"
        " return Array.from(new Uint8Array(await answer.arrayBuffer())); }",
        latents.tolist(),
    )
    made = np.asarray(Image.open(io.BytesIO(bytes(sheet)))).reshape(3, 28, 28, 1).astype(int)
    assert np.abs(made - generator.images(latents)).max() <= 1
    waits = []
    for value in np.linspace(0, 1, 12):
        tab.get_by_label("from sample A to sample B").evaluate(
            "(s, v) => { s.value = v; s.dispatchEvent(new Event('input')); }", float(value)
        )
        tab.wait_for_timeout(150)
        waits.append(float(tab.get_by_label("the selected image").get_attribute("data-milliseconds")))
    assert np.median(waits) < 100


def test_walks_directions_truncation_and_the_file(tab: Any, address: str, tmp_path: Path) -> None:
    opened(tab, address, "plain", "explore")
    tab.get_by_text("16 samples").wait_for()
    tab.get_by_label("select sample 5").click()
    tab.get_by_label("select sample 9").click()
    assert "A" in tab.get_by_label("select sample 5").inner_text()
    assert "B" in tab.get_by_label("select sample 9").inner_text()
    until_same(tab, "the selected image", "sample 9")
    tab.get_by_label("from sample A to sample B").press("Home")
    until_same(tab, "the selected image", "sample 5")
    for label, key in (("direction 1", "Home"), ("truncation", "Home"), ("truncation", "End")):
        before = pixels(tab, "the selected image")
        tab.get_by_label(label, exact=True).press(key)
        until_changed(tab, "the selected image", before)
    before = pixels(tab, "the selected image")
    tab.get_by_role("button", name="Walk").click()
    until_changed(tab, "the selected image", before)
    tab.get_by_role("button", name="Walk").click()
    until_settled(tab, "the selected image")
    with tab.expect_download() as download:
        tab.get_by_role("button", name="Download PNG").click()
    download.value.save_as(tmp_path / "sample.png")
    saved = np.asarray(Image.open(tmp_path / "sample.png").convert("RGBA"))
    assert (saved == pixels(tab, "the selected image")).all()


def test_a_class_is_chosen(tab: Any, address: str) -> None:
    opened(tab, address, "conditional", "explore")
    tab.get_by_text("16 samples").wait_for()
    tab.get_by_role("button", name="7", exact=True).click()
    until_settled(tab, "sample 1")  # it may have been a 7
    for label in ("3", "7"):
        before = pixels(tab, "sample 1")
        tab.get_by_role("button", name=label, exact=True).click()
        until_changed(tab, "sample 1", before)


def test_the_discriminator_is_asked_about_a_drawing(tab: Any, address: str) -> None:
    opened(tab, address, "conditional", "explore")
    canvas = tab.get_by_label("draw here, or drop an image")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    tab.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.2 * box["height"])
    tab.mouse.down()
    tab.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.8 * box["height"], steps=5)
    tab.mouse.up()
    tab.get_by_text("More real than", exact=False).or_(tab.get_by_text("more real than", exact=False)).wait_for()
    tab.get_by_text("the nearest generated image that was found").wait_for()
    assert pixels(tab, "draw here, or drop an image")[..., 0].max() > 200
    assert np.ptp(pixels(tab, "gradient of the logit")[..., :3]) > 100
    assert pixels(tab, "the nearest generated image")[..., 3].min() == 255
    first = tab.locator(".answer").inner_text()
    tab.get_by_role("button", name="Use the generated image").click()
    until(tab, lambda: tab.locator(".answer").inner_text() != first)
    tab.get_by_label("class label").select_option("4")


def test_a_run_without_a_checkpoint_cannot_be_explored(tab: Any, address: str) -> None:
    opened(tab, address, "failed")
    assert not tab.get_by_text("Explore the networks").is_visible()
    tab.goto(tab.url + "/explore")
    tab.reload()
    tab.get_by_text("has no checkpoint").wait_for()


# ------------------------------------------------------------------------------------------------ for everybody


@pytest.mark.parametrize("scheme", later(["light", "dark"], "dark"))
def test_nothing_is_wider_than_the_page_in_any_view(scheme: str, browser: Any, address: str) -> None:
    tab = browser.new_page(viewport={"width": 1600, "height": 900}, color_scheme=scheme)
    tab.set_default_timeout(SECONDS)
    opened(tab, address, "judged")
    tab.get_by_role("heading", name="Losses").scroll_into_view_if_needed()
    tab.get_by_label("Losses: discriminator", exact=False).wait_for()
    key = tab.url.split("/")[-1]
    for view in ("#/", f"#/run/{key}", f"#/run/{key}/explore", f"#/compare/{key},{key}"):
        tab.goto(tab.url.split("#")[0] + view)
        tab.locator("h1").first.wait_for()
        for width in (1600, 800, 360):
            tab.set_viewport_size({"width": width, "height": 900})
            tab.wait_for_timeout(500)
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
    bright = tab.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)")
    assert (sum(bright) > 600) == (scheme == "light")
    tab.close()


def test_everything_that_can_be_used_has_a_name_and_is_reached_by_keyboard(tab: Any, address: str) -> None:
    for part in ("", "explore"):
        opened(tab, address, "conditional", part)
        tab.wait_for_timeout(500)
        unnamed = tab.evaluate(
            "Array.from(document.querySelectorAll('button, a[href], input, select, canvas, img'))"
            ".filter(e => e.offsetParent && !(e.getAttribute('aria-label') || e.textContent.trim() || e.alt"
            " || e.closest('label')?.textContent.trim() || e.closest('[aria-hidden]'))).map(e => e.outerHTML)"
        )
        assert unnamed == []
        reached, presses = set[str](), 0
        while len(reached) <= (30 if part else 5):
            tab.keyboard.press("Tab")
            reached.add(tab.evaluate("document.activeElement.outerHTML.slice(0, 200)"))
            assert (presses := presses + 1) < 60
