"""What passive waiting of threads costs on an idle machine, and what it saves on a busy one.

    python -m kodak_eval.waiting PICTURE [ROUNDS]

Two processes decode the picture in turns, one whose threads wait as its runtime's default has it (they spin), one
whose threads wait passively; first with nothing else to do, then with two other processes that compute. Run it on a
machine that is quiet otherwise.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

from nicodec.threads import HOW_TO_WAIT, PASSIVE

DECODER = """
import sys, time
import nicodec
model = nicodec.load()
data = model.compress(sys.argv[1], 50)
for line in sys.stdin:
    start = time.perf_counter()
    model.decompress(data)
    print(time.perf_counter() - start, flush=True)
"""

BUSY = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: pass"


def measure(picture: Path, rounds: int) -> dict[tuple[str, str], float]:
    """Return the median seconds of a decode by how threads wait ("default", "passive") and load ("idle", "busy")."""
    plain = {name: value for name, value in os.environ.items() if name not in HOW_TO_WAIT}
    decoders = {"default": _decoder(picture, plain), "passive": _decoder(picture, plain | PASSIVE)}
    found: dict[tuple[str, str], float] = {}
    try:
        for _ in range(2):  # to warm up
            for decoder in decoders.values():
                _decode(decoder)
        for load, others in (("idle", 0), ("busy", 2)):
            busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(others)]
            try:
                times: dict[str, list[float]] = {way: [] for way in decoders}
                for _ in range(rounds):
                    for way, decoder in decoders.items():
                        times[way].append(_decode(decoder))
            finally:
                for process in busy:
                    process.kill()
                    process.wait()
            found |= {(way, load): statistics.median(seconds) for way, seconds in times.items()}
    finally:
        for decoder in decoders.values():
            decoder.communicate()
    return found


def _decoder(picture: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", DECODER, str(picture)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _decode(decoder: subprocess.Popen[str]) -> float:
    assert decoder.stdin is not None
    assert decoder.stdout is not None
    decoder.stdin.write("\n")
    decoder.stdin.flush()
    return float(decoder.stdout.readline())


def main(picture: str, rounds: str = "21") -> None:
    """Print the times and the two ratios."""
    found = measure(Path(picture), int(rounds))
    for (way, load), seconds in found.items():
        print(f"{way:8} {load:5} {seconds * 1e3:7.0f} ms")
    print(f"idle cost of passive waiting: {100 * (found['passive', 'idle'] / found['default', 'idle'] - 1):+.1f} %")
    print(f"passive, busy against idle: {found['passive', 'busy'] / found['passive', 'idle']:.2f} times")


if __name__ == "__main__":
    main(*sys.argv[1:])
