"""The whole bench: every quantiser at every number of bits with every seed; what was run before is not run again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from kodak_eval.errors import EvaluationError
from kodak_eval.quantizers.entries import BITS, ENTRIES, Entry, entry_of
from kodak_eval.quantizers.features import Say, load_features
from kodak_eval.quantizers.training import Result, run, warm_up
from nicodec.media.files import write_atomically

RESULTS = "results.jsonl"


@dataclass(frozen=True)
class Request:
    """What to bench.

    Attributes:
        output: folder of results, which is made; a run in it goes on.
        folders: with pictures; none: photographs of scikit-image.
        names: of quantisers; none: all.
        bits: a position.
        seeds: how many.
        seconds: of training each, on one thread.

    """

    output: Path
    folders: tuple[Path, ...] = ()
    names: tuple[str, ...] = ()
    bits: tuple[int, ...] = BITS
    seeds: int = 2
    seconds: float = 6.0

    def entries(self) -> list[Entry]:
        """Those that are named.

        Raises:
            EvaluationError: there is none of a name, or of these bits.

        """
        for each in self.bits:
            if each not in BITS:
                raise EvaluationError(f"{each} bits: give {', '.join(map(str, BITS))}")
        found = []
        for name in self.names:
            entry = entry_of(name)
            if entry is None:
                raise EvaluationError(f"no quantiser {name!r}; there are {', '.join(each.name for each in ENTRIES)}")
            found.append(entry)
        return found or list(ENTRIES)


def bench(request: Request, say: Say) -> list[Result]:
    """Run what has no result yet; all results of the request, in its order.

    Raises:
        EvaluationError: the request names what there is not.
        DatasetError: there are no pictures.

    """
    entries = request.entries()
    features = load_features(request.folders, request.output, say)
    say(
        f"{len(features.training)} rows of {features.training.shape[1]} channels for training, {len(features.test)} "
        f"for tests, of {features.pictures} pictures; {features.kept:.1%} of the latents' energy"
    )
    path = request.output / RESULTS
    done = {_key(result): result for result in read_results(path)}
    jobs = list(_jobs(request, entries))
    warm_up(features)
    found = []
    for number, (entry, bits, seed) in enumerate(jobs, 1):
        key = (entry.name, bits, seed, request.seconds, features.name)
        if key not in done:
            result = run(entry, bits, seed, request.seconds, features)
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(result)) + "\n")
            done[key] = result
            say(
                f"{number}/{len(jobs)} {entry.name}, {bits} bits, seed {seed}: {result.steps} steps, "
                f"{100 * result.mse:.2f} % of the variance left, {result.gap:+.2f} dB to the Gaussian bound"
            )
        found.append(done[key])
    return found


def _jobs(request: Request, entries: Sequence[Entry]) -> Iterator[tuple[Entry, int, int]]:
    for seed in range(request.seeds):
        for bits in request.bits:
            for entry in entries:
                if bits in entry.bits:
                    yield entry, bits, seed


def _key(result: Result) -> tuple[str, int, int, float, str]:
    return result.name, result.nominal, result.seed, result.seconds, result.features


def read_results(path: Path) -> list[Result]:
    """What a file of results holds; a line that was cut short is dropped, from the file too."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    found, whole = [], []
    for line in lines:
        try:
            found.append(Result(**json.loads(line)))
        except (ValueError, TypeError):
            continue
        whole.append(line)
    if len(whole) < len(lines):
        write_atomically(path, "".join(line + "\n" for line in whole).encode(), overwrite=True)
    return found
