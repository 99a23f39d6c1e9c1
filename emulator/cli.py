"""`python -m emulator up|environment|down|status|settle`: keep an emulated EC2 running."""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import docker.errors

from emulator import daemon, environment
from emulator.settings import ROOT, Lab, LabError

DEFAULT = Lab()


def say(line: str) -> None:
    """Print a line immediately."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def port(text: str) -> int:
    """A TCP port."""
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port from 1 to 65535")
    return int(text)


def address(text: str) -> str:
    """An IPv4 address."""
    return str(IPv4Address(text))


def network(text: str) -> str:
    """A range of IPv4 addresses."""
    return str(IPv4Network(text))


def name(text: str) -> str:
    """A name of an instance, a region or a container prefix."""
    if not environment.NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name: {environment.NAME_IS}")
    return text


def seconds(text: str) -> float:
    """The maximum time to wait."""
    value = float(text)
    if not 0 < value <= LONGEST_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r} is not from 0 to {LONGEST_SECONDS} s")
    return value


LONGEST_SECONDS = 86_400
NAMES = {
    "prefix": "names of containers, networks and volumes begin so",
    "region": "the one that is emulated",
    "instance": "the environment whose inventory is made",
}
RANGES = {
    "public-range": "public addresses of hosts, which answer on this machine only",
    "vpc-range": "addresses of the VPC",
}
PORTS = {
    "port": "of the API, on 127.0.0.1",
    "registry-port": "of what stands for ECR",
    "mirror-port": "of what stands for Docker Hub",
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(
        prog="python -m emulator",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python -m emulator up --port 5568 (make aws-lab)\n\n"
        "exit codes: 0 done; 1 not done, for the reason in the last line; 2 not understood",
    )
    result.add_argument(
        "--state", type=Path, default=DEFAULT.state, help="folder of the lab (default: %(default)s)"
    )
    commands = result.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start the lab, wait until it answers, say how to use it")
    kinds = ((NAMES, name), (RANGES, network), (PORTS, port))
    of_registries = {"address": "of the registries, on this machine"}
    for texts, kind in (*kinds, (of_registries, address)):
        for option, text in texts.items():
            default = getattr(DEFAULT, option.replace("-", "_"))
            up.add_argument(
                f"--{option}", type=kind, default=default, help=f"{text} (default: %(default)s)"
            )
    further = commands.add_parser(
        "environment", help="make the inventory of another environment, and say where it is"
    )
    further.add_argument("name", type=name, help=f"the instance: {environment.NAME_IS}")
    commands.add_parser("down", help="remove everything that the lab made")
    commands.add_parser("status", help="hosts, addresses and problems, as JSON")
    settle = commands.add_parser("settle", help="wait until the containers are as the API says")
    settle.add_argument(
        "--timeout", type=seconds, default=120.0, help="seconds (default: %(default)s)"
    )
    serve = commands.add_parser("serve", help="the process itself; `up` starts it")
    serve.add_argument("--image", required=True, help="of the hosts")
    return result


def settle(lab: Lab, seconds: float) -> None:
    """Wait, and report the problems if it takes too long."""
    end = time.monotonic() + seconds
    while not (status := daemon.status(lab))["settled"]:
        if time.monotonic() > end:
            sys.exit(f"emulator: not settled after {seconds:.0f} s: {json.dumps(status)}")
        time.sleep(0.2)


USAGE = """
The emulated EC2 runs. In a shell, in the checkout:

  . scripts/environment
  . {env}
  ansible-playbook -i {inventory} playbooks/secrets.yml
  ansible-playbook -i {inventory} site.yml
  ansible-playbook -i {inventory} playbooks/verify.yml
  ansible -i {inventory} fleet -a uptime
  ansible-playbook -i {inventory} teardown.yml -e confirm={instance} -e delete_data={instance}

The inventory is a copy of inventories/aws, for you to change: the fleet is in
{inventory}/group_vars/all/+defaults/fleet.yml.

Hosts appear when something makes instances. Their public addresses answer on this machine only.

API       {endpoint} (record of calls: {calls})
registry  {registry} (stands for ECR: user AWS, the token from `get_authorization_token`)
mirror    https://{mirror} (stands for Docker Hub)
log       {state}/daemon.log
"""


def usage(lab: Lab, inventory: Path) -> str:
    """How to use a running lab: commands to type in the checkout, and paths."""

    def shown(path: Path) -> str:
        here = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
        return shlex.quote(str(here))

    return USAGE.format(
        env=shown(lab.state / "env"),
        inventory=shown(inventory),
        instance=lab.instance,
        state=shown(lab.state),
        endpoint=lab.endpoint,
        calls=shown(lab.calls),
        registry=lab.registry,
        mirror=lab.mirror,
    )


def main() -> None:
    """Run the command line and report an error in one line."""
    try:
        run(parser().parse_args())
    except (
        LabError,
        OSError,
        subprocess.SubprocessError,
        docker.errors.DockerException,
    ) as error:
        sys.exit(f"emulator: {error}")


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    state = arguments.state.resolve()
    if arguments.command == "up":
        lab = Lab(
            state=state,
            prefix=arguments.prefix,
            region=arguments.region,
            port=arguments.port,
            address=arguments.address,
            registry_port=arguments.registry_port,
            mirror_port=arguments.mirror_port,
            public_range=arguments.public_range,
            vpc_range=arguments.vpc_range,
            instance=arguments.instance,
        )
        daemon.up(lab, say)
        say(usage(lab, environment.make(lab, lab.instance)))
        return
    lab = daemon.find(state)
    if arguments.command == "down":
        for name in daemon.down(lab):
            say(f"removed {name}")
    elif arguments.command == "status":
        say(json.dumps(daemon.status(lab), indent=2))
    elif arguments.command == "environment":
        say(str(environment.make(lab, arguments.name)))
    elif arguments.command == "settle":
        settle(lab, arguments.timeout)
    else:
        from emulator.server import serve

        serve(lab, arguments.image)
