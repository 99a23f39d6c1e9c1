"""`python -m lab up|environment|down|status|settle`: keep an emulated EC2 running."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from pathlib import Path

import docker.errors

from lab import daemon, environment
from lab.settings import ROOT, Lab, LabError

DEFAULT = Lab()


def say(line: str) -> None:
    """One line, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="python -m lab", description=__doc__)
    result.add_argument(
        "--state", type=Path, default=DEFAULT.state, help="folder of the lab (default: %(default)s)"
    )
    commands = result.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start the lab, wait until it answers, say how to use it")
    for name in ("prefix", "region", "address", "public-range", "vpc-range", "instance"):
        up.add_argument(f"--{name}", default=getattr(DEFAULT, name.replace("-", "_")))
    for name in ("port", "registry-port", "mirror-port"):
        up.add_argument(f"--{name}", type=int, default=getattr(DEFAULT, name.replace("-", "_")))
    further = commands.add_parser(
        "environment", help="make the inventory of another environment, and say where it is"
    )
    further.add_argument("name", help="the instance, 2 to 20 characters")
    commands.add_parser("down", help="remove everything that the lab made")
    commands.add_parser("status", help="hosts, addresses and problems, as JSON")
    settle = commands.add_parser("settle", help="wait until the containers are as the API says")
    settle.add_argument("--timeout", type=float, default=120.0, help="seconds")
    serve = commands.add_parser("serve", help="the process itself; `up` starts it")
    serve.add_argument("--image", required=True)
    return result


def settle(lab: Lab, seconds: float) -> None:
    """Wait, and say what is wrong if it takes too long."""
    end = time.monotonic() + seconds
    while not (status := daemon.status(lab))["settled"]:
        if time.monotonic() > end:
            sys.exit(f"lab: not settled after {seconds:.0f} s: {json.dumps(status)}")
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
{inventory}/group_vars/all/fleet.yml.

Hosts appear when something makes instances. Their public addresses answer on this machine only.

API       {endpoint} (record of calls: {calls})
registry  {registry} (stands for ECR: user AWS, the token from `get_authorization_token`)
mirror    https://{mirror} (stands for Docker Hub)
log       {state}/daemon.log
"""


def usage(lab: Lab, inventory: Path) -> str:
    """How to use a lab that runs: what is typed in the checkout, and where things are."""

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
    """Read the command line and say in one line what went wrong."""
    try:
        run(parser().parse_args())
    except (LabError, docker.errors.DockerException) as error:
        sys.exit(f"lab: {error}")


def run(arguments: argparse.Namespace) -> None:
    """Do what was asked for."""
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
        from lab.server import serve

        serve(lab, arguments.image)
