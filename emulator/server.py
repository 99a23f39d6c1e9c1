"""The process of a lab: moto, the record of calls, and the agent."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterable
from typing import Any

from emulator.addresses import Addresses, Pool
from emulator.calls import Application, Environ, Recorder, StartResponse
from emulator.settings import ACCOUNT, ROOT, Lab

AMI = "ami-0debian13a1b2c3d4"
AMI_PARAMETER = "/aws/service/debian/release/13/latest/amd64"
AMIS = [
    {
        "ami_id": AMI,
        "name": "debian-13-amd64-20251117-2299",
        "description": "Debian 13 (20251117-2299)",
        "owner_id": "136693071363",
        "image_location": "amazon/debian-13-amd64-20251117-2299",
        "root_device_name": "/dev/xvda",
        "root_device_type": "ebs",
        "architecture": "x86_64",
        "virtualization_type": "hvm",
        "hypervisor": "xen",
        "platform": None,
        "state": "available",
        "public": True,
        "image_type": "machine",
        "sriov": "simple",
    }
]
STATUS_PATH = "/millrace-lab/status"


def configure(lab: Lab) -> None:
    """Set what moto reads at import: one image, and refusals like EC2's."""
    path = lab.state / "amis.json"
    path.write_text(json.dumps(AMIS))
    os.environ |= {
        "MOTO_AMIS_PATH": str(path),
        "MOTO_ENABLE_AMI_VALIDATION": "true",
        "MOTO_ENABLE_KEYPAIR_VALIDATION": "true",
        "MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION": "true",
    }


def application(lab: Lab) -> Application:
    """moto, with public addresses of the lab's range, the AMI's public parameter and the policy.

    The policy is the hosts' permissions boundary, which an account's administrator creates.
    """
    from moto.ec2.models import elastic_network_interfaces
    from moto.iam.models import iam_backends
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from moto.ssm.models import Parameter, ssm_backends

    # Like EC2, moto assigns a new public address at every start, but from ranges that others use.
    elastic_network_interfaces.random_public_ip = Pool(lab.public_range).next
    parameters = ssm_backends[ACCOUNT][lab.region]._parameters
    # Names that begin with /aws cannot be written through the API.
    parameters[AMI_PARAMETER].append(
        Parameter(
            account_id=ACCOUNT,
            name=AMI_PARAMETER,
            value=AMI,
            parameter_type="String",
            description=None,
            allowed_pattern=None,
            keyid=None,
            last_modified_date=0,
            version=1,
            data_type="aws:ec2:image",
        )
    )
    iam_backends[ACCOUNT]["aws"].create_policy(
        description="",
        path="/",
        policy_document=(ROOT / "docs" / "aws-hosts-boundary.json").read_text(),
        policy_name="millrace-hosts",
        tags=[],
    )
    result: Application = DomainDispatcherApplication(create_backend_app)
    return result


class Status:
    """Answers requests for the agent's status; all others go to the API."""

    def __init__(self, inner: Application, agent: Any) -> None:
        self.inner = inner
        self.agent = agent

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if environ["PATH_INFO"] != STATUS_PATH:
            return self.inner(environ, start_response)
        body = json.dumps(
            {
                "settled": self.agent.settled,
                "busy": sorted(self.agent.busy),
                "problems": {key: text for key, (_, text) in self.agent.problems.copy().items()},
                "hosts": {
                    host.id: {
                        "private": host.private,
                        "public": host.public,
                        "running": host.running,
                        "volumes": host.volumes,
                    }
                    for host in self.agent.desired.hosts.values()
                },
            }
        ).encode()
        start_response("200 OK", [("Content-Type", "application/json")])
        return [body]


def serve(lab: Lab, image: str) -> None:
    """Serve until the process ends."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    for chatty in ("werkzeug", "botocore"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    configure(lab)
    from werkzeug.serving import make_server

    from emulator.agent import Agent

    Addresses(lab).set_up()
    agent = Agent(lab, image)
    recorder = Recorder(application(lab), lab.calls)
    recorder.listeners.append(agent.called)
    threading.Thread(target=agent.run, daemon=True).start()
    from moto.moto_server.werkzeug_app import MotoRequestHandler

    server = make_server(
        "127.0.0.1",
        lab.port,
        Status(recorder, agent),
        threaded=True,
        request_handler=MotoRequestHandler,
    )
    server.serve_forever()
