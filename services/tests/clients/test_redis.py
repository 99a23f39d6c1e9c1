"""Redis clients: whoever has another certificate is not spoken to."""

from pathlib import Path

import pytest
from services.tests.broker import Broker, certificate

from millrace.clients import redis
from millrace.config import Settings


@pytest.mark.parametrize(
    ("name", "trusted", "reason"),
    [
        ("localhost", "other", "certificate verify failed"),
        ("elsewhere", "own", "Hostname mismatch"),
    ],
)
def test_a_server_with_a_certificate_of_somebody_else_is_not_spoken_to(
    tmp_path: Path, name: str, trusted: str, reason: str
) -> None:
    own = certificate(tmp_path, name)
    (tmp_path / "other").mkdir()
    authority = own if trusted == "own" else certificate(tmp_path / "other", name)
    server = Broker(own, silent=True)
    host, _, port = server.address.partition(":")
    settings = Settings.model_validate(
        {
            "redis_host": host,
            "redis_port": port,
            "redis_username": "processor",
            "redis_password": "s3cret",
            "redis_ca_file": authority,
        }
    )
    try:
        with (
            redis.client(settings) as connection,
            pytest.raises(redis.CacheUnreachable, match=reason) as caught,
        ):
            redis.check(connection)
    finally:
        server.close()
    assert "s3cret" not in str(caught.value)
