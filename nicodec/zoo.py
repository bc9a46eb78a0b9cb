"""From a model's name or fingerprint to its weights.

A weight file names its codec family and configuration in its own metadata, so that the file alone is enough to
decode; its fingerprint is the first four bytes of its SHA-256. Besides the models of the package, folders that
the environment variable NICODEC_MODELS lists (separated as in PATH) are searched, so that what you trained
yourself can be used by name too.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from nicodec.codecs.registry import build_codec, family, family_names
from nicodec.errors import UnknownModelError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from nicodec.codecs.base import Codec

WEIGHTS_NAME = "weights.safetensors"
FINGERPRINT_BYTES = 4

PACKAGED: dict[str, tuple[str, str]] = {
    # fingerprint: (name, folder). Append only: a file names its model by fingerprint, for ever.
    "493db1c1": ("hyperprior", "hyperprior"),
    "1046f632": ("video", "video"),
    "08c512f5": ("vqgan", "vqgan"),
    "177112f6": ("hvae", "hvae"),
    "da3645cc": ("mcquic", "mcquic"),
}


@dataclass(frozen=True)
class ModelEntry:
    """An installed model.

    Attributes:
        name: what users type.
        fingerprint: 4 bytes that files name it by.
        folder: where weights, recipe and card are; None for a family whose files explain themselves, whose name
            is the model's.

    """

    name: str
    fingerprint: bytes
    folder: Path | None

    @property
    def weights(self) -> Path | None:
        """The weight file; None for a family whose files explain themselves."""
        return None if self.folder is None else self.folder / WEIGHTS_NAME


def fingerprint_of(weights: Path) -> bytes:
    """First four bytes of the SHA-256 of a weight file; computed once as long as the file stays as it is."""
    about = weights.stat()
    return _fingerprint_of(weights, about.st_mtime_ns, about.st_size)


@cache
def _fingerprint_of(weights: Path, changed: int, size: int) -> bytes:
    with weights.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()[:FINGERPRINT_BYTES]


def fingerprint_without_weights(family: str) -> bytes:
    """What files of a family without weights name their model by: from the SHA-256 of "nicodec FAMILY 1"."""
    return hashlib.sha256(f"nicodec {family} 1".encode()).digest()[:FINGERPRINT_BYTES]


def _package_folder() -> Path:
    return Path(str(resources.files("nicodec_models")))


def has_packaged_weights(name: str) -> bool:
    """Whether the package comes with weights of a name."""
    return any(name == packaged for packaged, _ in PACKAGED.values())


def no_weights_text(name: str) -> str:
    """What a user is told of a model whose weights are not installed."""
    return (
        f"{name} has no weights here: train it with `nicodec train`, and let NICODEC_MODELS list the folder that "
        f"holds its folder {name}"
    )


def models_with_weights() -> list[ModelEntry]:
    """The package's models, then those of NICODEC_MODELS (folders of model folders), without torch."""
    root = _package_folder()
    entries = [ModelEntry(name, bytes.fromhex(key), root / folder) for key, (name, folder) in PACKAGED.items()]
    for place in filter(None, os.environ.get("NICODEC_MODELS", "").split(os.pathsep)):
        for weights in sorted(Path(place).glob(f"*/{WEIGHTS_NAME}")):
            with contextlib.suppress(OSError):  # it went, or may not be read
                entries.append(ModelEntry(weights.parent.name, fingerprint_of(weights), weights.parent))
    return entries


def installed_models() -> list[ModelEntry]:
    """All models that can encode: those with weights, and the families that need none."""
    entries = models_with_weights()
    for name in family_names():
        if not family(name).needs_weights:
            entries.append(ModelEntry(name, fingerprint_without_weights(name), None))
    return entries


def find_model(key: str | bytes | os.PathLike[str]) -> ModelEntry:
    """Find a model by name, by fingerprint (bytes), or by the path of its folder, without torch.

    Raises:
        UnknownModelError: nothing of that name or fingerprint is installed.

    """
    entries = models_with_weights()
    bare = [ModelEntry(name, fingerprint_without_weights(name), None) for name in family_names()]
    if isinstance(key, bytes):
        for entry in entries + bare:
            if entry.fingerprint == key:
                return entry
        raise UnknownModelError(
            f"model {key.hex()} is not installed: update nicodec, or put the model's folder into a folder that "
            "NICODEC_MODELS lists"
        )
    if not isinstance(key, (str, os.PathLike)):
        raise UnknownModelError(f"{key!r} names no model; give a name of `nicodec models`, or a model's folder")
    for entry in [*reversed(entries), *bare]:  # of two weights of one name, the newest writes
        if entry.name == str(key):
            return entry
    folder = Path(os.fsdecode(key))
    with contextlib.suppress(OSError, ValueError):
        if (folder / WEIGHTS_NAME).is_file():
            return ModelEntry(folder.name, fingerprint_of(folder / WEIGHTS_NAME), folder)
    known = ", ".join(sorted({entry.name for entry in entries + bare})) or "none"
    raise UnknownModelError(f"no model {str(key)!r}; installed: {known}. `nicodec models` lists them")


def load_codec(entry: ModelEntry, device: torch.device) -> Codec:
    """The codec of a model with its weights, in evaluation mode, on a torch device; its state is its caller's own.

    Raises:
        UnknownModelError: the weights are missing, do not fit, or are not those of the fingerprint.

    """
    path = entry.weights
    if path is None:
        if family(entry.name).needs_weights:
            raise UnknownModelError(no_weights_text(entry.name))
        return build_codec(entry.name, {}).eval().to(device)
    about, tensors = read_weights(path)
    if fingerprint_of(path) != entry.fingerprint:
        raise UnknownModelError(f"{path} was changed since it was released; install nicodec again")
    try:
        codec = build_codec(about["codec"], json.loads(about["config"]))
        codec.load_exported(tensors)
        lend(codec, device)
    except (KeyError, TypeError, ValueError) as error:
        raise UnknownModelError(f"{path}: not the weights of a model ({error}); install the model again") from error
    return codec.eval().requires_grad_(False).to(device)


def lend(codec: Codec, device: torch.device) -> None:
    """Hand a codec the models that it works with.

    Raises:
        UnknownModelError: one is not installed.
        ValueError: it cannot be used.

    """
    for fingerprint in codec.borrowed():
        codec.borrow(fingerprint, load_codec(find_model(bytes.fromhex(fingerprint)), device))


def family_of(entry: ModelEntry) -> str:
    """Name of a model's codec family, without torch.

    Raises:
        UnknownModelError: its weights cannot be read.

    """
    if entry.weights is None:
        return entry.name
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(entry.weights, framework="numpy") as file:
            return str((file.metadata() or {})["codec"])
    except (OSError, SafetensorError, KeyError) as error:
        raise UnknownModelError(f"{entry.weights}: cannot read the weights ({error}); install it again") from error


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
