"""What a host writes for containers that call AWS, as moto's metadata service answers it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from moto.instance_metadata.responses import InstanceMetadataResponse
from tests.ansible.conftest import ROOT

SCRIPT = ROOT / "roles/host/files/aws_credentials.py"
TOKEN = "fake-imdsv2-token"
UID = 10001


class Metadata(BaseHTTPRequestHandler):
    """moto's answers, for those who come as IMDSv2 wants it."""

    def do_PUT(self) -> None:
        self.answer(self.headers["X-aws-ec2-metadata-token-ttl-seconds"] == "60")

    def do_GET(self) -> None:
        self.answer(self.headers["X-aws-ec2-metadata-token"] == TOKEN)

    def answer(self, admitted: bool) -> None:
        status, text = 401, ""
        if admitted:
            try:
                status, _, text = InstanceMetadataResponse.metadata_response(
                    None, f"http://169.254.169.254{self.path}", {}
                )
            except NotImplementedError:
                status = 404
        self.send_response(status)
        self.end_headers()
        self.wfile.write(str(text).encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def metadata() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Metadata) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def write(directory: Path, metadata: str) -> subprocess.CompletedProcess[str]:
    """Run the script as the host's unit does, with a proxy that leads nowhere."""
    environment = {
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata,
        "http_proxy": "http://127.0.0.1:9",
    }
    return subprocess.run(
        [sys.executable, "-I", str(SCRIPT), str(directory), str(UID)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        umask=0o077,
        timeout=60,
        check=False,
    )


def test_the_roles_credentials_are_for_one_user_and_replaced_as_a_whole(
    tmp_path: Path, metadata: str
) -> None:
    directory = tmp_path / "instance" / "aws"
    for _ in range(2):
        done = write(directory, metadata)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    found = json.loads((directory / "credentials.json").read_text())
    assert found.keys() == {
        "Version",
        "AccessKeyId",
        "SecretAccessKey",
        "SessionToken",
        "Expiration",
    }
    assert (found["Version"], found["AccessKeyId"]) == (1, "test-key")
    assert found["SessionToken"] == "test-session-token"
    assert (
        "credential_process = cat /run/aws/credentials.json" in (directory / "config").read_text()
    )
    assert {path.name for path in directory.iterdir()} == {"config", "credentials.json"}
    for path in directory.iterdir():
        status = path.stat()
        assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (UID, 0o400)
    # A container sees the directory; on the host nobody gets there.
    assert stat.S_IMODE(directory.stat().st_mode) == 0o755
    assert stat.S_IMODE(directory.parent.stat().st_mode) == 0o700


def test_without_an_answer_the_credentials_stay_and_one_line_says_why(
    tmp_path: Path, metadata: str
) -> None:
    assert write(tmp_path / "aws", metadata).returncode == 0
    before = (tmp_path / "aws/credentials.json").read_text()
    for where, says in (
        ("http://127.0.0.1:9", "no credentials from http://127.0.0.1:9: URLError: "),
        (f"{metadata}/elsewhere", "HTTPError: HTTP Error 404"),
    ):
        done = write(tmp_path / "aws", where)
        assert done.returncode == 1
        assert says in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert (tmp_path / "aws/credentials.json").read_text() == before
