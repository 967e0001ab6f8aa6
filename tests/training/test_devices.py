"""Many devices and many processes train what one device trains, to rounding, and end together.

This file is also the program of the processes that the tests start: one with four virtual devices, and two that train
together over loopback. Each leaves what it found in a JSON file, which the tests look at.
"""

import contextlib
import dataclasses
import inspect
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array
from recorder import Lines

import sparring
from sparring import data
from sparring.cli.main import main
from sparring.data import batches
from sparring.errors import DeviceError, DiskError, ProcessError, SparringError
from sparring.gan.batch import Batch
from sparring.gan.gan import GAN, Latents, make_gan
from sparring.gan.randomness import random_key
from sparring.gan.state import init_state
from sparring.networks import Labels, Network, Params
from sparring.recipes import named_recipe
from sparring.recipes.recipe import Recipe
from sparring.reports import plots
from sparring.runs import checkpoint
from sparring.runs.run import Run
from sparring.training import feed as windows
from sparring.training import processes
from sparring.training import train as training
from sparring.training.chunks import compile_chunk
from sparring.training.devices import Devices, choose_devices
from sparring.training.reporter import Silence

ROUNDING = 1e-5
"""More than float32 sums in another order change after some steps, and far less than any mistake does."""
END_SECONDS = 60
"""When one of two processes is killed, the other has ended after so long."""
SMALL: dict[str, dict[str, Any]] = {
    "mlp-sgd": {"batch_size": 8, "generator.hidden": (16, 8), "discriminator.hidden": (8,)},
    "mlp-256": {"batch_size": 20, "generator.hidden": (8,), "discriminator.hidden": (8,)},
    "dcgan-tanh": {
        "batch_size": 8, "generator.dense": 16, "generator.channels": (8, 4), "discriminator.channels": (4, 8),
        "discriminator.dense": 16,
    },
}  # fmt: skip
STEPS = 10
CONVOLUTIONAL = "dcgan-tanh"
"""It takes long to compile, so it is tried on one number of devices, and apart."""
DENSE = ("mlp-sgd", "mlp-256")
COUNTS = {"mlp-sgd": ("2", "4"), "mlp-256": ("4",), CONVOLUTIONAL: ("4",)}
"""The numbers of devices for each recipe."""
NORMALISED = "mlp-sgd"
"""The one that shows what BatchNorm over each device alone would do; `dcgan-tanh` has it, too, but takes long."""


def small(name: str, digits: Path, **changes: Any) -> Recipe:
    """The recipe with narrow networks, on few digits, all trained on."""
    settings = {"data": str(digits), "grid_every": 10, "log_every": 5, "validation": 0.0, "judge_every": 0}
    return named_recipe(name).replace(**(settings | SMALL.get(name, {}) | changes))


def difference(a: dict[str, Any], b: dict[str, Any]) -> float:
    """The largest one between two states."""
    assert a.keys() == b.keys()
    return max(float(np.abs(np.asarray(a[name], np.float64) - b[name]).max()) for name in a)


def saved(run: Run, step: int) -> dict[str, Any]:
    """The arrays of a checkpoint."""
    folder = run.checkpoints / f"{step:08d}"
    return checkpoint.unpack(folder / checkpoint.STATE, checkpoint.read_manifest(folder).state)


# ------------------------------------------------------------------------------------------------ four virtual devices


