"""How often containers are asked for their health follows from the engine that asks."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SHORT_AND_LONG = {"interval": "20s", "start_period": "60s", "start_interval": "1s"}


@pytest.mark.parametrize(
    ("engine", "timing"),
    [
        ("echo 20.10.24+dfsg1", {}),
        ("echo 24.0.7", {}),
        ("echo 25.0.0", SHORT_AND_LONG),
        ("echo 26.1.5+dfsg1", SHORT_AND_LONG),
        ("exit 1", {}),
    ],
)
def test_only_an_engine_that_can_asks_seldom(
    tmp_path: Path, engine: str, timing: dict[str, str]
) -> None:
    program = tmp_path / "docker"
    program.write_text(f"#!/bin/sh\n{engine}\n")
    program.chmod(0o755)
    done = subprocess.run(
        ["ansible", "localhost", "--module-name=debug", "--args=var=container_health_timing"],
        cwd=ROOT,
        env=os.environ
        | {
            "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
            "ANSIBLE_NOCOLOR": "1",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert yaml.safe_load(done.stdout.partition(" => ")[2]) == {"container_health_timing": timing}
