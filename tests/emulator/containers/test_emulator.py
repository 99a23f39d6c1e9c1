"""The emulated EC2 in real containers. They build on each other, in this order."""

from __future__ import annotations

import base64
import json
import shutil
import ssl
import subprocess
from dataclasses import dataclass
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import docker
import pytest

from emulator.settings import LABEL

from .conftest import Fleet, command

OPEN = "timeout 3 bash -c '</dev/tcp/{}/{}' 2>/dev/null && echo open || echo closed"
MOUNT = """
set -e
device=$(ls /dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol*)
sudo mkfs.ext4 -q $device
sudo mkdir /srv/data
uuid=$(sudo blkid -s UUID -o value $device)
line="UUID=$uuid /srv/data ext4 nofail,x-systemd.device-timeout=5s 0 2"
echo "$line" | sudo tee -a /etc/fstab >/dev/null
sudo systemctl daemon-reload
sudo mount /srv/data
echo kept | sudo tee /srv/data/file >/dev/null
"""


@dataclass
class Pair:
    """A server with a data volume, and a client of another group."""

    server: str
    client: str
    server_group: str
    client_group: str


@pytest.fixture(scope="module")
def pair(fleet: Fleet) -> Pair:
    """Two instances."""
    server_group, client_group = fleet.group("server"), fleet.group("client")
    data = {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 1, "DeleteOnTermination": False}}
    server = fleet.run(server_group, data)
    client = fleet.run(client_group)
    fleet.settle()
    return Pair(server, client, server_group, client_group)


def containers() -> list[str]:
    """Names of the lab's containers."""
    found = docker.from_env().containers.list(all=True, filters={"label": f"{LABEL}=mr-awstest"})
    return sorted(item.name for item in found if item.name)


def output(*words: str) -> str:
    """What a program of this machine prints."""
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def test_instances_are_hosts_to_log_in_to(fleet: Fleet, pair: Pair) -> None:
    for instance in (pair.server, pair.client):
        private = fleet.describe(instance)["PrivateIpAddress"]
        assert fleet.ssh(instance, "hostname") == "ip-" + private.replace(".", "-")
        assert fleet.ssh(instance, "sudo -n id -u") == "0"
        assert fleet.ssh(instance, "sudo systemctl is-system-running --wait") == "running"
        assert fleet.ssh(instance, "command -v docker", check=False) == ""
    keys = {
        fleet.ssh(item, "cat /etc/ssh/ssh_host_ed25519_key.pub")
        for item in (pair.server, pair.client)
    }
    assert len(keys) == 2


def test_port_is_blocked_until_a_rule_opens_it(fleet: Fleet, pair: Pair) -> None:
    serve = "sudo systemd-run --quiet --unit=server python3 -m http.server 8000"
    fleet.ssh(pair.server, f"{serve} && sleep 1 && {OPEN.format('127.0.0.1', 8000)}")
    attempt = OPEN.format(fleet.describe(pair.server)["PrivateIpAddress"], 8000)
    assert fleet.ssh(pair.client, attempt) == "closed"
    fleet.allow(
        pair.server_group,
        {"FromPort": 8000, "ToPort": 8000, "UserIdGroupPairs": [{"GroupId": pair.client_group}]},
    )
    fleet.settle()
    assert fleet.ssh(pair.client, attempt) == "open"
    # From the members of that group, not from here, and not to other ports.
    public = fleet.describe(pair.server)["PublicIpAddress"]
    here = subprocess.run(["bash", "-c", OPEN.format(public, 8000)], capture_output=True, text=True)
    assert here.stdout.strip() == "closed"
    other = OPEN.format(fleet.describe(pair.server)["PrivateIpAddress"], 22)
    assert fleet.ssh(pair.client, other) == "closed"


