"""The real program in processes of its own: what it loads, pipes, several jobs, interruptions."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import nicodec
from tests.cli.cli_helpers import encoded, photograph, program
from tests.test_jobs import dask_cluster


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """Encoders may round otherwise in more threads; only decoders must not."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


HEAVY = {"torch", "PIL", "rich", "constriction", "av", "safetensors"}


def loaded(code, models):
    """Top-level modules that Python has loaded after `code`."""
    code += "\nimport sys; print('LOADED', *{name.partition('.')[0] for name in sys.modules})"
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "NICODEC_MODELS": str(models)},
    )
    return set(result.stdout.rpartition("LOADED")[2].split())


@pytest.mark.parametrize("arguments", [["--help"], ["decompress", "--help"], ["info", "x.nic"], ["-V"]])
def test_light_commands_load_nothing_heavy(models, tmp_path, nic, monkeypatch, arguments):
    """`compress --help` and `models` do: they tell what the families' classes say of themselves."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.nic").write_bytes(nic)
    names = loaded(f"from nicodec_cli.main import run; assert run({arguments}) == 0", models)
    assert not names & (HEAVY | {"numpy"})


def test_importing_the_package_loads_nothing_heavy(models):
    assert not loaded("import nicodec", models) & (HEAVY | {"numpy", "typer"})


def test_importing_the_pillow_plugin_loads_no_torch(models):
    assert not loaded("import nicodec.pillow", models) & {"torch", "constriction"}


def test_pipes_carry_the_files(models, nic):
    compressed = program("compress", "-", "--codec", "tiny", models=models, input=encoded(photograph()))
    assert compressed.returncode == 0
    assert nicodec.info(compressed.stdout).width == 64
    picture = program("decompress", "-", models=models, input=compressed.stdout)
    assert picture.returncode == 0
    assert picture.stdout.startswith(b"\x89PNG")
    broken = program("decompress", "-", models=models, input=nic[:-1])
    assert (broken.returncode, broken.stdout) == (4, b"")


def test_several_jobs_give_the_same_files(models, tmp_path):
    for number in range(3):
        photograph(64 + number).save(tmp_path / f"{number}.png")
    (tmp_path / "bad.png").write_bytes(b"bad")
    (tmp_path / "out").mkdir()
    one = program("compress", "-r", ".", "--codec", "tiny", "-o", "out", models=models, cwd=tmp_path)
    two = program("compress", "-r", ".", "--codec", "tiny", "-j", "2", models=models, cwd=tmp_path)
    assert one.returncode == two.returncode == 1
    assert two.stderr.count(b"nicodec: error: bad.png: not a picture") == 1
    for number in range(3):
        name = f"{number}.nic"
        assert (tmp_path / name).read_bytes() == (tmp_path / "out" / name).read_bytes()
    rows = [line.split()[0] for line in two.stderr.decode().splitlines()[2:5]]
    assert rows == ["0.png", "1.png", "2.png"]  # whichever was done first


@pytest.mark.skipif(os.name == "nt", reason="signals are of another kind there")
@pytest.mark.parametrize(("number", "code", "jobs"), [(signal.SIGINT, 130, 1), (signal.SIGTERM, 143, 2)])
def test_an_interruption_leaves_whole_files_only(models, tmp_path, number, code, jobs):
    for index in range(300):
        photograph().save(tmp_path / f"{index}.png")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a child inherits that it is ignored
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "nicodec_cli", "compress", "-r", ".", "--codec", "tiny", "-j", str(jobs)],
            env={**os.environ, "NICODEC_MODELS": str(models)},
            cwd=tmp_path,
            stderr=subprocess.PIPE,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("*.nic")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert b"Traceback" not in err
    names = {p.name for p in tmp_path.iterdir()}
    assert not [name for name in names if name.endswith(".part")]
    written = [tmp_path / name for name in names if name.endswith(".nic")]
    assert 1 <= len(written) < 300
    assert all(nicodec.info(path).width == 64 for path in written)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("wait", [0, 0.1])
def test_an_interrupt_while_processes_start_is_not_lost(models, tmp_path, wait):
    for index in range(300):
        photograph().save(tmp_path / f"{index}.png")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "nicodec_cli", "compress", "-r", ".", "--codec", "tiny", "-j", "2"],
            env={**os.environ, "NICODEC_MODELS": str(models)},
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            start_new_session=True,  # as a terminal does, the whole group gets the signal
        )
    finally:
        signal.signal(signal.SIGINT, before)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + 60
    while not children.read_text().split() and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(wait)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert b"Traceback" not in err
    assert len(list(tmp_path.glob("*.nic"))) < 300


ON_A_CLUSTER = """
import sys
from functools import partial

from nicodec_cli.batch import run_tasks
from nicodec_cli.decompress import decompress_task
from nicodec_cli.tasks import plan

if __name__ == "__main__":
    wanted = {"recursive": True, "wanted": lambda path: path.suffix == ".nic", "kind": "files"}
    planned = plan(["in"], "out", suffix=lambda path: ".png", **wanted)
    work = partial(decompress_task, format=None, device="cpu", max_pixels=0)
    sys.exit(run_tasks(planned, work, processes=1, overwrite=True, quiet=False, cluster=sys.argv[1], pixels=len))
"""


def test_a_cluster_writes_the_same_files(models, tmp_path, nic, monkeypatch):
    monkeypatch.setenv("NICODEC_MODELS", str(models))
    for name in ("in", "out", "here"):
        (tmp_path / name).mkdir()
    for number in range(4):
        (tmp_path / "in" / f"{number}.nic").write_bytes(nic)
    (tmp_path / "in" / "bad.nic").write_bytes(nic[:-1])
    with dask_cluster(tmp_path) as address:
        result = subprocess.run(
            [sys.executable, "-c", ON_A_CLUSTER, address],
            cwd=tmp_path,
            capture_output=True,
            timeout=300,
            check=False,
        )
    assert result.returncode == 1, result.stderr
    assert b"error: in/bad.nic: " in result.stderr
    program("decompress", "-r", "in", "-o", "here", models=models, cwd=tmp_path)
    names = sorted(path.name for path in (tmp_path / "here").iterdir())
    assert names == ["0.png", "1.png", "2.png", "3.png"]
    for name in names:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()
