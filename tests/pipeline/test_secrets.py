"""Replace every secret under watch: the pipeline goes on with the new ones, and none shows.

Every secret of the vault gets a new value, and Kafka a new certificate. While `site.yml -vvvv
--diff` applies them, every process's arguments and environment are sampled; then a service is
crashed, another ends by an exception, and everything that anybody could read is searched for the
old and the new values.

The keys of the upstream APIs, which travel in URLs, get values too. With a key a producer trusts
the public authorities only, so polling the simulator fails, with the key in the URL that fails.
The producers are left like that: this is the last of the pipeline's tests.
"""

import base64
import contextlib
import json
import os
import secrets
import subprocess
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import yaml
from ansible.constants import DEFAULT_VAULT_ID_MATCH
from ansible.parsing.vault import VaultLib, VaultSecret
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from .pipeline import Pipeline, wait_until

ROOT = Path(__file__).parents[2]
SAMPLE_SECONDS = 0.02
FIRST_SAMPLES = 5
"""How often a process is read from when it is first seen: it becomes its program in that time."""
LATER_SAMPLES = 50
"""Of those that follow, one in so many is read: it may have become another program."""
LARGEST_FILE = 10_000_000
KEPT = {"vault_ca_passphrase"}
"""It encrypts a key that exists: replacing it is not a matter of the next deployment."""
KEYED = ("metals", "stocks")
"""The producers that poll with a key."""


class Vault:
    """The vault file of the instance under test."""

    def __init__(self) -> None:
        self.file = Path(os.environ["MILLRACE_VAULT_FILE"])
        password = subprocess.run(
            [ROOT / "scripts/vault-password"], capture_output=True, check=True
        ).stdout.strip()
        self._lib = VaultLib([(DEFAULT_VAULT_ID_MATCH, VaultSecret(password))])

    def read(self) -> dict[str, str]:
        return dict(yaml.safe_load(self._lib.decrypt(self.file.read_bytes())))

    def write(self, values: dict[str, str]) -> None:
        self.file.write_bytes(self._lib.encrypt(yaml.safe_dump(values)))


def replaced(name: str, value: str) -> str:
    if name in KEPT:
        return value
    if name == "vault_mongodb_keyfile":
        return base64.b64encode(secrets.token_bytes(567)).decode()
    if name == "vault_snowflake_private_key":
        made = ec.generate_private_key(ec.SECP256R1())
        return made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return f"canary-{secrets.token_urlsafe(32)}"


def shown(values: Iterable[str]) -> set[str]:
    """What is searched for: of a value with lines, those that are its own."""
    lines = {line for value in values for line in value.splitlines()}
    return {line for line in lines if len(line) >= 8 and not line.startswith("-----")}


class Processes:
    """What has been read of the processes that run, so that most are not read again."""

    def __init__(self, needles: set[str]) -> None:
        self.seen: set[str] = set()
        self._needles = needles
        self._samples: Counter[str] = Counter()

    def sample(self) -> None:
        """Read what is new, or may have become another program since it was."""
        names = {path.name for path in Path("/proc").iterdir()}
        running = {name for name in names if name.isdigit()} - {str(os.getpid())}
        for process in self._samples.keys() - running:
            del self._samples[process]
        for process in running:
            if self._samples[process] < FIRST_SAMPLES or not self._samples[process] % LATER_SAMPLES:
                self._search(process)
            self._samples[process] += 1

    def _search(self, process: str) -> None:
        for part in ("cmdline", "environ"):
            with contextlib.suppress(OSError):
                content = Path("/proc", process, part).read_bytes().decode(errors="replace")
                command = (content if part == "cmdline" else process)[:60]
                if any(needle in content for needle in self._needles):
                    self.seen.add(f"/proc/*/{part} of {command!r}")


@contextmanager
def watched_processes(needles: set[str]) -> Iterator[set[str]]:
    """Sample /proc while the block runs; yields where a needle was seen."""
    processes = Processes(needles)
    stop = threading.Event()

    def sample() -> None:
        while not stop.wait(SAMPLE_SECONDS):
            processes.sample()

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield processes.seen
    finally:
        stop.set()
        thread.join()


