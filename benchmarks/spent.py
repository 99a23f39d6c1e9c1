"""What a step takes of a process of its own."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Spent:
    """What a step took; the peak is that of the whole process."""

    seconds: float
    cpu_seconds: float
    peak_megabytes: float


def spend(step: Callable[[], object]) -> None:
    """In the process: run the step, and print what it took."""
    start, cpu = time.monotonic(), time.process_time()
    step()
    seconds, cpu = time.monotonic() - start, time.process_time() - cpu
    status = Path("/proc/self/status").read_text()
    peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    print(json.dumps(asdict(Spent(seconds, cpu, int(peak) / 1024))))


def child(program: str, *words: object) -> Spent:
    """Start this program anew with these words, and return what its step took."""
    command = [sys.executable, program, *map(str, words)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    # What the services log comes before it.
    return Spent(**json.loads(done.stdout.splitlines()[-1]))
