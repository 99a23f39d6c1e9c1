"""A controller without the authority that hosts trust makes no other one unasked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from cryptography import x509
from tests.ansible.conftest import Playbook, words

LEAF = {"name": "api", "common_name": "api", "dns": ["api"]}


class Controllers:
    """Controllers with a state of their own each, and one host."""

    def __init__(self, path: Path, playbook: Playbook) -> None:
        self.path, self.playbook = path, playbook
        playbook.fill_vault()

    def run(
        self, name: str, playbook: str = "playbooks/deploy/certificates.yml", **more: Any
    ) -> CompletedProcess[str]:
        return self.playbook.run(
            playbook,
            millrace_state_dir=str(self.path / name),
            certificates_path=str(self.path / "pki"),
            millrace_certificates={"api": [LEAF]},
            vault_ca_passphrase="of the test",
            **more,
        )

    def served(self) -> list[x509.Certificate]:
        found = [(self.path / "pki/api" / name).read_bytes() for name in ("cert.pem", "ca.pem")]
        return [x509.load_pem_x509_certificate(content) for content in found]


def test_certificates_of_another_authority_stay_until_that_is_asked_for(
    tmp_path: Path, playbook: Playbook
) -> None:
    controllers = Controllers(tmp_path, playbook)
    begun = datetime.now(UTC)
    assert controllers.run("first").returncode == 0
    before = controllers.served()
    # The clock of a host may be behind.
    for certificate in before:
        assert certificate.not_valid_before_utc < begun - timedelta(minutes=50)

    # Before anything is changed, so in preflight too.
    for name in ("playbooks/deploy/preflight.yml", "playbooks/deploy/certificates.yml"):
        refused = controllers.run("second", name)
        assert refused.returncode == 2
        said = words(refused.stdout.rpartition("The run ended because of this:")[2])
        assert f"an authority whose key is not in {tmp_path}/second: api. Copy that" in said
        assert "-e certificates_new_authority=true makes another" in said
        assert "changed=0" in refused.stdout
        assert not (tmp_path / "second").exists()
        assert controllers.served() == before

    assert controllers.run("second", certificates_new_authority=True).returncode == 0
    assert controllers.served()[1] != before[1]
