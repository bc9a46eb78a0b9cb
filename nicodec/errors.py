"""The exceptions of nicodec, one small tree.

Every message names the value that was found, the rule that it breaks, and what to do next. The command line
prints the message and exits with the class's `exit_code`:

| exit code | class                        | meaning                                |
|-----------|------------------------------|----------------------------------------|
| 0         | (none)                       | done                                   |
| 1         | NicodecError, OutputError    | failed; the target cannot be written   |
| 2         | QualityError, DeviceError    | a parameter is out of range            |
| 3         | InputError                   | not a picture, unsupported, unreadable |
| 4         | StreamError and its children | the .nic file cannot be decoded        |
| 5         | LimitError                   | larger than the reader's limits        |
| 6         | UnknownModelError            | the model is not installed             |
| 7         | OutputExistsError            | the target exists already              |

NicodecError
├── QualityError (also a ValueError)
├── DeviceError
├── InputError
├── StreamError
│   ├── NotNicodecError
│   ├── TruncatedError
│   ├── CorruptError
│   ├── FutureVersionError
│   └── SymbolMismatchError
├── LimitError
├── UnknownModelError
├── OutputExistsError
└── OutputError
"""


class NicodecError(Exception):
    """Base of every error that nicodec raises on purpose."""

    exit_code: int = 1


class QualityError(NicodecError, ValueError):
    """A parameter value, such as the quality, is out of its range."""

    exit_code = 2


class DeviceError(NicodecError):
    """There is no such torch device, or it cannot be used here."""

    exit_code = 2


class InputError(NicodecError):
    """The input is not a picture, cannot be read, or has a form that nicodec does not support."""

    exit_code = 3


class StreamError(NicodecError):
    """A .nic file cannot be decoded; the subclasses say why."""

    exit_code = 4


class NotNicodecError(StreamError):
    """The file is not a .nic file: its signature is another one, or it is empty."""


class TruncatedError(StreamError):
    """The file ends before its content does."""


class CorruptError(StreamError):
    """The file was altered, or its writer broke a rule of the format."""


class FutureVersionError(StreamError):
    """The file needs a newer reader: a later version, another kind, or an unknown critical part."""


class SymbolMismatchError(StreamError):
    """The decoded symbols differ from the encoder's, as the symbol checksum shows."""


class LimitError(NicodecError):
    """The file asks for more than the reader's limits allow."""

    exit_code = 5


class UnknownModelError(NicodecError):
    """The model that the file names by its fingerprint, or the user by its name, is not installed."""

    exit_code = 6


class OutputExistsError(NicodecError):
    """The target exists already, and overwriting it was not asked for."""

    exit_code = 7


class OutputError(NicodecError):
    """The target cannot be written."""
