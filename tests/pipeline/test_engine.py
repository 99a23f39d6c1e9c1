"""The Docker engine is restarted under load: everything is back without a human, nothing is lost.

With live-restore, which the role docker_engine sets, containers run on while the engine is away.
"""

import os
import signal
import subprocess
from pathlib import Path

from docker.errors import DockerException

from .pipeline import Pipeline, wait_until
from .test_faults import assert_nothing_lost, steady_load

ROOT = Path(__file__).parents[2]
PID_FILE = Path("/var/run/docker.pid")


def answers(pipeline: Pipeline) -> bool:
    try:
        return bool(pipeline.docker.ping())
    except DockerException:
        return False


def restart_engine(pipeline: Pipeline, inventory: str) -> float:
    if Path("/run/systemd/system").is_dir():
        subprocess.run(["systemctl", "restart", "docker"], check=True)
        return wait_until("the engine answers", lambda: answers(pipeline), timeout=60)
    engine = int(PID_FILE.read_text())
    os.kill(engine, signal.SIGTERM)
    wait_until("the engine has ended", lambda: not Path(f"/proc/{engine}").exists(), timeout=60)
    # Without systemd nothing supervises the engine: the playbook stands for its supervisor.
    subprocess.run(
        ["ansible-playbook", "--inventory", inventory, "playbooks/engine.yml"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=300,
    )
    return wait_until("the engine answers", lambda: answers(pipeline), timeout=60)


def test_the_engine_is_restarted(pipeline: Pipeline, run: str, inventory: str) -> None:
    def all_healthy() -> bool:
        states = [c.attrs["State"] for c in pipeline.containers()]
        return all(
            s["Running"] and s.get("Health", {"Status": "healthy"})["Status"] == "healthy"
            for s in states
        )

    # The load's own connection to the engine would break, so it has ended before the restart;
    # the producers of the pipeline go on.
    with steady_load(pipeline, run) as load:
        pass
    started = restart_engine(pipeline, inventory)
    seconds = wait_until("every container is healthy", all_healthy, timeout=180)
    print(
        f"\n  the engine answered after {started:.1f} s, everything healthy {seconds:.1f} s later"
    )
    assert_nothing_lost(pipeline, load)
    with steady_load(pipeline, run + "b") as again:
        pass
    assert_nothing_lost(pipeline, again)
