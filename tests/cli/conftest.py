"""The fixtures of the command line's tests."""

import pytest

from tests.cli.cli_helpers import Result, photograph


@pytest.fixture(scope="session")
def models(tiny_model_folder):
    """A folder that holds the model `tiny`, as NICODEC_MODELS wants it."""
    return tiny_model_folder


@pytest.fixture
def place(models, tmp_path, monkeypatch):
    """An empty current folder, with `tiny` installed."""
    monkeypatch.setenv("NICODEC_MODELS", str(models))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(place, capsysbinary):
    """Run the command line in this process; give its exit code, standard output and standard error."""

    def run(*arguments):
        from nicodec_cli.main import run as run_nicodec

        capsysbinary.readouterr()
        code = run_nicodec([str(argument) for argument in arguments])
        out, err = capsysbinary.readouterr()
        return Result(code, out, err.decode())

    return run


@pytest.fixture(scope="session")
def nic(models):
    """The bytes of a .nic file of `photograph()`, written by `tiny`."""
    import nicodec

    return nicodec.compress(photograph(), 50, codec=models / "tiny")
