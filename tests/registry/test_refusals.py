"""images/build with a real engine, behind which a registry refuses, breaks off, or is not there.

The registry is on loopback, where engines ask for no certificate.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TYPES = "application/vnd.docker."


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def layer() -> bytes:
    """An archive with one empty file."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("pulled"))
    return archive.getvalue()


LAYER = layer()
PACKED = gzip.compress(LAYER)
CONFIG = json.dumps(
    {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()],
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [digest(LAYER)]},
    }
).encode()
MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": f"{TYPES}distribution.manifest.v2+json",
        "config": {
            "mediaType": f"{TYPES}container.image.v1+json",
            "size": len(CONFIG),
            "digest": digest(CONFIG),
        },
        "layers": [
            {
                "mediaType": f"{TYPES}image.rootfs.diff.tar.gzip",
                "size": len(PACKED),
                "digest": digest(PACKED),
            }
        ],
    }
).encode()


class Registry(BaseHTTPRequestHandler):
    """Answers as the first part of an image's name says."""

    def do_GET(self) -> None:
        parts = self.path.split("/")[2:]
        if parts[0] == "":
            self.answer(200, b"{}")
        elif parts[0] == "limited":
            self.refuse(429, "TOOMANYREQUESTS", "You have reached your pull rate limit")
        elif parts[0] == "private":
            self.refuse(401, "UNAUTHORIZED", "authentication required")
        elif "manifests" in parts:
            self.answer(200, MANIFEST, Type=f"{TYPES}distribution.manifest.v2+json")
        elif parts[-1] == digest(CONFIG):
            self.answer(200, CONFIG, Type="application/octet-stream")
        elif parts[-1] == digest(PACKED) and parts[0] == "whole":
            self.answer(200, PACKED, Type="application/octet-stream")
        else:
            self.refuse(404, "BLOB_UNKNOWN", "blob unknown to registry")

    do_HEAD = do_GET  # noqa: N815 - the name that the library looks for

    def refuse(self, status: int, code: str, message: str) -> None:
        body = {"errors": [{"code": code, "message": message}]}
        self.answer(status, json.dumps(body).encode())

    def answer(self, status: int, body: bytes, Type: str = "application/json") -> None:  # noqa: N803
        self.send_response(status)
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.send_header("Docker-Content-Digest", digest(body))
        self.send_header("Content-Type", Type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Registry) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def have(
    checkout: Path, host: str, kind: str, source: str = "auto"
) -> subprocess.CompletedProcess[str]:
    """Run images/build for one image of that host: 2 in the registry, 1 from packages."""
    images = checkout / "images"
    (images / "one").mkdir(parents=True, exist_ok=True)
    (images / "one" / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    for name in ("build", "engine.py", "recipes.py", "refusals.py"):
        shutil.copy(ROOT / "images" / name, images)
    (images / "versions.yml").write_text(
        f"images: {{one: {{repository: '{host}/{kind}/one', tag: '2', built_tag: '1', digest: '',"
        " official: true, parent: '', versions: {}}}"
    )
    return subprocess.run(
        [sys.executable, images / "build", "--source", source],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@contextmanager
def removed(*references: str) -> Iterator[None]:
    """Remove these images at the end."""
    try:
        yield
    finally:
        subprocess.run(["docker", "image", "rm", *references], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("kind", "reason", "remedy"),
    [
        ("limited", "pull rate limit", "log in with `docker login`, wait"),
        ("private", "unauthorized", "log in with `docker login`"),
        ("broken", "blob", "run it again later"),
    ],
)
def test_what_the_registry_says_ends_the_run(
    port: int, tmp_path: Path, kind: str, reason: str, remedy: str
) -> None:
    done = have(tmp_path, f"127.0.0.1:{port}", kind)
    assert done.returncode == 1
    line = done.stderr.strip()
    assert line.startswith(f"images/build: pull of 127.0.0.1:{port}/{kind}/one:2 failed (")
    assert reason in line
    assert f": {remedy}" in line
    assert "built" not in done.stdout


def test_packages_are_built_where_no_registry_is(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    with removed(f"{host}/any/one:1"):
        done = have(tmp_path, host, "any")
        assert done.returncode == 0, done.stderr
        assert "no image registry can be reached (" in done.stdout
        assert f"built {host}/any/one:1 in " in done.stdout


def test_what_was_built_stays_until_somebody_asks_for_what_the_registry_has(
    port: int, tmp_path: Path
) -> None:
    one = f"127.0.0.1:{port}/whole/one"
    host = f"127.0.0.1:{port}"
    with removed(f"{one}:1", f"{one}:2"):
        assert f"built {one}:1 in " in have(tmp_path, host, "whole", "packages").stdout
        again = have(tmp_path, host, "whole").stdout
        assert "from packages: a registry answers by now; millrace_images_source=regis" in again
        assert f"present {one}:1" in again
        pulled = have(tmp_path, host, "whole", "registry")
        assert f"pulled {one}:2 in " in pulled.stdout, pulled.stderr
        later = have(tmp_path, host, "whole").stdout.splitlines()
        assert later == ["official images are pulled", f"present {one}:2"]
