"""`make bench`: the processor next to its peers, on the same topic, into the same database.

Deploys servers and processor as an instance of its own, fills the topic, lets each contender drain
it in turn, then measures how long single events take at a steady rate. Writes docs/benchmarks.md
and removes everything again.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lab import INSTANCE, Lab, Process, Usage, peers_site, programs, run, servers
from results import COMPRESSIONS, CONFLUENT, PLAIN, PROCESSOR, Drain, Latency, Names, Results

SETTLE_SECONDS = 8
PLACES = {
    "fill": "processor: Redis is filled from MongoDB",
    "away": "processor: a value of each comes while Redis is away",
    "answer": "API: the largest page of `/v1/quotes/latest`",
}


@dataclass(frozen=True)
class Contender:
    """Something that reads the topic and fills the collection."""

    name: str
    start: Callable[[], str]
    """Starts it, and gives the name of its container."""
    stop: Callable[[], object]


def contenders(lab: Lab) -> list[Contender]:
    """Those that are compared."""

    def loop(name: str, container: str, program: str) -> Contender:
        return Contender(
            name,
            lambda: lab.start(container, program),
            lambda: run("docker", "rm", "--force", f"{INSTANCE}-{container}"),
        )

    def start_processor() -> str:
        run("docker", "start", f"{INSTANCE}-processor")
        return f"{INSTANCE}-processor"

    def stop_processor() -> None:
        run("docker", "stop", f"{INSTANCE}-processor")

    return [
        loop(PLAIN, "plain", "plain_loop.py"),
        Contender(PROCESSOR, start_processor, stop_processor),
        loop(CONFLUENT, "confluent", "confluent_loop.py"),
    ]


@contextmanager
def running(contender: Contender) -> Iterator[Process]:
    """The contender's process while it runs."""
    try:
        yield Process(contender.start())
    finally:
        contender.stop()


def drain(lab: Lab, contender: Contender, expected: int) -> Drain:
    """Let it store the whole topic, and check the count."""
    lab.helper("reset.py", "beginning")
    looks: list[tuple[float, int, Usage]] = []
    with running(contender) as process, lab.lines("watch.py", expected) as lines:
        for line in lines:
            moment, stored = line.split()
            if int(stored):
                looks.append((float(moment), int(stored), process.usage()))
    (begin, count_before, used_before), (end, count, used) = looks[0], looks[-2]
    if looks[-1][1] != expected:
        raise RuntimeError(f"{contender.name}: {looks[-1][1]} of {expected} events are stored")
    return Drain(
        contender=contender.name,
        events_per_second=(count - count_before) / (end - begin),
        cpu_per_million=1e6 * (used.cpu_seconds - used_before.cpu_seconds) / (count - count_before),
        peak_megabytes=used.peak_megabytes,
    )


def latency(lab: Lab, contender: Contender, rate: int, seconds: int) -> Latency:
    """Measure single events at a steady rate, with nothing to catch up with."""
    lab.helper("reset.py", "end")
    with running(contender) as process:
        time.sleep(SETTLE_SECONDS)
        before, began = process.usage(), time.monotonic()
        answer = json.loads(lab.helper("latency.py", rate, seconds))
        cpu = (process.usage().cpu_seconds - before.cpu_seconds) / (time.monotonic() - began)
    return Latency(contender.name, answer["p50"], answer["p99"], 100 * cpu)


def names(lab: Lab, symbols: int) -> Iterator[Names]:
    """Measure what is done with all symbols there are, each time in a process of its own."""
    lab.helper("names.py", "store", symbols, timeout=600)
    for name, place in PLACES.items():
        # What the services log comes before it.
        found = json.loads(lab.helper("names.py", name, timeout=600).splitlines()[-1])
        yield Names(place, found["before"], found["peak"], found["seconds"])


def measure(lab: Lab, options: argparse.Namespace) -> Results:
    """All rounds, in alternating order; then what has no rounds, since it does not vary."""
    results = Results(
        options.events, options.compression, options.rate, options.rounds, options.symbols
    )
    run("docker", "stop", f"{INSTANCE}-processor")
    print(f"filling the topic with {options.events} events", flush=True)
    lab.helper("load.py", options.events, options.compression, timeout=600)
    expected = int(lab.helper("reset.py", "beginning"))
    if expected != options.events:
        raise RuntimeError(f"the topic has {expected} events instead of {options.events}")
    order = contenders(lab)
    for number in range(options.rounds):
        for contender in order:
            drained = drain(lab, contender, expected)
            results.drains.append(drained)
            print(f"round {number + 1}: {drained}", flush=True)
        order.reverse()
    for number in range(options.rounds):
        for contender in order:
            measured = latency(lab, contender, options.rate, options.seconds)
            results.latencies.append(measured)
            print(f"round {number + 1}: {measured}", flush=True)
        order.reverse()
    for item in names(lab, options.symbols):
        results.names.append(item)
        print(item, flush=True)
    return results


def count(text: str) -> int:
    """A number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="make bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='example: make bench ARGS="--events 100000 --rounds 1"\n\n'
        "exit codes: 0 measured, and docs/benchmarks.md is written; 1 something failed, for the\n"
        "reason in the last lines; 2 not understood",
    )
    parser.add_argument("--events", type=count, default=600_000, help="in the topic")
    parser.add_argument("--rounds", type=count, default=3, help="of all contenders")
    parser.add_argument("--rate", type=count, default=500, help="events a second for the latency")
    parser.add_argument("--seconds", type=count, default=20, help="how long at that rate")
    parser.add_argument(
        "--symbols", type=count, default=1_000_000, help="of which memory is measured"
    )
    parser.add_argument(
        "--compression", choices=COMPRESSIONS, default="none", help="of the events in the topic"
    )
    parser.add_argument("--keep", action="store_true", help="leave the instance for a closer look")
    return parser


def main() -> None:
    """Parse, deploy, measure, write down, remove."""
    options = parser().parse_args()
    try:
        bench(options)
    except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:
        sys.exit(f"make bench: {error}")


def bench(options: argparse.Namespace) -> None:
    """Deploy, measure, write down, remove."""
    print(f"deploying {INSTANCE}", flush=True)
    with servers(options.keep) as (image, directory):
        lab = Lab(image, programs(directory / "bench"), peers_site(directory / "site"))
        results = measure(lab, options)
    print(results.table())
    print(results.memory())
    results.write()


if __name__ == "__main__":
    main()