def places(pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    """Everything that somebody without root's rights, or a collector of logs, could read."""
    client = pipeline.docker
    for container in pipeline.containers():
        yield f"docker inspect {container.name}", json.dumps(container.attrs)
        yield f"docker logs {container.name}", container.logs().decode(errors="replace")
    for network in client.networks.list():
        yield f"docker network inspect {network.name}", json.dumps(network.attrs)
    for image in client.images.list():
        yield f"docker history {image.id}", json.dumps(image.history())
    yield from content(Path("/var/log/dockerd.log"), skip=False)
    for folder in ("/etc/systemd/system", "/run/systemd/system", "/tmp", "/root/.ansible"):
        for path in files(folder):
            if "molecule" not in path.parts and "pytest" not in str(path):
                yield from content(path)
    for path in files(f"/etc/{pipeline.instance}"):
        if path.stat().st_mode & 0o077:
            yield from content(path)


def files(folder: str) -> Iterator[Path]:
    """The files below a folder; what disappears meanwhile is left out."""
    for directory, _, names in os.walk(folder):
        yield from (Path(directory, name) for name in names)


def content(path: Path, *, skip: bool = True) -> Iterator[tuple[str, str]]:
    """What is in a file; a large one is skipped, or its end is read."""
    with contextlib.suppress(OSError):
        size = path.stat().st_size
        if path.is_file() and (size < LARGEST_FILE or not skip):
            with path.open("rb") as file:
                file.seek(max(0, size - LARGEST_FILE))
                yield str(path), file.read().decode(errors="replace")


def keyed_producers() -> dict[str, object]:
    """What the instance has as producers, but they ask the simulator also when they have a key."""
    found: dict[str, list[dict[str, object]]] = yaml.safe_load(
        (ROOT / "inventories/demo.yml").read_text()
    )
    return {
        "millrace_producers": [
            one | ({"url": "https://simulator:8443"} if one["name"] in KEYED else {})
            for one in found["millrace_producers"]
        ]
    }


def has_failed_to_poll(pipeline: Pipeline, producer: str) -> bool:
    logs = pipeline.container(f"producer-{producer}").logs()
    return b"no answer: " in logs


def end_by_an_exception(pipeline: Pipeline) -> str:
    """The logs of a processor that ends with a traceback, through the clients that it has."""
    pipeline.container("processor").stop()
    try:
        status, logs = pipeline.run_instead("processor", "broken_processor.py")
    finally:
        pipeline.container("processor").start()
    assert status == 1, logs[-2000:]
    assert "Traceback" in logs
    return logs


def test_every_secret_is_replaced_and_none_shows(
    pipeline: Pipeline, inventory: str, tmp_path: Path
) -> None:
    vault = Vault()
    old = vault.read()
    new = {name: replaced(name, value) for name, value in old.items()}
    changed = {name for name in old if old[name] != new[name]}
    assert len(changed) >= 9, "the vault holds fewer secrets than the pipeline has"
    keys = ("metals_api_key", "alpha_vantage_api_key", "snowflake_private_key")
    assert {f"vault_{key}" for key in keys} <= changed
    vault.write(new)
    certificate = Path(f"/etc/{pipeline.instance}/pki/kafka-1/cert.pem")
    replaced_certificate = certificate.read_bytes()
    needles = shown([*old.values(), *new.values()])

    facts = tmp_path / "facts"
    environment = {
        **os.environ,
        "ANSIBLE_CACHE_PLUGIN": "jsonfile",
        "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(facts),
        "ANSIBLE_LOG_PATH": str(tmp_path / "ansible.log"),
    }
    with watched_processes(needles) as seen:
        done = subprocess.run(
            [
                *("ansible-playbook", "--inventory", inventory),
                *("-vvvv", "--diff", "--extra-vars", json.dumps(keyed_producers()), "site.yml"),
                *("-e", '{"certificates_replace": ["kafka-1"]}'),
            ],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-6000:]
    assert certificate.read_bytes() != replaced_certificate

    before = pipeline.container("processor").attrs["State"]["StartedAt"]
    pipeline.crash("processor")

    def back() -> bool:
        started = pipeline.container("processor").attrs["State"]["StartedAt"]
        return bool(started != before and pipeline.is_healthy("processor"))

    wait_until("the crashed processor is back", back, timeout=90)

    for producer in KEYED:
        command = pipeline.run(f"producer-{producer}", "millrace", "producer", "run-now")
        assert command.status == 0, command.stderr
        wait_until("the poll fails", partial(has_failed_to_poll, pipeline, producer), timeout=60)

    texts = [
        ("the logs of a traceback", end_by_an_exception(pipeline)),
        ("ansible-playbook -vvvv --diff", done.stdout + done.stderr),
        ("the log of Ansible", (tmp_path / "ansible.log").read_text()),
        *((str(path), path.read_text()) for path in facts.rglob("*") if path.is_file()),
        *places(pipeline),
    ]
    assert sum(len(text) for _, text in texts) > 1_000_000, "too little was searched"
    hits = {place for place, text in texts for needle in needles if needle in text} | seen
    assert not hits, f"a secret shows in: {sorted(hits)}"
    pipeline.verify()


def test_the_search_finds_what_is_planted(pipeline: Pipeline) -> None:
    """The search above is worth something: a secret in an argument and in an inspect is found."""
    needle = f"canary-{secrets.token_urlsafe(32)}"
    with watched_processes({needle}) as seen:
        process = subprocess.Popen(["sleep", "5", "--", needle], stderr=subprocess.DEVNULL)
        subprocess.run(["sh", "-c", f": {needle}; sleep 0.5"], check=True)
        process.wait()
    assert seen
    name = f"{pipeline.instance}-planted"
    image = pipeline.container("processor").image
    planted = pipeline.docker.containers.create(
        image, name=name, labels={"io.millrace.instance": pipeline.instance, "planted": needle}
    )
    try:
        assert any(needle in text for place, text in places(pipeline) if "planted" in place)
    finally:
        planted.remove(force=True)
