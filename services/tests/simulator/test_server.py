"""The simulator as it is deployed: under gunicorn, with TLS."""

import os
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from services.tests.broker import certificate

SERVE = "from millrace.cli import main; import sys; sys.argv = ['millrace', 'simulate']; main()"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path, subprocess.Popen[str]]]:
    pem = certificate(tmp_path, "localhost")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE],
        env=os.environ
        | {
            "MILLRACE_SIMULATOR_PORT": str(port),
            "MILLRACE_SIMULATOR_TLS_CERT": str(pem),
            "MILLRACE_SIMULATOR_TLS_KEY": str(pem),
            "MILLRACE_SECRETS_DIR": str(tmp_path / "none"),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    yield f"https://localhost:{port}", pem, process
    process.kill()
    process.communicate()


def get(url: str, pem: Path) -> str:
    context = ssl.create_default_context(cafile=str(pem))
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    for _ in range(100):
        try:
            with opener.open(url, timeout=5) as response:
                return str(response.read().decode())
        except ConnectionError:
            pass
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionError):
                raise
        time.sleep(0.1)
    raise AssertionError("the simulator did not start")


def test_those_who_connect_and_say_nothing_hold_up_nobody(
    server: tuple[str, Path, subprocess.Popen[str]],
) -> None:
    url, pem, _ = server
    get(f"{url}/live", pem)
    port = int(url.rsplit(":", 1)[1])
    with ExitStack() as held:
        for _ in range(40):
            silent = held.enter_context(socket.create_connection(("127.0.0.1", port)))
            silent.sendall(b"\x16")
        start = time.monotonic()
        get(f"{url}/live", pem)
        assert time.monotonic() - start < 5


def test_it_serves_https_logs_no_keys_and_stops(
    server: tuple[str, Path, subprocess.Popen[str]],
) -> None:
    url, pem, process = server
    assert '"success":true' in get(f"{url}/api/latest?access_key=simulator&symbols=XAU", pem)
    assert '"code":101' in get(f"{url}/api/latest?access_key=k3y&symbols=XAU", pem)
    process.terminate()
    output, _ = process.communicate(timeout=15)
    assert process.returncode == 0
    assert "k3y" not in output
    assert all(line.startswith("{") for line in output.splitlines())
