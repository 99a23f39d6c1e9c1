"""Settings, addresses, volumes and images, as far as they need no machine."""

from __future__ import annotations

import fcntl
import json
import shlex
import subprocess
import sys
from ipaddress import IPv4Network
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import docker.errors
import pytest
import requests
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from emulator import cgroups, cli, daemon, environment
from emulator.addresses import Pool, conflicts, restore
from emulator.authority import make_certificates
from emulator.cli import usage
from emulator.cloud import data_volumes
from emulator.engine import Engine
from emulator.images import definition, references
from emulator.registry import MIRRORED, Registry
from emulator.settings import ROOT, Lab, LabError, load, parse
from emulator.volumes import Volumes


def test_saved_settings_are_found_again(tmp_path: Path) -> None:
    assert load(tmp_path) is None
    cache = tmp_path / "cache"
    lab = Lab(state=tmp_path, cache=cache, prefix="mr-other", port=1, public_range="198.19.9.0/24")
    lab.save()
    assert load(tmp_path) == lab
    assert parse(lab.text) == lab
    environment = (tmp_path / "env").read_text()
    assert "export AWS_ENDPOINT_URL=http://127.0.0.1:1\n" in environment
    assert f"export MILLRACE_VAULT_PASSWORD_FILE={tmp_path}/vault_password\n" in environment
    # A vault of the checkout's own, whose password is elsewhere, is none of the lab's business.
    assert f"export MILLRACE_VAULT_FILE={tmp_path}/environments/lab/vault.yml\n" in environment


