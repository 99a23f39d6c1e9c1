"""Starts and stops the process of a lab, and removes everything that the lab created."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from emulator import addresses
from emulator.addresses import Addresses
from emulator.engine import Engine
from emulator.images import build, have
from emulator.registry import MIRRORED, Registry
from emulator.server import STATUS_PATH
from emulator.settings import ROOT, SETTINGS_LABEL, Lab, LabError, load, parse
from emulator.volumes import Volumes

# Enough for a busy machine; a lab that cannot start ends at once, with the reason.
START_SECONDS = 300
# Another lab may be building all images from packages and compressing them for the mirror.
LOCK_SECONDS = 3600


def status(lab: Lab) -> dict[str, Any]:
    """The status that the running lab reports."""
    try:
        with urlopen(lab.endpoint + STATUS_PATH, timeout=10) as answer:
            result: dict[str, Any] = json.load(answer)
    except OSError as error:
        raise LabError(f"no lab answers at {lab.endpoint} ({error})") from None
    return result


def process(lab: Lab) -> int | None:
    """The lab's process, if it runs: found by its command, so also without its state."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_text().split("\0")
        except OSError:
            continue
        if words[1:3] == ["-m", "emulator"] and {"serve", str(lab.state)} <= set(words):
            return int(path.parent.name)
    return None


@contextlib.contextmanager
def locked(cache: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Serialise labs that build the same images and fill the same mirror.

    Reports that it waits for another lab. LabError if this takes longer than LOCK_SECONDS.
    """
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / "lock"
    end = time.monotonic() + LOCK_SECONDS
    waits = False
    with path.open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise LabError(
                        f"another lab has held {path} for {LOCK_SECONDS} s: "
                        "end it, then run this again"
                    ) from None
                if not waits:
                    say(f"waiting for another lab, which holds {path} ...")
                waits = True
                time.sleep(0.2)
        yield


def up(lab: Lab, say: Callable[[str], None]) -> None:
    """Start the lab, unless it is running."""
    if process(lab):
        say("the lab runs already")
        return
    if left := down(lab):
        say(f"removed what an earlier lab left: {', '.join(left)}")
    if conflicts := addresses.conflicts(lab, addresses.in_use()):
        raise LabError(
            f"{lab.address} or {lab.public_range} would hide {', '.join(conflicts)}: "
            "choose others with --address and --public-range"
        )
    lab.save()
    engine = Engine(lab)
    say("images of the hosts, of the registry and for its mirror ...")
    with locked(lab.cache, say):
        have("debian", *MIRRORED)
        image = build(engine.client, "host")
        registry_image = build(engine.client, "registry")
        Addresses(lab).set_up()
        registry = Registry(lab, engine.client)
        registry.start(registry_image)
        say("images into the mirror ...")
        registry.fill()
    lab.calls.unlink(missing_ok=True)
    lab.calls.touch()
    with (lab.state / "daemon.log").open("w") as log:
        words = ["--state", str(lab.state), "serve", "--image", image]
        started = subprocess.Popen(
            [sys.executable, "-m", "emulator", *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            start_new_session=True,
        )
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            status(lab)
        except LabError:
            if started.poll() is not None or time.monotonic() > end:
                tail = "\n".join((lab.state / "daemon.log").read_text().splitlines()[-20:])
                raise LabError(f"the lab did not start; the end of its log:\n{tail}") from None
            time.sleep(0.2)
        else:
            return


def find(state: Path) -> Lab:
    """The lab of a directory: as saved, or as its registry says if the directory was emptied."""
    if lab := load(state):
        return lab
    client = Engine(Lab()).client
    for container in client.containers.list(all=True, filters={"label": SETTINGS_LABEL}):
        lab = parse(container.labels[SETTINGS_LABEL])
        if lab.state == state:
            return lab
    return Lab(state=state)


def end(lab: Lab) -> None:
    """End the process of the lab."""
    pid = process(lab)
    if pid is None:
        return
    os.kill(pid, signal.SIGTERM)
    for _ in range(50):
        if process(lab) is None:
            return
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)


def down(lab: Lab) -> list[str]:
    """Remove everything of the lab, also after a failure; return what was removed."""
    end(lab)
    engine = Engine(lab)
    removed = engine.remove_all()
    volumes = Volumes(lab.state / "volumes")
    volumes.release_all()
    for volume in volumes.files():
        volumes.delete(volume)
        removed.append(volume)
    Addresses(lab).tear_down()
    Registry(lab, engine.client).forget()
    # The directory may exist again if it was emptied while the lab ran.
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(lab.state)
    return removed
