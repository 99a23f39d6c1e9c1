"""Makes the containers follow the state of the API."""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from emulator.addresses import Addresses, restore
from emulator.cloud import Cloud
from emulator.engine import Engine, Seen
from emulator.model import Action, Actual, Container, Desired, Host, plan
from emulator.settings import Lab
from emulator.volumes import Volumes, listing

LOG = logging.getLogger("lab")
PERIOD = 1.0
RETRY_SECONDS = 5.0


class Agent:
    """Compares periodically, and at once after a call that changes something."""

    def __init__(self, lab: Lab, image: str) -> None:
        self.lab = lab
        self.image = image
        self.cloud = Cloud(lab)
        self.engine = Engine(lab)
        self.addresses = Addresses(lab)
        self.volumes = Volumes(lab.state / "volumes")
        self.folders = lab.state / "instances"
        self.wake = threading.Event()
        self.lock = threading.Lock()
        self.devices = threading.Lock()
        self.pool = ThreadPoolExecutor(max_workers=8)
        self.reboots: Counter[str] = Counter()
        self.rebooted: Counter[str] = Counter()
        # What was applied last: filters per run of a container, volumes per host.
        self.filters: dict[str, tuple[str, str]] = {}
        self.attached: dict[str, tuple[str, ...]] = {}
        self.busy: set[str] = set()
        self.problems: dict[str, tuple[float, str]] = {}
        self.desired = Desired()
        # Whether a call may have changed the state of the API.
        self.stale = True
        self.done = False

    @property
    def settled(self) -> bool:
        """Whether everything matches the API, after all answered calls."""
        return not self.stale and self.done

    def called(self, service: str, operation: str, parameters: dict[str, list[str]]) -> None:
        """Handle a call that was answered."""
        if operation.startswith(("Describe", "Get", "Head", "List")):
            return
        if (service, operation) == ("ec2", "RebootInstances"):
            ids = [value[0] for name, value in parameters.items() if name.startswith("InstanceId")]
            self.reboots.update(ids)
        self.stale = True
        self.wake.set()

    def run(self) -> None:
        """Compare for ever."""
        while True:
            self.wake.wait(PERIOD)
            self.wake.clear()
            try:
                self.step()
            except Exception:
                self.stale = True
                LOG.exception("comparing failed")
                time.sleep(PERIOD)

    def step(self) -> None:
        """Compare once and start the necessary actions."""
        # Read this first, so that actions that end meanwhile are considered next time.
        with self.lock:
            busy = set(self.busy)
        if self.stale:
            # Calls from here on set `stale` again.
            self.done = False
            self.stale = False
            self.desired = self.cloud.desired(self.reboots)
        desired = self.desired
        seen = self.engine.hosts()
        actions = plan(desired, self.actual(seen), busy)
        self.publish(desired, seen)
        for action in actions:
            self.begin(action)
        self.done = not actions and not busy

    def actual(self, seen: dict[str, Seen]) -> Actual:
        """The actual state, from the engine and from what was applied."""
        containers = {}
        for identity, item in seen.items():
            run, filters = self.filters.get(identity, ("", ""))
            containers[identity] = Container(
                id=identity,
                network=item.network,
                running=bool(item.pid),
                volumes=self.attached.get(identity, ()),
                filters=filters if run == item.started else None,
                reboots=self.rebooted[identity],
            )
        folders = [path.name for path in self.folders.glob("*")]
        return Actual(containers, self.engine.networks(), self.volumes.files(), folders)

    def publish(self, desired: Desired, seen: dict[str, Seen]) -> None:
        """Publish the addresses of the running hosts, and no others."""
        self.addresses.publish(
            {
                host.public: (host.private, self.engine.bridge(host.network))
                for host in desired.hosts.values()
                if host.public and host.running and host.id in seen and seen[host.id].pid
            }
        )

    def begin(self, action: Action) -> None:
        """Run network actions now, and others in a thread."""
        failed_at, _ = self.problems.get(action.subject, (0.0, ""))
        if time.monotonic() - failed_at < RETRY_SECONDS:
            return
        with self.lock:
            self.busy.add(action.subject)
        if "network" in action.kind:
            self.carry_out(action)
        else:
            self.pool.submit(self.carry_out, action)

    def carry_out(self, action: Action) -> None:
        """Run one action, and record a failure."""
        LOG.info("%s %s", action.kind, action.subject)
        try:
            self.do(action)
            self.problems.pop(action.subject, None)
        except Exception as error:
            LOG.exception("%s %s failed", action.kind, action.subject)
            self.problems[action.subject] = (time.monotonic(), f"{action.kind}: {error}")
        finally:
            with self.lock:
                self.busy.discard(action.subject)
            self.wake.set()

    def do(self, action: Action) -> None:
        """Dispatch an action."""
        subject = action.subject
        host = self.desired.hosts.get(subject)
        match action.kind:
            case "make-network":
                self.engine.make_network(subject, self.desired.networks[subject])
            case "remove-network":
                self.engine.remove_network(subject)
            case "delete-volume":
                self.volumes.delete(subject)
            case "remove":
                self.remove(subject)
            case "stop":
                self.engine.stop(subject)
            case _ if host is not None:
                self.change(action, host)

    def change(self, action: Action, host: Host) -> None:
        """Apply a change to a host that should run."""
        if action.kind == "create":
            folder = self.folders / host.id
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "authorized_keys").write_text(host.key + "\n")
            shutil.copy(self.lab.state / "tls" / "ca.crt", folder / "ca.crt")
            self.attach(host)
            self.engine.create(host, self.image, folder)
        if action.kind == "reboot":
            self.engine.stop(host.id)
        if action.kind in ("create", "start", "reboot"):
            # This boot covers all reboots requested so far.
            self.rebooted[host.id] = host.reboots
            self.attach(host)
            self.engine.start(host.id)
        if action.kind == "volumes":
            self.attach(host)
            try:
                self.engine.run(host.id, "/usr/local/lib/lab/lab-devices", "announce")
            except Exception:
                # The host does not have them yet: retry next time.
                self.attached[host.id] = ()
                raise
        item = self.engine.hosts()[host.id]
        restore(host.filters, within=item.pid)
        self.filters[host.id] = (item.started, host.filters)

    def attach(self, host: Host) -> None:
        """Attach the devices of a host's volumes, and tell the host about them."""
        with self.devices:
            devices = {
                volume: self.volumes.attach(volume, self.desired.volumes[volume])
                for volume in host.volumes
            }
            (self.folders / host.id / "devices").write_text(listing(devices))
            self.release(host.id, set(self.attached.get(host.id, ())) - set(host.volumes))
            self.attached[host.id] = host.volumes

    def release(self, identity: str, volumes: Iterable[str]) -> None:
        """Release the devices of a host, unless another host has the volume by now."""
        others = {
            volume
            for other, attached in self.attached.items()
            for volume in attached
            if other != identity
        }
        for volume in set(volumes) - others:
            self.volumes.release(volume)

    def remove(self, identity: str) -> None:
        """Remove a host, its files last: as long as they exist, the removal is retried."""
        self.engine.remove(self.engine.name(identity))
        with self.devices:
            self.release(identity, self.attached.get(identity, ()))
            self.attached.pop(identity, None)
        self.filters.pop(identity, None)
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.folders / identity)
