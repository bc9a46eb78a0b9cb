"""`nicodec models`: the installed models."""

from __future__ import annotations

import json

import typer

from nicodec import DEFAULT_CLIP_CODEC, DEFAULT_CODEC
from nicodec.errors import UnknownModelError
from nicodec_cli import console, options


def models(as_json: options.Json = False) -> None:
    """List the installed models, and verify their weights.

    They are those of the package, and those in the folders that the variable NICODEC_MODELS lists. Exit code 6: the
    weights of one are missing, cannot be read or are not those of its fingerprint.
    """
    from nicodec.zoo import fault_of, installed_models, no_weights_text

    rows, faults = [], []
    entries = installed_models()
    for entry in entries:
        weights = entry.weights
        size = weights.stat().st_size if weights is not None and weights.is_file() else None
        fault = fault_of(entry)
        if fault is not None:
            faults.append(f"model {entry.name}: {fault}")
        if as_json:
            facts = {
                "name": entry.name,
                "fingerprint": entry.fingerprint.hex(),
                "default": entry.name == DEFAULT_CODEC,
                "bytes": size,
                "folder": None if entry.folder is None else str(entry.folder),
                "fault": fault,
            }
            typer.echo(json.dumps(facts))
            continue
        mark = " (default)" if entry.name == DEFAULT_CODEC else ""
        weight = "missing" if size is None else "broken" if fault else console.bytes_text(size)
        weight = "none needed" if weights is None else weight
        rows.append([f"{entry.name}{mark}", entry.fingerprint.hex(), weight, str(entry.folder or "")])
    if rows:
        for line in console.table(["model", "fingerprint", "weights", "folder"], rows):
            typer.echo(line)
    elif not as_json:
        console.say("no models are installed; train one, or list folders of models in NICODEC_MODELS")
    if not as_json and all(entry.name != DEFAULT_CLIP_CODEC for entry in entries):
        console.say(f"of clips: {no_weights_text(DEFAULT_CLIP_CODEC)}")
    for fault in faults:
        console.error(fault)
    if faults:
        raise typer.Exit(UnknownModelError.exit_code)