def test_an_environment_says_what_differs_and_nothing_is_left_to_say(tmp_path: Path) -> None:
    lab = Lab(state=tmp_path / "with space")
    inventory = environment.make(lab, "other")
    program = Path(sys.executable).with_name("ansible-inventory")
    words = [program, "-i", inventory / "hosts.yml", "--host", "localhost"]
    done = subprocess.run(
        [str(word) for word in words], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert found["millrace_owner"] == "lab"
    assert found["millrace_admin_cidr"] == "198.18.0.1/32"
    assert found["millrace_vpc_cidr"] == "10.42.0.0/16"
    fleet = yaml.safe_load((inventory / "group_vars/fleet/emulation.yml").read_text())
    assert fleet["millrace_registry"] == "198.18.0.1:5000/other"
    assert "tag:Environment: other\n" in (inventory / "aws_ec2.yml").read_text()
    # What a person changes in it stays.
    (inventory / "group_vars/all/mine.yml").touch()
    assert environment.make(lab, "other") == inventory
    assert (inventory / "group_vars/all/mine.yml").exists()


@pytest.mark.parametrize("name", ["Upper", "a", "../up", "x" * 21])
def test_an_environment_of_no_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(LabError, match="is no name: 2 to 20"):
        environment.make(Lab(state=tmp_path), name)


def test_what_is_typed_can_be_where_there_are_spaces(tmp_path: Path) -> None:
    lab = Lab(state=tmp_path / "with space", instance="other")
    typed = [
        line[2:] for line in usage(lab, lab.environments / "other").splitlines() if line[:2] == "  "
    ]
    lab.save()
    assert all(shlex.split(line) for line in typed)
    words = ["set -eu", *typed[:2], "scripts/vault-password >/dev/null", 'echo "$AWS_URL"']
    script = "\n".join([*words, "command -v ansible-playbook"])
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin"},
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [lab.endpoint, str(ROOT / ".venv/bin/ansible-playbook")]
    assert typed[-1].endswith("teardown.yml -e confirm=other -e delete_data=other")


def test_lab_says_whom_it_waits_for_and_gives_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    with (tmp_path / "lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        monkeypatch.setattr(daemon, "LOCK_SECONDS", 0.5)
        refusal = rf"another lab has held {tmp_path}/lock for 0\.5 s: end it"
        with pytest.raises(LabError, match=refusal), daemon.locked(tmp_path, said.append):
            pytest.fail("it went on")
    assert said == [f"waiting for another lab, which holds {tmp_path}/lock ..."]
    with (
        daemon.locked(tmp_path, said.append),
        (tmp_path / "lock").open("w") as other,
        pytest.raises(BlockingIOError),
    ):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert len(said) == 1


def test_public_addresses_are_used_again_last() -> None:
    pool = Pool("198.19.0.0/30")
    assert [pool.next() for _ in range(3)] == ["198.19.0.1", "198.19.0.2", "198.19.0.1"]


def test_range_that_something_is_in_is_refused() -> None:
    lab = Lab(address="198.18.0.1", public_range="203.0.113.0/24")
    used = [
        ("a mirror", IPv4Network("203.0.113.80")),
        ("a route", IPv4Network("198.18.0.0/24")),
        ("another", IPv4Network("10.0.0.0/8")),
    ]
    assert conflicts(lab, used) == ["a mirror", "a route"]
    assert conflicts(Lab(), used[2:]) == []


def mapping(device: str, volume: str) -> dict[str, object]:
    return {"DeviceName": device, "Ebs": {"VolumeId": volume}}


def test_root_is_no_data_volume() -> None:
    root, data = mapping("/dev/xvda", "vol-a"), mapping("/dev/sdf", "vol-b")
    named = {"RootDeviceName": "/dev/xvda", "BlockDeviceMappings": [data, root]}
    assert data_volumes(named) == ("vol-b",)
    otherwise = {"RootDeviceName": "/dev/sda1", "BlockDeviceMappings": [root, data]}
    assert data_volumes(otherwise) == ("vol-b",)
    assert data_volumes({}) == ()


def test_files_of_volumes(tmp_path: Path) -> None:
    volumes = Volumes(tmp_path)
    assert volumes.files() == []
    volumes.file("vol-1").touch()
    assert volumes.files() == ["vol-1"]
    volumes.delete("vol-1")
    assert volumes.files() == []


def test_device_that_somebody_gives_back_meanwhile_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emulator.volumes.BLOCK", tmp_path)
    file = tmp_path / "loop7" / "loop" / "backing_file"
    file.parent.mkdir(parents=True)
    file.write_text("/lab/vol-1.img (deleted)\n")
    # Found, and not to be read any more.
    (tmp_path / "loop0" / "loop" / "backing_file").mkdir(parents=True)
    assert Volumes(Path("/lab")).devices() == {"/lab/vol-1.img": "loop7"}


def test_image_is_defined_by_content_mode_and_base(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("true\n")
    script.chmod(0o644)
    first = definition(tmp_path, "base")
    assert definition(tmp_path, "base") == first
    assert definition(tmp_path, "other") != first
    script.chmod(0o755)
    assert definition(tmp_path, "base") != first
    script.chmod(0o644)
    script.write_text("false\n")
    assert definition(tmp_path, "base") != first


class Images:
    """This machine's engine: what it has."""

    def __init__(self, *has: str) -> None:
        self.has = set(has)
        self.images = self

    def get(self, name: str) -> Any:
        if name not in self.has:
            raise docker.errors.ImageNotFound(name)
        return SimpleNamespace(id=name)


@pytest.mark.parametrize("has", ["pulled", "built"])
def test_what_packages_give_stands_in_for_what_a_registry_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has: str
) -> None:
    pulled, built = references("mongo")
    assert pulled != built
    there = pulled if has == "pulled" else built
    others = [references(name)[1] for name in MIRRORED if name != "mongo"]
    engine = Images(there, *others)
    lab = Lab(state=tmp_path)
    registry = Registry(lab, engine)  # type: ignore[arg-type]
    monkeypatch.setattr(registry, "get", lambda path: None)
    copied = []
    monkeypatch.setattr(registry, "copy", lambda image, *name: copied.append((image.id, *name)))
    registry.fill()
    repository, tag = pulled.split(":")
    assert (there, f"library/{repository}", tag) in copied
    assert len(copied) == len(MIRRORED)


def test_interface_names_are_short_enough() -> None:
    engine = Engine.__new__(Engine)
    engine.lab = Lab(prefix="a-very-long-prefix")
    assert len(engine.bridge("vpc-0123456789abcdef0")) <= 15


def test_certificate_is_signed_by_the_authority(tmp_path: Path) -> None:
    make_certificates(tmp_path, "198.18.0.1")
    authority = x509.load_pem_x509_certificate((tmp_path / "ca.crt").read_bytes())
    server = x509.load_pem_x509_certificate((tmp_path / "tls.crt").read_bytes())
    server.verify_directly_issued_by(authority)
    assert isinstance(authority.public_key(), ec.EllipticCurvePublicKey)
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(item) for item in names.get_values_for_type(x509.IPAddress)] == ["198.18.0.1"]
    assert (tmp_path / "tls.key").stat().st_mode & 0o077 == 0


def test_control_groups_of_both_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path
    monkeypatch.setattr(cgroups, "ROOT", root)
    assert cgroups.folder("4:memory:/docker/abc") == root / "memory" / "docker" / "abc"
    assert cgroups.folder("1:name=systemd:/docker/abc") == root / "systemd" / "docker" / "abc"
    assert cgroups.folder("0::/system.slice/abc") == root / "system.slice" / "abc"
    (root / "unified").mkdir()
    assert cgroups.folder("0::/docker/abc") == root / "unified" / "docker" / "abc"
    assert cgroups.folder("4:memory:/docker/abc") == root / "memory" / "docker" / "abc"


def test_rules_wait_until_a_host_has_closed_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    run: list[str] = []
    codes = iter([1, 1, 0, 0])

    def fake(words: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        run.append("check" if "-C" in words else words[-3])
        return subprocess.CompletedProcess(words, next(codes), "", "")

    monkeypatch.setattr("emulator.addresses.subprocess.run", fake)
    restore("*mangle", within=7)
    assert run == ["check", "check", "check", "iptables-restore"]


def test_host_that_never_closes_itself_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def fake(words: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(words, 1, "", "")

    monkeypatch.setattr("emulator.addresses.subprocess.run", fake)
    monkeypatch.setattr("emulator.addresses.BOOT_SECONDS", 0)
    with pytest.raises(LabError, match="did not close"):
        restore("*mangle", within=7)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "nosuch",
        "up --port x",
        "up --port 65536",
        "up --address 198.18.0",
        "up --vpc-range 10.0.0.1/8",
        "up --prefix Mr_aws",
        "up --instance x",
        "environment X",
        "settle --timeout nan",
        "settle --timeout 0",
    ],
)
def test_what_is_not_understood_is_told_before_anything_is_made(
    words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "run", lambda _: pytest.fail("it went on"))
    monkeypatch.setattr(sys, "argv", ["emulator", *words.split()])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert ": error: " in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    "error",
    [
        LabError("why"),
        OSError("why"),
        docker.errors.DockerException("why"),
        subprocess.SubprocessError("why"),
        requests.ConnectionError("why"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_a_lab_cannot_do_is_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr(cli, "run", fail)
    monkeypatch.setattr(sys, "argv", ["emulator", "status"])
    with pytest.raises(SystemExit, match=r"^emulator: why$"):
        cli.main()


@pytest.mark.parametrize("command", ["", "up", "environment", "settle"])
def test_the_help_of_a_lab_says_what_each_argument_is(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["emulator", *command.split(), "--help"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "exit codes: 0 done; 1 not done" in shown or command
    for action in cli.parser()._actions:
        assert action.help or action.dest == "command"
