"""`python -m lab up|down|status|settle`: keep an emulated EC2 running."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import docker.errors

from lab import daemon
from lab.settings import Lab, LabError

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
    for name in ("prefix", "region", "address", "public-range"):
        up.add_argument(f"--{name}", default=getattr(DEFAULT, name.replace("-", "_")))
    for name in ("port", "registry-port", "mirror-port"):
        up.add_argument(f"--{name}", type=int, default=getattr(DEFAULT, name.replace("-", "_")))
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
The emulated EC2 runs. In a shell:

  . scripts/environment
  . {state}/env
  ansible-playbook -i inventories/aws site.yml -e millrace_admin_cidr={cidr}

Hosts appear when something makes instances, for example a playbook. Their public addresses answer
on this machine only; log in as `admin` with the key pair's private key:

  ssh -o IdentitiesOnly=yes -i .millrace/INSTANCE/ssh/id_ed25519 admin@PUBLIC_ADDRESS

API       {endpoint} (record of calls: {calls})
registry  {registry} (stands for ECR: user AWS, the token from `get_authorization_token`)
mirror    https://{mirror} (stands for Docker Hub)
log       {state}/daemon.log
"""


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
        )
        daemon.up(lab, say)
        say(
            USAGE.format(
                state=state,
                cidr=lab.admin_cidr,
                endpoint=lab.endpoint,
                calls=lab.calls,
                registry=lab.registry,
                mirror=lab.mirror,
            )
        )
        return
    lab = daemon.find(state)
    if arguments.command == "down":
        for name in daemon.down(lab):
            say(f"removed {name}")
    elif arguments.command == "status":
        say(json.dumps(daemon.status(lab), indent=2))
    elif arguments.command == "settle":
        settle(lab, arguments.timeout)
    else:
        from lab.server import serve

        serve(lab, arguments.image)
