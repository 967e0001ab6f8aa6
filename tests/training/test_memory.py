"""FREE MEMORY: the least of what the machine has and what the control groups leave."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import pytest

from sparring.training import memory
from sparring.training.devices import ONE_DEVICE

GIB = 1 << 30
MEMINFO = "MemTotal:       16777216 kB\nMemFree:          100 kB\nMemAvailable:    4194304 kB\n"


def write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def group(folder: str, limit: str, use: int, spare: int) -> dict[str, str]:
    """A control group of the second kind."""
    folder = f"sys/fs/cgroup/{folder}"
    stat = f"anon 5\ninactive_file {spare}\nactive_file 7\n"
    return {f"{folder}memory.max": limit, f"{folder}memory.current": f"{use}\n", f"{folder}memory.stat": stat}


def test_without_limits_it_is_what_the_machine_has(tmp_path: Path) -> None:
    write(tmp_path, {"proc/meminfo": MEMINFO, "proc/self/cgroup": "0::/\n"} | group("", "max\n", 5, 0))
    assert memory.free_here(tmp_path) == 4 * GIB


def test_a_group_around_ours_may_be_the_narrowest(tmp_path: Path) -> None:
    files = {"proc/meminfo": MEMINFO, "proc/self/cgroup": "0::/jobs/17\n"}
    write(tmp_path, files | group("jobs/", f"{3 * GIB}\n", 2 * GIB, GIB // 2) | group("jobs/17/", f"{8 * GIB}", GIB, 0))
    assert memory.free_here(tmp_path) == 3 * GIB // 2


def test_a_container_does_not_see_the_name_of_its_group(tmp_path: Path) -> None:
    write(tmp_path, {"proc/meminfo": MEMINFO, "proc/self/cgroup": "0::/not/here\n"} | group("", f"{GIB}", GIB // 4, 0))
    assert memory.free_here(tmp_path) == 3 * GIB // 4


def test_the_first_kind_of_groups_counts_too(tmp_path: Path) -> None:
    files = {
        "proc/meminfo": MEMINFO,
        "proc/self/cgroup": "5:cpu:/\n4:memory:/job\n",
        "sys/fs/cgroup/memory/job/memory.limit_in_bytes": f"{2 * GIB}\n",
        "sys/fs/cgroup/memory/job/memory.usage_in_bytes": f"{GIB}\n",
        "sys/fs/cgroup/memory/job/memory.stat": f"inactive_file 3\ntotal_inactive_file {GIB // 2}\n",
    }
    write(tmp_path, files)
    assert memory.free_here(tmp_path) == 3 * GIB // 2


def test_a_group_that_is_full_leaves_nothing(tmp_path: Path) -> None:
    write(tmp_path, {"proc/meminfo": MEMINFO, "proc/self/cgroup": "0::/\n"} | group("", f"{GIB}", 2 * GIB, 0))
    assert memory.free_here(tmp_path) == 0


def test_where_nothing_tells_it_is_all_that_there_is(tmp_path: Path) -> None:
    found = memory.free_here(tmp_path)
    assert found is None or found > GIB // 4


def test_on_a_cpu_half_of_that_may_be_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_here", lambda: 10 * GIB)
    assert memory.room(ONE_DEVICE) == 5 * GIB
    monkeypatch.setattr(memory, "free_here", lambda: None)
    assert memory.room(ONE_DEVICE) is None


def test_several_devices_of_a_cpu_share_it_and_of_gpus_the_smallest_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_here", lambda: 12 * GIB)

    def used(*stats: dict[str, Any] | None) -> Any:
        return SimpleNamespace(mesh=SimpleNamespace(local_devices=[device(s) for s in stats]))

    def device(stats: dict[str, Any] | None) -> Any:
        return SimpleNamespace(memory_stats=lambda: stats)

    assert memory.room(used(None, None, None)) == 2 * GIB
    assert memory.room(used({"bytes_limit": 8 * GIB}, {"bytes_limit": 6 * GIB})) == 3 * GIB
    monkeypatch.setattr(jax, "local_devices", lambda: [device({"bytes_limit": 40 * GIB}), device(None)])
    assert memory.room(ONE_DEVICE) == 20 * GIB
