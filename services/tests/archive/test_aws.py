"""The archive in Glue and S3, as moto answers for them."""

import json
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import duckdb
import duckdb_extension_avro
import duckdb_extension_httpfs
import duckdb_extension_iceberg
import pytest
import requests
from moto.moto_api import recorder
from moto.server import ThreadedMotoServer
from pydantic import SecretStr
from services.tests.archive import world
from services.tests.archive.test_readers import documented
from services.tests.archive.world import Archiver, Log, archive_all, table_of

from millrace.archive import catalog, orphans
from millrace.archive.failures import Fenced
from millrace.archive.maintenance import maintain
from millrace.config import Settings
from millrace.processor.errors import Permanent, Transient

REGION = "eu-central-1"
BUCKET = "archive-of-a-test"
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client(
        "s3",
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id="id",
        aws_secret_access_key="key",
    )
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    client.close()
    yield url
    server.stop()


@pytest.fixture
def settings(endpoint: str) -> Settings:
    """Of an archive of its own."""
    return aws_settings(endpoint, database=f"d{uuid4().hex}")


def aws_settings(endpoint: str, database: str = "d", **changes: Any) -> Settings:
    given: dict[str, Any] = {
        "archive_catalog": f"glue://{database}",
        "archive_warehouse": f"s3://{BUCKET}/{database}",
        "archive_endpoint": endpoint,
        "archive_region": REGION,
        "archive_access_key_id": "id",
        "archive_secret_access_key": SecretStr("key"),
        "archive_retry_seconds": 0.01,
        "feeds": ["quotes"],
    }
    return Settings(**(given | changes))


def test_an_archive_in_a_bucket_holds_each_record_once(settings: Settings) -> None:
    log = Log()
    log.quotes(200, days=2)
    archive_all(settings, log)
    log.quotes(200, first=200, days=2)
    assert archive_all(settings, log).counted("records_consumed_total") == 200
    table = table_of(settings).table
    assert table.location() == f"{settings.archive_warehouse}/quotes"
    rows = world.digest(table)
    assert maintain(table_of(settings), settings).files_combined == 6
    table = table_of(settings).table
    assert world.positions(table) == world.positions_in(log)
    assert world.digest(table) == rows
    second, first = Archiver(settings, log), Archiver(settings, log)
    log.quotes(10, first=400)
    first.steps(1)
    second.steps(1)
    first.finish()
    with pytest.raises(Fenced):
        second.finish()
    assert world.positions(table_of(settings).table) == world.positions_in(log)
    # All that is there is used; what is not would be found.
    own = table_of(settings).table
    with own.io.new_output(f"{own.location()}/data/part-left-over.parquet").create() as file:
        file.write(b"x")
    assert orphans.remove(own, 4e9, lambda: None) > 0
    assert world.positions(table_of(settings).table) == world.positions_in(log)


def test_duckdb_reads_the_bucket_as_documented(settings: Settings) -> None:
    log = Log()
    log.quotes(200, days=2)
    archive_all(settings, log)
    *_, lines = documented(settings, "s3").partition("\n")
    for placeholder, value in (
        ("'ID'", "'id'"),
        ("'KEY'", "'key'"),
        # moto has no name and no certificate.
        (
            "REGION 'us-east-1'",
            f"REGION '{REGION}', ENDPOINT '{settings.archive_endpoint.removeprefix('http://')}', "
            "URL_STYLE 'path', USE_SSL false",
        ),
    ):
        assert placeholder in lines
        lines = lines.replace(placeholder, value)
    with duckdb.connect() as connection:
        for module in (duckdb_extension_httpfs, duckdb_extension_avro, duckdb_extension_iceberg):
            (found,) = Path(module.__file__).parent.rglob("*.duckdb_extension")
            connection.execute(f"LOAD '{found}'")
        assert connection.execute(lines).fetchall() == [(200, 200)]


