import re

import pytest

from nicodec import errors


def find_classes() -> list[type[errors.NicodecError]]:
    return [item for item in vars(errors).values() if isinstance(item, type)]


def test_exit_codes() -> None:
    expected = {
        "QualityError": 2,
        "DeviceError": 2,
        "InputError": 3,
        "LimitError": 5,
        "UnknownModelError": 6,
        "OutputExistsError": 7,
    }
    for error in find_classes():
        code = 4 if issubclass(error, errors.StreamError) else expected.get(error.__name__, 1)
        assert error.exit_code == code, error


def test_the_table_names_every_code() -> None:
    rows = dict(re.findall(r"^\| (\d) +\| (.*?) +\|", errors.__doc__, re.MULTILINE))
    for error in find_classes():
        if error.__bases__ != (errors.StreamError,):
            assert error.__name__ in rows[str(error.exit_code)]


def test_the_tree_names_every_class() -> None:
    for error in find_classes():
        assert re.search(rf"{error.__name__}\b", errors.__doc__)


@pytest.mark.parametrize("error", find_classes(), ids=lambda error: error.__name__)
def test_one_base(error: type[errors.NicodecError]) -> None:
    assert issubclass(error, errors.NicodecError)
    assert str(error("what, rule, remedy")) == "what, rule, remedy"


def test_quality_error_is_a_value_error() -> None:
    assert issubclass(errors.QualityError, ValueError)


def test_unknown_model_is_no_stream_error() -> None:
    assert not issubclass(errors.UnknownModelError, errors.StreamError)
