"""Many tasks at once: the same results wherever they run, and nothing lost to processes that die."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import pytest

from nicodec import jobs
from nicodec.clusters import ClusterError
from tests import jobs_work

ROOT = Path(__file__).parents[1]

CLUSTER = """
import sys
from distributed import LocalCluster

if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        print(cluster.scheduler_address.replace("tcp", "dask"), flush=True)
        sys.stdin.read()
"""


@contextlib.contextmanager
def dask_cluster(folder: Path) -> Iterator[str]:
    """Two Dask workers of one thread each in a process tree of their own; give the address for --cluster."""
    pytest.importorskip("distributed")
    (folder / "cluster.py").write_text(CLUSTER)
    process = subprocess.Popen(
        [sys.executable, str(folder / "cluster.py")],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
            "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0",  # a killed worker is for us, not for Dask
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.communicate("", timeout=30)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with dask_cluster(tmp_path_factory.mktemp("cluster")) as address:
        yield address


def run(work: Callable[[Any], Any], tasks: list[Any], **where: Any) -> dict[int, Any]:
    return dict(jobs.run(work, tasks, **where))


@pytest.mark.parametrize("processes", [1, 2])
def test_every_task_gives_its_result(processes: int) -> None:
    assert run(jobs_work.square, list(range(7)), processes=processes) == {n: n * n for n in range(7)}
    assert run(jobs_work.square, [], processes=processes) == {}


def test_a_process_computes_in_one_thread_that_waits_passively() -> None:
    places = set(run(jobs_work.place, list(range(6)), processes=2).values())
    assert all(place[1:] == ("1", os.environ["OMP_WAIT_POLICY"]) for place in places)
    assert os.getpid() not in {pid for pid, *_ in places}


def test_a_task_that_kills_its_process_costs_itself_only() -> None:
    results = run(jobs_work.die_at_three, list(range(8)), processes=2)
    died = results.pop(3)
    assert isinstance(died, jobs.Died)
    assert died.reason
    assert results == {n: n for n in range(8) if n != 3}


def test_a_process_that_dies_costs_its_task_a_retry(tmp_path: Path) -> None:
    tasks = [(str(tmp_path / "mark"), n) for n in range(6)]
    assert run(jobs_work.die_once, tasks, processes=2) == {n: n for n in range(6)}


@pytest.mark.parametrize("processes", [1, 2])
def test_what_a_task_raises_is_raised_here(processes: int) -> None:
    with pytest.raises(ZeroDivisionError):
        run(jobs_work.divide, list(range(8)), processes=processes)


def test_an_exception_that_cannot_travel_is_told() -> None:
    with pytest.raises(RuntimeError, match="1 and 2"):
        run(jobs_work.bug, list(range(4)), processes=2)


def test_the_callers_own_context_of_joblib_is_used() -> None:
    with joblib.parallel_config("threading", n_jobs=2):
        places = run(jobs_work.place, list(range(3)), processes=1)
    assert {pid for pid, *_ in places.values()} == {os.getpid()}


PARENT = """
import sys
from nicodec import jobs
from tests import jobs_work

if __name__ == "__main__":
    list(jobs.run(jobs_work.sleep, [sys.argv[1]] * 2, processes=2))
"""


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
    )
    deadline = time.monotonic() + 60
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    workers = [int(path.name) for path in tmp_path.iterdir()]
    assert len(workers) == 2
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 20
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, workers))


def test_a_cluster_gives_the_same_results(cluster: str) -> None:
    assert run(jobs_work.square, list(range(7)), cluster=cluster) == {n: n * n for n in range(7)}
    places = run(jobs_work.place, list(range(6)), cluster=cluster).values()
    assert {threads for _, threads, _ in places} == {"1"}
    assert os.getpid() not in {pid for pid, *_ in places}


def test_a_clusters_worker_that_is_killed_costs_its_task_a_retry(cluster: str, tmp_path: Path) -> None:
    tasks = [(str(tmp_path / "mark"), n) for n in range(6)]
    assert run(jobs_work.die_once, tasks, cluster=cluster) == {n: n for n in range(6)}
    assert (tmp_path / "mark").exists()


def test_a_task_that_kills_every_worker_of_a_cluster_costs_itself_only(cluster: str) -> None:
    results = run(jobs_work.die_at_three, list(range(6)), cluster=cluster)
    assert isinstance(results.pop(3), jobs.Died)
    assert results == {n: n for n in range(6) if n != 3}


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("localhost:8786", "no cluster; give dask://HOST:PORT"),
        ("dask://", "no cluster"),
        ("dask://127.0.0.1:1", "no Dask scheduler answers"),
    ],
)
def test_a_cluster_that_is_none_is_told(address: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("nicodec.clusters.CONNECT_SECONDS", 1)
    with pytest.raises(ClusterError, match=message):
        run(jobs_work.square, [1], cluster=address)


@pytest.mark.parametrize("stopped", [True, False])
def test_a_thread_that_fails_is_told_of_unless_it_was_stopped(stopped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: told.append(args.thread.name))

    def work() -> None:
        with jobs._silence_of_what_is_stopped():
            for name in (jobs.MANAGER, "another"):
                thread = threading.Thread(target={}.__getitem__, args=(1,), name=name)
                thread.start()
                thread.join()
            if stopped:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) if stopped else contextlib.nullcontext():
        work()
    assert told == (["another"] if stopped else ["another", jobs.MANAGER])
