"""The benchmark runs in a checkout that only root reads."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.ansible.conftest import ROOT, load

results = load(ROOT / "benchmarks/results.py", "benchmark_results")
lab = load(ROOT / "benchmarks/lab.py", "benchmark_lab")


def test_what_is_mounted_can_be_read_by_any_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with umask 077; the checkout itself stays as it is."""
    checkout = tmp_path / "checkout"
    shutil.copytree(ROOT / "benchmarks", checkout / "benchmarks")
    monkeypatch.setattr(lab, "ROOT", checkout)

    def peers(*command: str | Path) -> None:
        site = Path(command[command.index("--target") + 1])
        (site / "peer").mkdir(parents=True)
        (site / "peer/module.py").touch()
        for path in (site / "peer/module.py", site / "peer", site):
            path.chmod(path.stat().st_mode & 0o700)

    monkeypatch.setattr(lab, "run", peers)
    ours = (checkout, *checkout.rglob("*"))
    for path in ours:
        path.chmod(path.stat().st_mode & 0o700)
    made = (lab.programs(tmp_path / "bench"), lab.peers_site(tmp_path / "site"))
    mounted = {f"{path}" for path in made}
    used = lab.Lab("image", *made)
    volumes = [part for part in used._code() if part.startswith("--volume=")]
    assert {volume.split("=")[1].split(":")[0] for volume in volumes} == mounted
    for directory in made:
        for path in (directory, *directory.rglob("*")):
            assert path.stat().st_mode & 0o555 >= (0o555 if path.is_dir() else 0o444)
    assert (tmp_path / "bench/plain_loop.py").exists()
    assert all(path.stat().st_mode & 0o077 == 0 for path in ours)


def test_the_page_is_what_was_measured_in_the_words_of_the_template() -> None:
    """Whoever changes the page alone loses it with the next measurement."""
    values = json.loads(results.VALUES.read_text())
    assert results.PAGE.read_text() == results.page(values)


@pytest.mark.parametrize("wrong", ["--events 0", "--rounds -1", "--rate x", "--compression gzip"])
def test_what_is_not_understood_is_told_before_anything_is_deployed(wrong: str) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks/run.py", *wrong.split()],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(
        f"make bench: error: argument {wrong.split()[0]}"
    )


def test_what_fails_is_said_without_a_traceback(tmp_path: Path) -> None:
    """Here there is no Ansible and no engine."""
    done = subprocess.run(
        [sys.executable, "-c", FAILING, ROOT / "benchmarks"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "make bench: docker run: exit code 125\n")


FAILING = """
import sys
sys.path.insert(0, sys.argv.pop())
import run
def servers(keep):
    raise RuntimeError("docker run: exit code 125")
run.servers = servers
run.main()
"""
