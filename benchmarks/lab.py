"""The laboratory: an instance of its own beside any other, containers, and what they use."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INSTANCE = "mr-bench"
NETWORK = f"{INSTANCE}-data"
FILES = Path("/etc") / INSTANCE
TICKS = os.sysconf("SC_CLK_TCK")
BIN = ROOT / ".venv" / "bin"


def run(*command: str | Path, timeout: float = 900, **environment: str) -> str:
    """Run a command; what it printed, or an error that says it."""
    done = subprocess.run(
        [str(part) for part in command],
        env=os.environ | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if done.returncode:
        output = (done.stdout + done.stderr)[-2000:]
        raise RuntimeError(f"{command[0]} {command[1]}: exit code {done.returncode}\n{output}")
    return done.stdout


@dataclass(frozen=True)
class Usage:
    """What a process used so far."""

    cpu_seconds: float
    peak_megabytes: float


class Lab:
    """Containers on the network of the deployed servers."""

    def __init__(self, image: str, programs: Path, site: Path) -> None:
        self._image = image
        self._programs = programs
        self._site = site

    def start(self, name: str, program: str) -> str:
        """Start a contender with the processor's own files, limits apart; its container's name."""
        container = f"{INSTANCE}-{name}"
        environment = {
            "MILLRACE_KAFKA_USERNAME": "processor",
            "MILLRACE_MONGODB_USERNAME": "processor",
        }
        run(
            "docker",
            "run",
            "--detach",
            f"--name={container}",
            f"--label=io.millrace.instance={INSTANCE}",
            f"--network={NETWORK}",
            "--read-only",
            f"--volume={FILES}/processor:/run/secrets:ro",
            *self._code(),
            *(f"--env={key}={value}" for key, value in environment.items()),
            "--entrypoint=python3",
            self._image,
            f"/bench/{program}",
        )
        return container

    def helper(self, program: str, *arguments: object, timeout: float = 300) -> str:
        """Run a program with the administrators' rights until it ends; what it printed."""
        return run(*self._helper(program, *arguments), timeout=timeout)

    @contextmanager
    def lines(self, program: str, *arguments: object) -> Iterator[Iterator[str]]:
        """The same, with its lines as they come."""
        command = self._helper(program, *arguments)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            yield iter(process.stdout)
        if process.returncode:
            raise RuntimeError(f"{program}: exit code {process.returncode}")

    def _helper(self, program: str, *arguments: object) -> Sequence[str]:
        return [
            "docker",
            "run",
            "--rm",
            f"--label=io.millrace.instance={INSTANCE}",
            f"--network={NETWORK}",
            "--user=0",
            f"--volume={FILES}/kafka-admin:/run/kafka-admin:ro",
            f"--volume={FILES}/mongodb-admin:/run/mongodb-admin:ro",
            *self._code(),
            "--entrypoint=python3",
            self._image,
            f"/bench/{program}",
            *map(str, arguments),
        ]

    def _code(self) -> Sequence[str]:
        return [
            f"--volume={self._programs}:/bench:ro",
            f"--volume={self._site}:/site:ro",
            "--env=PYTHONPATH=/opt/millrace:/site",
            "--env=PYTHONDONTWRITEBYTECODE=1",
        ]


class Process:
    """The first process of a container, looked at without asking the engine each time."""

    def __init__(self, container: str) -> None:
        self._container = container
        self._pid = run("docker", "inspect", "--format={{.State.Pid}}", container).strip()

    def usage(self) -> Usage:
        """Processor time and peak resident memory up to now."""
        try:
            fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
            status = Path(f"/proc/{self._pid}/status").read_text()
        except FileNotFoundError:
            logs = run("docker", "logs", "--tail=20", self._container)
            raise RuntimeError(f"{self._container} has ended:\n{logs}") from None
        peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
        return Usage((int(fields[11]) + int(fields[12])) / TICKS, int(peak) / 1024)


def open_to_all(directory: Path) -> Path:
    """Let the containers' user read it: with umask 077 only root does."""
    for path in (directory, *directory.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (0o555 if path.is_dir() else 0o444))
    return directory


def programs(directory: Path) -> Path:
    """A copy of what runs inside: the checkout's own files stay as somebody wants them."""
    return open_to_all(shutil.copytree(ROOT / "benchmarks" / "inside", directory))


def peers_site(directory: Path) -> Path:
    """The packages of the peers, locked, for the image's Python."""
    lock = ROOT / "requirements" / "bench.txt"
    run(
        BIN / "uv",
        "pip",
        "install",
        "--quiet",
        "--target",
        directory,
        "--python-version=3.13",
        f"--python-platform={os.uname().machine}-manylinux_2_28",
        "--require-hashes",
        "--only-binary=:all:",
        "-r",
        lock,
    )
    return open_to_all(directory)


@contextmanager
def servers(keep: bool) -> Iterator[tuple[str, Path]]:
    """Deploy the instance, and remove it whatever happens.

    Gives the image of the processor and a directory for the files of this run.
    """
    directory = Path(tempfile.mkdtemp(prefix=f"{INSTANCE}-"))
    settings = {
        "millrace_instance": INSTANCE,
        "millrace_state_dir": str(directory / "state"),
        "millrace_vault_file": str(directory / "vault.yml"),
        "millrace_feeds": ["stocks"],
        "millrace_producers": [],
        # Nothing is published there: there is no API in this instance.
        "millrace_api_port": 18490,
    }
    environment = {
        "MILLRACE_VAULT_FILE": str(directory / "vault.yml"),
        "MILLRACE_VAULT_PASSWORD_FILE": str(directory / "vault_password"),
    }

    def play(playbook: str, **more: object) -> None:
        values = json.dumps(settings | more)
        run(BIN / "ansible-playbook", playbook, "-e", values, timeout=1800, **environment)

    try:
        play("benchmarks/servers.yml")
        image = run("docker", "inspect", "--format={{.Config.Image}}", f"{INSTANCE}-processor")
        yield image.strip(), directory
    finally:
        if not keep:
            play("playbooks/deploy/teardown.yml", confirm=INSTANCE, keep_images=True)
            shutil.rmtree(directory)
