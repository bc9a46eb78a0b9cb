"""From a model's name or fingerprint to its weights.

A weight file names its codec family and configuration in its own metadata, so that the file alone is enough to
decode; its fingerprint is the first four bytes of its SHA-256. Besides the models of the package, folders that
the environment variable NICODEC_MODELS lists (separated as in PATH) are searched, so that what you trained
yourself can be used by name too.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from nicodec.errors import UnknownModelError

if TYPE_CHECKING:
    from torch import Tensor

    from nicodec.codecs.base import Codec

WEIGHTS_NAME = "weights.safetensors"
FINGERPRINT_BYTES = 4

PACKAGED: dict[str, tuple[str, str]] = {
    # fingerprint: (name, folder). Append only: a file names its model by fingerprint, for ever.
    "ba2c3116": ("hyperprior", "hyperprior"),
}


WITHOUT_WEIGHTS: dict[str, str] = {
    # fingerprint: name and codec family. Append only. The bytes are the SHA-256's first of "nicodec splat 1".
    "a517fb79": "splat",
}


@dataclass(frozen=True)
class ModelEntry:
    """An installed model.

    Attributes:
        name: what users type.
        fingerprint: 4 bytes that files name it by.
        folder: where weights, recipe and card are.

    """

    name: str
    fingerprint: bytes
    folder: Path

    @property
    def weights(self) -> Path | None:
        """The weight file; None for a codec whose files explain themselves."""
        return None if self.fingerprint.hex() in WITHOUT_WEIGHTS else self.folder / WEIGHTS_NAME


def fingerprint_of(weights: Path) -> bytes:
    """First four bytes of the SHA-256 of a weight file."""
    with weights.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()[:FINGERPRINT_BYTES]


def _package_folder() -> Path:
    return Path(str(resources.files("nicodec_models")))


def installed_models() -> list[ModelEntry]:
    """The package's models, then those of NICODEC_MODELS (folders of model folders), without torch."""
    root = _package_folder()
    entries = [ModelEntry(name, bytes.fromhex(key), root / folder) for key, (name, folder) in PACKAGED.items()]
    entries += [ModelEntry(name, bytes.fromhex(key), root / name) for key, name in WITHOUT_WEIGHTS.items()]
    for place in filter(None, os.environ.get("NICODEC_MODELS", "").split(os.pathsep)):
        for weights in sorted(Path(place).glob(f"*/{WEIGHTS_NAME}")):
            entries.append(ModelEntry(weights.parent.name, fingerprint_of(weights), weights.parent))
    return entries


def find_model(key: str | bytes | os.PathLike[str]) -> ModelEntry:
    """Find a model by name, by fingerprint (bytes), or by the path of its folder.

    Raises:
        UnknownModelError: nothing of that name or fingerprint is installed.

    """
    entries = installed_models()
    if isinstance(key, bytes):
        for entry in entries:
            if entry.fingerprint == key:
                return entry
        raise UnknownModelError(
            f"model {key.hex()} is not installed: update nicodec, or put the model's folder into a folder that "
            "NICODEC_MODELS lists"
        )
    for entry in reversed(entries):  # of two weights of one name, the newest writes
        if entry.name == str(key):
            return entry
    folder = Path(key)
    if (folder / WEIGHTS_NAME).is_file():
        return ModelEntry(folder.name, fingerprint_of(folder / WEIGHTS_NAME), folder)
    known = ", ".join(sorted({entry.name for entry in entries})) or "none"
    raise UnknownModelError(f"no model {str(key)!r}; installed: {known}. `nicodec models` lists them")


@cache
def load_codec(entry: ModelEntry, device: str) -> Codec:
    """The codec of a model with its weights, in evaluation mode, on a torch device.

    Raises:
        UnknownModelError: the weights are missing, or are not those of the fingerprint.

    """
    from nicodec.codecs import build_codec

    path = entry.weights
    if path is None:
        return build_codec(WITHOUT_WEIGHTS[entry.fingerprint.hex()], {}).eval().to(device)
    about, tensors = read_weights(path)
    if fingerprint_of(path) != entry.fingerprint:
        raise UnknownModelError(f"{path} was changed since it was released; install nicodec again")
    codec = build_codec(about["codec"], json.loads(about["config"]))
    codec.load_exported(tensors)
    return codec.eval().requires_grad_(False).to(device)


def read_weights(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """What a weight file says of itself, and its tensors.

    Raises:
        UnknownModelError: it cannot be read.

    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise UnknownModelError(f"{path}: cannot read the weights ({error}); install nicodec again") from error


def fault_of(entry: ModelEntry) -> str | None:
    """What is wrong with a model's weights, if anything; without torch.

    They are read through for their fingerprint; of their tensors the table is checked, not the values.
    """
    from safetensors import SafetensorError, safe_open

    path = entry.weights
    if path is None:
        return None
    if not path.is_file():
        return f"{path} is missing; install nicodec again, or put the model's weights there"
    try:
        found = fingerprint_of(path)
        with safe_open(path, framework="np") as file:
            about = file.metadata() or {}
            json.loads(about["config"])
            about["codec"]
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        return f"{path} is no weight file of nicodec, or cut short ({error}); install or train it again"
    if found != entry.fingerprint:
        return f"{path} was changed since it was released: its fingerprint is {found.hex()}; install nicodec again"
    return None


def write_model(codec: Codec, family: str, folder: Path) -> bytes:
    """Write `weights.safetensors` of a trained codec (float16 and integers), whole or not at all.

    Returns:
        Its fingerprint.

    """
    import dataclasses

    from safetensors.torch import save

    from nicodec.media import write_atomically

    folder.mkdir(parents=True, exist_ok=True)
    about = {"codec": family, "config": json.dumps(dataclasses.asdict(codec.config), sort_keys=True)}
    write_atomically(folder / WEIGHTS_NAME, save(codec.exported(), about), overwrite=True)
    return fingerprint_of(folder / WEIGHTS_NAME)