def test_a_bucket_that_is_not_there_is_said(settings: Settings) -> None:
    other = settings.model_copy(update={"archive_warehouse": "s3://no-such-bucket-here/x"})
    with pytest.raises(Permanent, match=r"open its table quotes: .*(NO_SUCH_BUCKET|404)"):
        table_of(other)


def test_a_service_that_does_not_answer_is_waited_for() -> None:
    settings = aws_settings("http://127.0.0.1:9")
    with pytest.raises(Transient, match="open its catalog"):
        catalog.opened(settings)


def test_a_key_that_is_refused_ends_it(settings: Settings, endpoint: str) -> None:
    log = Log()
    log.quotes(10)
    archiver = Archiver(settings, log)
    archiver.steps(1)
    ask_for_keys(endpoint, "0")
    try:
        with pytest.raises(Permanent, match=r"open its catalog: .*403"):
            catalog.opened(settings)
        with pytest.raises(Permanent, match=r"write rows of quotes: .*AWS Error"):
            archiver.finish()
    finally:
        ask_for_keys(endpoint, "inf")
    archive_all(settings, log)
    assert world.positions(table_of(settings).table) == world.positions_in(log)


def test_credentials_are_read_again_before_they_expire_and_the_role_allows_every_call(
    endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a host of AWS, whose containers have the files that the role host writes."""
    script = runpy.run_path(str(ROOT / "roles/host/files/aws_credentials.py"))
    config = script["CONFIG"].replace(script["MOUNT"], str(tmp_path))
    (tmp_path / "config").write_text(config)
    monkeypatch.setattr(recorder, "_location", str(tmp_path / "calls"))
    requests.post(f"{endpoint}/moto-api/recorder/reset-recording", timeout=10)
    requests.post(f"{endpoint}/moto-api/recorder/start-recording", timeout=10)
    environment = {"AWS_CONFIG_FILE": f"{tmp_path}/config", "AWS_EC2_METADATA_DISABLED": "true"}
    command = [sys.executable, "-m", "services.tests.archive.renewed", endpoint]
    done = subprocess.run(
        [*command, str(tmp_path / "credentials.json")],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    requests.post(f"{endpoint}/moto-api/recorder/stop-recording", timeout=10)
    assert done.returncode == 0, done.stderr
    found = requests.get(f"{endpoint}/moto-api/recorder/download-recording", timeout=10).text
    calls = [json.loads(line) for line in found.splitlines()]
    for service in ("glue", "s3"):
        signed = [x["headers"].get("Authorization", "") for x in calls]
        keys = re.findall(rf"Credential=(\w+)/\d+/{REGION}/{service}/", "\n".join(signed))
        assert {"first", "second"} == {*keys}
        # Once the new ones are known, nobody comes with the old ones.
        assert keys == sorted(keys)
    wanted = runpy.run_path(str(ROOT / "plugins/filter/aws_wanted.py"))
    allowed = {*wanted["ARCHIVE_FILES"], *wanted["ARCHIVE_TABLES"], "s3:ListBucket"}
    # It is the role aws that makes the database.
    assert {action(call) for call in calls} - {"glue:CreateDatabase"} == allowed - {
        "s3:AbortMultipartUpload"  # only of an upload that fails
    }


def action(call: dict[str, Any]) -> str:
    """The action of IAM that a request needs."""
    if target := call["headers"].get("X-Amz-Target"):
        return "glue:" + str(target).rpartition(".")[2]
    path, _, query = str(call["url"]).partition(f"/{BUCKET}")[2].partition("?")
    if call["method"] in ("GET", "HEAD"):
        return "s3:GetObject" if path.strip("/") else "s3:ListBucket"
    deletes = call["method"] == "DELETE" or query.startswith("delete")
    return "s3:DeleteObject" if deletes else "s3:PutObject"


def ask_for_keys(endpoint: str, after: str) -> None:
    """Let moto refuse unknown keys after so many requests."""
    requests.post(f"{endpoint}/moto-api/reset-auth", data=after, timeout=10).raise_for_status()
