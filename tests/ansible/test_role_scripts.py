"""The small shell programs that roles run on a host to see what is there before they act."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.ansible.conftest import ROOT


def variables(role: str) -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "roles" / role / "vars" / "main.yml").read_text()))


def run(script: str, *arguments: str, path: Path | None = None) -> str:
    environment = {"PATH": f"{path}:{os.environ['PATH']}" if path else os.environ["PATH"]}
    done = subprocess.run(
        ["sh", "-c", script, "sh", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


class Volume:
    """A volume as the script finds it, with a docker client that knows where it is."""

    def __init__(self, directory: Path) -> None:
        self.log = directory / "volume" / "log"
        self.client = directory / "bin"
        self.client.mkdir()
        docker = self.client / "docker"
        mountpoint = directory / "volume"
        docker.write_text(f'#!/bin/sh\necho \'[{{\n    "Mountpoint": "{mountpoint}",\n}}]\'\n')
        docker.chmod(0o755)

    def write(self, name: str, content: str) -> None:
        path = self.log / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    def cluster_id(self) -> str:
        script = variables("kafka")["__kafka_read_cluster_id"]
        return run(script, "instance-kafka-1-data", "log", path=self.client).strip()


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    return Volume(tmp_path)


def test_a_volume_that_does_not_exist_belongs_to_nobody(volume: Volume) -> None:
    assert volume.cluster_id() == ""
    (volume.client / "docker").write_text("#!/bin/sh\nexit 1\n")
    assert volume.cluster_id() == ""


def test_an_empty_volume_belongs_to_nobody(volume: Volume) -> None:
    volume.log.mkdir(parents=True)
    assert volume.cluster_id() == ""


def test_the_cluster_id_is_read(volume: Volume) -> None:
    volume.write("meta.properties", "#\nnode.id=1\ncluster.id=abc-DEF_1\nversion=1\n")
    assert volume.cluster_id() == "abc-DEF_1"


def test_records_without_a_cluster_id_are_not_taken_for_an_empty_volume(volume: Volume) -> None:
    volume.write("stock-data-0/00000000000000000000.log", "records")
    assert volume.cluster_id() == "unknown"


def test_an_interrupted_format_can_be_repeated(volume: Volume) -> None:
    volume.write("__cluster_metadata-0/00000000000000000000.log", "metadata")
    volume.write("bootstrap.checkpoint", "")
    assert volume.cluster_id() == ""


@pytest.mark.parametrize("instance", ["millrace", "mr-kafka", "a", "-"])
def test_the_default_cluster_id_is_one_that_kafka_accepts(instance: str) -> None:
    defaults = yaml.safe_load((ROOT / "roles/kafka/defaults/main.yml").read_text())
    pattern = "{{ (kafka_instance | hash('sha256'))[:21] }}A"
    assert defaults["kafka_cluster_id"] == pattern
    cluster_id = hashlib.sha256(instance.encode()).hexdigest()[:21] + "A"
    raw = base64.urlsafe_b64decode(cluster_id + "==")
    assert len(raw) == 16
    assert base64.urlsafe_b64encode(raw).decode().rstrip("=") == cluster_id
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{20}[AQgw]", cluster_id)


def listing(directory: Path, *names: str) -> str:
    return run(variables("certificates")["__certificates_listing"], str(directory), *names)


def leaf(directory: Path, *, key_age: float = 10, certificate_age: float = 0) -> None:
    directory.mkdir()
    for name, age in (("key.pem", key_age), ("cert.pem", certificate_age), ("ca.pem", 0.0)):
        (directory / name).write_text(f"{directory.name} {name}\n")
        os.utime(directory / name, (time.time() - age,) * 2)


def test_certificates_are_listed_under_their_names(tmp_path: Path) -> None:
    leaf(tmp_path / "one")
    leaf(tmp_path / "two")
    assert listing(tmp_path, "one", "two") == (
        "# one\none cert.pem\none ca.pem\n# two\ntwo cert.pem\ntwo ca.pem\n"
    )


def test_a_certificate_older_than_its_key_is_left_out(tmp_path: Path) -> None:
    leaf(tmp_path / "one", key_age=0, certificate_age=10)
    assert listing(tmp_path, "one") == "# one\n"


def test_a_certificate_without_a_key_is_left_out(tmp_path: Path) -> None:
    leaf(tmp_path / "one")
    (tmp_path / "one" / "key.pem").unlink()
    assert listing(tmp_path, "one", "two") == "# one\n# two\n"


def test_no_directory_is_no_error(tmp_path: Path) -> None:
    assert listing(tmp_path / "nowhere", "one") == ""
