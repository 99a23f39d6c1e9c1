"""Snowflake and S3 as fakesnow and moto stand for them, and an archive in that S3."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
import duckdb_extension_httpfs
import fakesnow
import snowflake.connector
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from fakesnow.cursor import FakeSnowflakeCursor
from moto.server import ThreadedMotoServer
from pydantic import SecretStr

from millrace.config import Settings
from millrace.warehouse.snowflake import setup

BUCKET = "archive"
REGION = "eu-central-1"
AWS_ROLE = "arn:aws:iam::111122223333:role/millrace-snowflake"
CONTROL_PLANE = (
    r"^(GRANT|ALTER (DATABASE|STAGE)|(CREATE|ALTER) (STORAGE INTEGRATION|RESOURCE MONITOR"
    r"|WAREHOUSE|ROLE|USER))\b"
)
"""Statements that fakesnow does not know: they are accepted, and do nothing."""


@contextmanager
def emulated(folder: Path) -> Iterator[Settings]:
    """An account that is set up, with nothing in it, and an empty archive."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    # It would say each request.
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server.start()
    host, port = server.get_host_and_port()
    s3 = boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        region_name=REGION,
        aws_access_key_id="id",
        aws_secret_access_key="key",
    )
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.close()
    key = folder / "key.pem"
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    key.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    settings = Settings(
        archive_catalog=f"sqlite:///{folder}/catalog.db",
        archive_warehouse=f"s3://{BUCKET}/events",
        archive_endpoint=f"http://{host}:{port}",
        archive_region=REGION,
        archive_access_key_id="id",
        archive_secret_access_key=SecretStr("key"),
        warehouse_engine="snowflake",
        # Sessions of fakesnow do not wait for each other.
        warehouse_threads=1,
        warehouse_file=folder / "here" / "millrace.duckdb",
        snowflake_account="fakesnow",
        snowflake_private_key_file=key,
    )
    try:
        with fakesnow.patch(nop_regexes=[CONTROL_PLANE]), _overwriting():
            _set_up(settings, f"{host}:{port}")
            yield settings
    finally:
        server.stop()


def _set_up(settings: Settings, endpoint: str) -> None:
    """Run the statements for an administrator, of which fakesnow takes those about data."""
    public = load_pem_private_key(
        settings.snowflake_private_key_file.read_bytes(), None
    ).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    parts = [
        setup.integration(settings, AWS_ROLE),
        setup.objects(settings, pem, monthly_credits=10, retention_days=7),
    ]
    with snowflake.connector.connect(database="MILLRACE", schema="MARTS") as connection:
        for part in parts:
            for statement in part.statements:
                connection.cursor().execute(statement)
        duck: Any = vars(connection)["_duck_conn"]
        (extension,) = Path(duckdb_extension_httpfs.__file__).parent.rglob("*.duckdb_extension")
        duck.execute(f"load '{extension}'")
        duck.execute(
            f"create secret (type s3, endpoint '{endpoint}', key_id 'id', secret 'key',"
            f" url_style 'path', use_ssl false, region '{REGION}')"
        )


@contextmanager
def _overwriting() -> Iterator[None]:
    """Let INSERT OVERWRITE, by which dbt fills a seed, be two statements: fakesnow lacks it."""
    execute = FakeSnowflakeCursor.execute

    def two(self: Any, command: str, *given: Any, **named: Any) -> Any:
        if table := re.search(r"insert overwrite into (\S+)", command):
            execute(self, f"delete from {table[1]}")
            command = command.replace("insert overwrite into", "insert into")
        return execute(self, command, *given, **named)

    with patch.object(FakeSnowflakeCursor, "execute", two):
        yield


def rows_in(query: str) -> list[dict[str, Any]]:
    """The rows of a query, by column."""
    with snowflake.connector.connect(database="MILLRACE", schema="MARTS") as connection:
        cursor = connection.cursor(snowflake.connector.DictCursor)
        cursor.execute(query)
        return [{name.lower(): value for name, value in row.items()} for row in cursor.fetchall()]
