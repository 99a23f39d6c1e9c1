"""Somebody who types what the documentation says at the machine of the pipeline under test."""

import os
import re
from pathlib import Path

from tests.documented.terminal import Typed, type_in

from .pipeline import Pipeline


class Desk:
    """Knows what differs: the instance, its port, and where its secrets are."""

    def __init__(self, pipeline: Pipeline, inventory: str) -> None:
        self._environment = {"ANSIBLE_INVENTORY": inventory, "ANSIBLE_NOCOLOR": "true"}
        ports = pipeline.container("api").attrs["NetworkSettings"]["Ports"]
        [published] = ports["8443/tcp"]
        state = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "state" / pipeline.instance
        self._own = {
            r"inventories/local/vault\.yml": os.environ["MILLRACE_VAULT_FILE"],
            r"(?<=mv NEW )\.vault_password": os.environ["MILLRACE_VAULT_PASSWORD_FILE"],
            r"localhost:8443": f"localhost:{published['HostPort']}",
            r"\.millrace/millrace": str(state),
            r"confirm=millrace\b": f"confirm={pipeline.instance}",
            r"(?<![\w/.])millrace-(?=[a-z])": f"{pipeline.instance}-",
        }

    def type(self, script: str, *answers: tuple[str, str], **environment: str) -> Typed:
        """Type a script of the documentation."""
        for pattern, own in self._own.items():
            script = re.sub(pattern, lambda _, own=own: own, script)
        return type_in(script, answers, self._environment | environment)