def four_devices(folder: Path, digits: Path) -> dict[str, Any]:
    """What a process with four devices finds out."""
    assert jax.device_count() == 4
    found: dict[str, Any] = {name: shared_steps(name, digits) for name in DENSE}
    found["draws"] = shared_draws()
    recipe = small("mlp-256", digits, steps=STEPS)
    whole = saved(sparring.train(recipe, out=folder / "1", reporter=Silence()), STEPS)
    reporter = Lines()
    for name, first, then in (("1-4", 1, "all"), ("4-2", 4, 2)):
        sparring.train(recipe, out=folder / name, devices=first, steps=STEPS // 2, reporter=Silence())
        run = sparring.train(recipe, out=folder / name, devices=then, reporter=reporter)  # type: ignore[arg-type]
        found[name] = difference(whole, saved(run, STEPS))
    found["lines"] = reporter.lines
    streamed = sparring.train(recipe, out=folder / "streamed", devices=4, window=small_windows(), reporter=reporter)
    held = sparring.train(recipe, out=folder / "held", devices=4, reporter=Silence())
    found["streamed"] = [reporter.lines[-1], difference(saved(held, STEPS), saved(streamed, STEPS))]
    half = recipe.replace(batch_size=12, discriminator_batch="half")
    found["errors"] = [
        sentence(partial(sparring.train, asked, out=folder / "none", devices=devices))
        for devices, asked in ((5, recipe), (0, recipe), (3, recipe), (4, half))
    ]
    found["written by the refused"] = (folder / "none").exists()
    return found


def small_windows() -> int:
    """How much room to ask for, for windows of three steps of 20 digits; it is in KiB from now on."""
    windows.MIB = 1024
    return 100


def shared_steps(name: str, digits: Path) -> dict[str, Any]:
    """How far the state after some steps is from one device's, and whether the work was divided."""
    recipe = small(name, digits)
    images = data.load(str(digits)).images
    gan = make_gan(recipe, (28, 28, 1))

    def trained(count: int, gan: GAN) -> tuple[dict[str, Any], str]:
        devices = choose_devices(count)
        state = devices.place(jax.jit(lambda key: init_state(gan, key))(random_key(0, "weights")))
        placed = Batch(jnp.asarray(devices.place(images)))
        permutation = devices.place(batches.permutation(random_key(0, "permutations"), 0, len(images)))
        chunk = compile_chunk(gan, state, placed, 0, devices)
        for length in (3, STEPS - 3):
            state, rows = chunk(state, placed, permutation, length)
        program = inspect.getclosurevars(chunk).nonlocals["compiled"].as_text()
        return checkpoint.named_arrays(devices.local(state)) | {"rows": rows}, program

    one, program = trained(1, gan)
    found: dict[str, Any] = {}
    for count in COUNTS[name]:
        state, shared_program = trained(int(count), gan)
        found[count] = difference(one, state)
    found["divided"] = "all-reduce" in shared_program and "all-reduce" not in program
    if name == NORMALISED:
        apart, _ = trained(1, dataclasses.replace(gan, generator=in_parts(gan.generator, 4)))
        found["apart"] = difference(one, apart)
    return found


def in_parts(network: Network, count: int) -> Network:
    """The network with BatchNorm over each of `count` parts of the batch, as devices that do not add up have it."""

    def apply(
        params: Params, batch_stats: Params, inputs: Array, labels: Labels | None = None, *, train: bool
    ) -> tuple[Array, Params]:
        parts = [network.apply(params, batch_stats, part, train=train) for part in jnp.split(inputs, count)]
        mean = jax.tree.map(lambda *leaves: sum(leaves) / count, *(after for _, after in parts))
        return jnp.concatenate([outputs for outputs, _ in parts]), mean

    return dataclasses.replace(network, apply=apply)


def shared_draws() -> dict[str, Any]:
    """Whether what is drawn does not depend on the devices, and how much of it each one has."""
    devices, latents, key = choose_devices(4), Latents(5, 1.0), random_key(0, "steps")
    shared = jax.jit(lambda key: devices.share(latents.draw(key, 8)))(key)
    whole = jax.jit(lambda key: latents.draw(key, 8))(key)
    return {
        "equal": np.asarray(shared).tobytes() == np.asarray(whole).tobytes(),
        "shapes": [list(shard.data.shape) for shard in shared.addressable_shards],
        "gathered": [list(shard.data.shape) for shard in jax.jit(devices.gather)(shared).addressable_shards],
    }


def sentence(act: Any) -> str:
    """What the error of this call says, with its kind."""
    try:
        act()
    except (SparringError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


@pytest.fixture(scope="module")
def four(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return found_by_four("four", tmp_path_factory.mktemp("four"), digits)


def found_by_four(kind: str, folder: Path, digits: Path) -> dict[str, Any]:
    """What a process with four devices has found."""
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
    process = start(kind, folder, digits, XLA_FLAGS=flags)
    _, errors = process.communicate(timeout=570)
    assert process.returncode == 0, errors
    return found_in(folder / f"{kind}.json")


@pytest.mark.ci
def test_four_devices_train_convolutions_as_one_does(digits: Path, tmp_path: Path) -> None:
    found = found_by_four(CONVOLUTIONAL, tmp_path, digits)
    assert found["4"] < ROUNDING and found["divided"]


@pytest.mark.parametrize(("name", "count"), [(name, count) for name in DENSE for count in COUNTS[name]])
def test_many_devices_divide_the_work_and_train_what_one_trains(four: dict[str, Any], name: str, count: str) -> None:
    assert four[name][count] < ROUNDING and four[name]["divided"]


def test_batch_norm_over_each_device_alone_would_be_seen(four: dict[str, Any]) -> None:
    assert four[NORMALISED]["apart"] > 100 * ROUNDING


def test_what_is_drawn_does_not_depend_on_the_devices(four: dict[str, Any]) -> None:
    assert four["draws"] == {"equal": True, "shapes": [[2, 5]] * 4, "gathered": [[8, 5]] * 4}


def test_many_devices_share_a_window(four: dict[str, Any]) -> None:
    line, difference = four["streamed"]
    assert "in windows of 3 steps" in line
    assert difference == 0


@pytest.mark.parametrize("way", ["1-4", "4-2"])
def test_a_run_goes_on_with_another_number_of_devices(four: dict[str, Any], way: str) -> None:
    assert four[way] < ROUNDING
    before, after = way.split("-")
    assert any(f"'count': {before}" in line and f"'count': {after}" in line for line in four["lines"])


def test_devices_that_are_not_there_or_cannot_share_are_refused(four: dict[str, Any]) -> None:
    advice = "take another --batch-size or other --devices"
    assert four["errors"] == [
        "DeviceError: there are 4 devices here, so --devices cannot be 5",
        "DeviceError: there are 4 devices here, so --devices cannot be 0",
        f"DeviceError: 20 real images cannot be shared evenly by 3 devices; {advice}",
        f"DeviceError: 6 real images cannot be shared evenly by 4 devices; {advice}",
    ]
    assert not four["written by the refused"]


def test_one_device_is_left_as_it_is() -> None:
    devices, tree = choose_devices(None), {"a": jnp.ones(3)}
    assert devices == choose_devices(1) == Devices()
    assert devices.count == 1
    assert devices.place(tree) is tree
    assert devices.local(tree) is tree
    assert devices.share(tree["a"]) is tree["a"]
    devices.check(real_images=7)
    with pytest.raises(DeviceError, match="there is 1 device here, so --devices cannot be 2"):
        choose_devices(2)


# ------------------------------------------------------------------------------------------------ two processes


def two_processes(folder: Path, digits: Path, place: int, port: int) -> None:
    """What one of two processes does, and leaves in a file; in the end process 1 kills itself."""
    found: dict[str, Any] = {}
    recipe = small("mlp-sgd", digits, steps=STEPS)
    words = ["train", "mlp-sgd", "--data", str(digits)]
    words += ["--batch-size", "8", "--validation", "0", "--judge-every", "0", "--log-every", "5"]
    words += ["--generator.hidden", "16", "8", "--discriminator.hidden", "8"]
    meet = ["--coordinator", f"127.0.0.1:{port}", "--processes", "2", "--process", str(place)]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        status = main([*words, "--grid-every", "10", "--steps", str(STEPS), "--out", str(folder / "whole"), *meet])
    found["whole"] = {"status": status, "printed": printed.getvalue()}

    leaf = np.array([0.0, -0.0, np.nan, place], np.float32)
    found["from leader"] = processes.from_leader({"leaf": leaf})["leaf"].tobytes().hex()
    found["recipe"] = training.recipe_of(folder / ("whole" if place == 0 else "nowhere")) == recipe
    found["read"], windows._read = read_parts()
    sparring.train(recipe, out=folder / "streamed", window=small_windows(), reporter=Silence())
    with contextlib.chdir(folder / str(place)):  # its "images" are others than the other process's
        found["errors"] = [
            sentence(lambda: sparring.train(recipe, out=folder / "none", seed=place)),
            sentence(lambda: sparring.train(recipe, out=folder / "none", data="images")),
            sentence(lambda: sparring.train(recipe, out=folder / "none", devices=1)),
            sentence(lambda: sparring.train(recipe, out=digits)),
            sentence(lambda: sparring.train(recipe, out=folder / "broken", reporter=Broken())),
        ]

    long = recipe.replace(steps=100_000, grid_every=1000)
    if place == 1:
        when_reached(Run(folder / "stopped"), 10, lambda: os.kill(os.getpid(), signal.SIGINT))
    run = sparring.train(long, out=folder / "stopped", reporter=Silence())
    found["stopped"] = [run.ended(), run.reached()]
    (folder / f"two-{place}.json").write_text(json.dumps(found))

    if place == 1:
        when_reached(Run(folder / "killed"), 10, lambda: os.kill(os.getpid(), signal.SIGKILL))
    main([*words, "--steps", "100000", "--checkpoint-seconds", "0.5", "--out", str(folder / "killed")])


def read_parts() -> tuple[list[list[int]], Any]:
    """(steps and images a step of what will be read of windows, what to read them with)."""
    read, shapes = windows._read, []

    def spy(*words: Any) -> Any:
        part = read(*words)
        shapes.append(list(part.shape[:2]))
        return part

    return shapes, spy


class Broken(Silence):
    """Fails in the middle, as a full disk would."""

    def progress(self, step: int, values: dict[str, float]) -> None:
        raise DiskError("no space left on the device")


def when_reached(run: Run, step: int, act: Any) -> None:
    """Do something as soon as the run has logged that step."""

    def wait() -> None:
        while not any(event["event"] == "log" and event["step"] >= step for event in run.events()):
            time.sleep(0.02)
        act()

    threading.Thread(target=wait, daemon=True).start()


def start(which: str, folder: Path, digits: Path, *words: object, **environment: str) -> subprocess.Popen[str]:
    """This file as a program."""
    command = [sys.executable, __file__, which, str(folder), str(digits), *map(str, words)]
    tests = str(Path(__file__).parent.parent)  # where `recorder` is
    surroundings = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": tests} | environment
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=surroundings)


def found_in(path: Path) -> dict[str, Any]:
    """What a process left."""
    content: dict[str, Any] = json.loads(path.read_text())
    return content


@dataclasses.dataclass(frozen=True)
class Two:
    """What two processes left, and how they ended."""

    folder: Path
    found: list[dict[str, Any]]
    status: list[int]
    errors: list[str]
    seconds: float
    """From the end of process 1 to the end of process 0."""


@pytest.fixture(scope="module")
def two(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Two:
    folder = tmp_path_factory.mktemp("two")
    for place in (0, 1):
        copied = shutil.copytree(digits, folder / str(place) / "images")
        images = copied / "train-images-idx3-ubyte"
        images.write_bytes(images.read_bytes()[:-1] + bytes([place]))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = [start("two", folder, digits, place, port) for place in (0, 1)]
    try:
        _, second = started[1].communicate(timeout=570)
        ended = time.monotonic()
        _, first = started[0].communicate(timeout=END_SECONDS)
    finally:
        for process in started:
            process.kill()
    assert all((folder / f"two-{place}.json").is_file() for place in (0, 1)), first + second
    return Two(
        folder=folder,
        found=[found_in(folder / f"two-{place}.json") for place in (0, 1)],
        status=[process.returncode for process in started],
        errors=[first, second],
        seconds=time.monotonic() - ended,
    )


@pytest.mark.ci
def test_two_processes_train_what_one_trains(two: Two, digits: Path, tmp_path: Path) -> None:
    recipe = small("mlp-sgd", digits, steps=STEPS)
    alone = sparring.train(recipe, out=tmp_path / "alone", reporter=Silence())
    together = Run(two.folder / "whole")
    assert difference(saved(alone, STEPS), saved(together, STEPS)) < ROUNDING
    assert together.recipe() == recipe
    assert together.environment()["processes"] == together.environment()["device"]["count"] == 2


@pytest.mark.ci
def test_each_of_two_processes_reads_its_part_of_a_window(two: Two) -> None:
    held, streamed = Run(two.folder / "whole"), Run(two.folder / "streamed")
    assert difference(saved(held, STEPS), saved(streamed, STEPS)) == 0
    assert [found["read"] for found in two.found] == [[[8, 4], [8, 4]]] * 2  # of 8 images a step, 10 steps


@pytest.mark.ci
def test_only_process_0_writes_and_shows_how_it_goes(two: Two) -> None:
    assert [found["whole"]["status"] for found in two.found] == [0, 0]
    assert "New images: sparring sample" in two.found[0]["whole"]["printed"]
    assert two.found[1]["whole"]["printed"] == ""
    events = [(event["event"], event["step"]) for event in Run(two.folder / "whole").events()]
    assert len(set(events)) == len(events)
    assert [event for event in events if event[0] == "log"] == [("log", step) for step in range(5, STEPS + 1, 5)]


@pytest.mark.ci
def test_process_0_alone_reads_the_run(two: Two) -> None:
    expected = np.array([0.0, -0.0, np.nan, 0], np.float32).tobytes().hex()
    assert [found["from leader"] for found in two.found] == [expected, expected]
    assert [found["recipe"] for found in two.found] == [True, True]


@pytest.mark.ci
def test_where_one_fails_all_end_with_a_sentence(two: Two, digits: Path) -> None:
    first, second = (found["errors"] for found in two.found)
    for both, start in (
        (0, "ProcessError: the processes have different settings; all must be started alike"),
        (1, "ProcessError: the processes have different images; all must be started alike"),
        (2, "DeviceError: 2 processes train on all of their 2 devices, so not on 1"),
    ):
        assert first[both] == second[both] == start
    foreign = "it holds 'train-images-idx3-ubyte'; choose another folder"
    assert first[3] == f"RunError: {digits} is neither empty nor a run of Sparring: {foreign}"
    assert second[3] == f"ProcessError: process 0 failed: {first[3].removeprefix('RunError: ')}"
    assert first[4] == "DiskError: no space left on the device"
    assert second[4] == "ProcessError: process 0 failed: no space left on the device"
    assert not (two.folder / "none").exists()


@pytest.mark.ci
def test_ctrl_c_in_one_stops_both_and_one_process_goes_on(two: Two, digits: Path, tmp_path: Path) -> None:
    stopped = Run(two.folder / "stopped")
    (end, reached), _ = (found["stopped"] for found in two.found)
    assert end == "stopped"
    assert 10 <= reached < 100_000
    steps = reached + 10
    recipe = small("mlp-sgd", digits, steps=steps, grid_every=1000)
    whole = sparring.train(recipe, out=tmp_path / "whole", reporter=Silence())
    run = sparring.resume(stopped.path, reporter=Silence(), steps=steps)
    assert run.ended() == "finished"
    assert difference(saved(whole, steps), saved(run, steps)) < ROUNDING


@pytest.mark.ci
def test_when_one_is_killed_the_other_ends_with_a_sentence(two: Two) -> None:
    assert two.status == [2, -signal.SIGKILL]
    assert two.seconds < END_SECONDS
    assert "sparring: another of the processes has ended or cannot be reached" in two.errors[0]
    killed = Run(two.folder / "killed")
    assert killed.ended() == "failed"
    assert checkpoint.newest_step(killed.checkpoints) > 0


# ------------------------------------------------------------------------------------------------ meeting


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--process 1", "--coordinator, --processes and --process go together"),
        ("--coordinator here:1 --processes 2", "--coordinator, --processes and --process go together"),
        ("--coordinator here --processes 2 --process 0", "--coordinator should be HOST:PORT"),
        ("--coordinator here:99999 --processes 2 --process 0", "--coordinator should be HOST:PORT"),
        ("--coordinator here:1 --processes 0 --process 0", "--processes must be 1 or more, not 0"),
        ("--coordinator here:1 --processes 2 --process 2", "--process must lie between 0 and 1, not 2"),
        ("--coordinator here:1 --processes two --process 1", "--processes should be a whole number"),
        ("--distributed --process 1", "--distributed finds the other processes"),
        ("--devices 2", "there is 1 device here, so --devices cannot be 2"),
        ("--devices some", "--devices"),
    ],
)
def test_impossible_words_are_refused_in_one_sentence(
    words: str, message: str, digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "mlp-256", "--data", str(digits), "--out", str(tmp_path / "run"), *words.split()]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("sparring: ")
    assert message in printed
    assert printed.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_one_process_alone_is_asked_nothing() -> None:
    assert processes.count() == 1
    assert processes.leads()
    assert processes.exchange({"a": 1}) == [{"a": 1}]
    with pytest.raises(ProcessError, match="no Slurm"), processes.together():
        raise ProcessError("no Slurm")
    with pytest.raises(ValueError, match="its own"), processes.reaching_others():
        raise ValueError("its own")


def test_who_waits_says_so_and_jax_ends_it(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = (
        "from sparring.training import processes\n"
        "processes.NOTICE_SECONDS, processes.JOIN_SECONDS = 0.2, 2\n"
        f"processes.join('127.0.0.1:{port}', 2, 1)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=END_SECONDS)
    assert ended.returncode != 0
    assert f"waiting for the other processes at 127.0.0.1:{port}; giving up after 2 s" in ended.stderr


def test_without_a_cluster_the_sentence_says_what_to_give() -> None:
    code = "import sys; from sparring.cli.main import main; sys.exit(main(['train', '--distributed']))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=END_SECONDS)
    assert ended.returncode == 2
    assert "which processes train together" in ended.stderr
    assert "Traceback" not in ended.stderr


if __name__ == "__main__":
    kind, where, images, *place_and_port = sys.argv[1:]
    plots.write_plots = lambda run: None  # as in all tests that do not look at them
    if kind == CONVOLUTIONAL:
        (Path(where) / f"{kind}.json").write_text(json.dumps(shared_steps(kind, Path(images))))
    elif kind == "four":
        (Path(where) / "four.json").write_text(json.dumps(four_devices(Path(where), Path(images))))
    else:
        two_processes(Path(where), Path(images), *map(int, place_and_port))