def test_hosts_have_no_metadata_and_no_public_addresses_of_others(fleet: Fleet, pair: Pair) -> None:
    assert fleet.ssh(pair.client, OPEN.format("169.254.169.254", 80)) == "closed"
    public = fleet.describe(pair.server)["PublicIpAddress"]
    fleet.allow(
        pair.server_group, {"FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "10.79.0.0/16"}]}
    )
    fleet.settle()
    assert fleet.ssh(pair.client, OPEN.format(public, 22)) == "closed"


def test_stop_and_start_keep_the_private_address_and_the_volume(fleet: Fleet, pair: Pair) -> None:
    fleet.ssh(pair.server, MOUNT)
    before = fleet.describe(pair.server)
    ec2 = fleet.client("ec2")
    ec2.stop_instances(InstanceIds=[pair.server])
    fleet.settle()
    state = docker.from_env().containers.get(f"mr-awstest-{pair.server}").status
    assert (state, "PublicIpAddress" in fleet.describe(pair.server)) == ("exited", False)
    ec2.start_instances(InstanceIds=[pair.server])
    fleet.settle()
    after = fleet.describe(pair.server)
    assert after["PrivateIpAddress"] == before["PrivateIpAddress"]
    assert after["PublicIpAddress"] != before["PublicIpAddress"]
    assert fleet.ssh(pair.server, "sudo systemctl is-system-running --wait") == "running"
    assert (
        fleet.ssh(pair.server, "findmnt -no FSTYPE /srv/data && cat /srv/data/file") == "ext4\nkept"
    )
    # Its rules hold again, too.
    assert fleet.ssh(pair.client, OPEN.format(after["PrivateIpAddress"], 8001)) == "closed"


def test_reboot_is_another_boot(fleet: Fleet, pair: Pair) -> None:
    boot_id = "cat /proc/sys/kernel/random/boot_id"
    first = fleet.ssh(pair.server, boot_id)
    assert first != fleet.ssh(pair.client, boot_id)
    fleet.client("ec2").reboot_instances(InstanceIds=[pair.server])
    fleet.settle()
    second = fleet.ssh(pair.server, boot_id)
    # From inside: the lab sees it go down and starts it again.
    fleet.ssh(pair.server, "sudo systemctl reboot", check=False)
    third = second
    for _ in range(60):
        if (third := fleet.ssh(pair.server, boot_id, check=False)) not in ("", second):
            break
    assert len({first, second, third, ""}) == 4


def test_volume_that_is_gone_leaves_the_mount_empty(fleet: Fleet, pair: Pair) -> None:
    ec2 = fleet.client("ec2")
    volume = next(
        item["Ebs"]["VolumeId"]
        for item in fleet.describe(pair.server)["BlockDeviceMappings"]
        if item["DeviceName"] == "/dev/sdf"
    )
    ec2.stop_instances(InstanceIds=[pair.server])
    ec2.detach_volume(VolumeId=volume, InstanceId=pair.server)
    ec2.start_instances(InstanceIds=[pair.server])
    fleet.settle()
    fleet.ssh(pair.server, "sudo systemctl is-system-running --wait", check=False)
    assert fleet.ssh(pair.server, "mountpoint -q /srv/data || ls /srv/data | wc -l") == "0"
    ec2.attach_volume(VolumeId=volume, InstanceId=pair.client, Device="/dev/sdf")
    fleet.settle()
    link = f"/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{volume.replace('-', '')}"
    mount = f"until test -b {link}; do sleep 0.2; done; sudo mount {link} /mnt && cat /mnt/file"
    assert fleet.ssh(pair.client, mount) == "kept"


def test_registry_asks_for_the_token_that_ecr_gives(fleet: Fleet) -> None:
    context = ssl.create_default_context(cafile=str(fleet.lab.state / "tls" / "ca.crt"))
    url = f"https://{fleet.lab.registry}/v2/"
    with pytest.raises(HTTPError, match="401"):
        urlopen(url, context=context)
    answer = fleet.client("ecr").get_authorization_token()["authorizationData"][0]
    token = answer["authorizationToken"]
    assert base64.b64decode(token).decode().startswith("AWS:")
    request = Request(url, headers={"Authorization": f"Basic {token}"})
    assert urlopen(request, context=context).status == 200
    # Docker Hub's mirror asks for nothing.
    assert urlopen(f"https://{fleet.lab.mirror}/v2/", context=context).status == 200


def test_hosts_trust_the_registry(fleet: Fleet, pair: Pair) -> None:
    ask = f"import urllib.request as u; print(u.urlopen('https://{fleet.lab.mirror}/v2/').status)"
    assert fleet.ssh(pair.client, f'python3 -c "{ask}"') == "200"


def test_calls_are_written_down(fleet: Fleet, pair: Pair) -> None:
    lines = [json.loads(line) for line in fleet.lab.calls.read_text().splitlines()]
    seen = {(line["service"], line["operation"]) for line in lines}
    assert {("ec2", "RunInstances"), ("ssm", "GetParameter")} <= seen
    # The agent's own.
    assert ("ec2", "DescribeVolumes") not in seen


def test_terminated_and_deleted_is_gone(fleet: Fleet, pair: Pair) -> None:
    ec2 = fleet.client("ec2")
    ec2.terminate_instances(InstanceIds=[pair.server, pair.client])
    fleet.settle()
    assert containers() == ["mr-awstest-registry"]
    assert docker.from_env().networks.list(filters={"label": f"{LABEL}=mr-awstest"}) == []
    assert "198.19.3.0/24" in output("ip", "route")
    assert "198.19.3." not in output("ip", "route").replace("198.19.3.0/24", "")
    folder = fleet.lab.state / "volumes"
    assert len(list(folder.iterdir())) == 1
    for volume in ec2.describe_volumes()["Volumes"]:
        ec2.delete_volume(VolumeId=volume["VolumeId"])
    fleet.settle()
    assert list(folder.iterdir()) == []
    assert list((fleet.lab.state / "instances").iterdir()) == []


def test_down_leaves_nothing(fleet: Fleet) -> None:
    group = fleet.group("left")
    fleet.run(group, {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 1}})
    fleet.settle()
    assert len(containers()) == 2
    # Also if somebody has emptied its folder: a host that ends of it is started again, with this.
    shutil.rmtree(fleet.lab.state)
    (fleet.lab.state / "volumes").mkdir(parents=True)
    assert str(fleet.lab.state) in output("losetup", "--all")
    result = command(fleet.lab.state, "down")
    assert result.returncode == 0, result.stderr
    assert containers() == []
    assert docker.from_env().networks.list(filters={"label": f"{LABEL}=mr-awstest"}) == []
    assert str(fleet.lab.state) not in output("losetup", "--all")
    assert "198.19.3." not in output("ip", "route")
    assert "198.18.0.9" not in output("ip", "address")
    assert "MR-AWSTEST" not in output("iptables", "-t", "nat", "-S")
    assert not fleet.lab.state.exists()
    with pytest.raises(OSError, match="refused"):
        urlopen(fleet.lab.endpoint)
