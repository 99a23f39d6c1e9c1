"""What is written down of API calls."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from emulator.calls import OWN_AGENT, Recorder, operation

AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=testing/20260101/{region}/{service}/aws4_request, "
    "SignedHeaders=host, Signature=00"
)


def request(
    service: str,
    method: str = "POST",
    path: str = "/",
    query: str = "",
    body: bytes = b"",
    **more: str,
) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_AUTHORIZATION": AUTHORIZATION.format(region="us-east-1", service=service),
        "wsgi.input": io.BytesIO(body),
        **more,
    }


@pytest.mark.parametrize(
    ("service", "environ", "expected"),
    [
        ("ec2", {"body": b"Action=RunInstances&MinCount=1"}, "RunInstances"),
        ("sts", {"method": "GET", "query": "Action=GetCallerIdentity"}, "GetCallerIdentity"),
        ("ssm", {"HTTP_X_AMZ_TARGET": "AmazonSSM.GetParameter", "body": b"{}"}, "GetParameter"),
        ("s3", {"method": "PUT", "path": "/bucket"}, "CreateBucket"),
        ("s3", {"method": "HEAD", "path": "/bucket"}, "HeadBucket"),
        ("s3", {"method": "GET", "path": "/bucket", "query": "versioning"}, "GetBucketVersioning"),
        ("s3", {"method": "PUT", "path": "/bucket", "query": "tagging"}, "PutBucketTagging"),
        ("s3", {"method": "GET", "path": "/bucket", "query": "list-type=2"}, "ListObjectsV2"),
        ("s3", {"method": "GET", "path": "/bucket/a/b/c"}, "GetObject"),
        ("s3", {"method": "POST", "path": "/bucket", "query": "delete"}, "DeleteObjects"),
        ("s3", {"method": "GET", "path": "/"}, "ListBuckets"),
        ("nosuch", {"method": "GET", "path": "/x"}, "GET /x"),
    ],
)
def test_operation(service: str, environ: dict[str, Any], expected: str) -> None:
    body = environ.get("body", b"")
    assert operation(service, request(service, **environ), body) == expected


class Inner:
    """Answers, and keeps the body that arrived."""

    def __init__(self, status: str) -> None:
        self.status = status
        self.body = b""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.body = environ["wsgi.input"].read()
        start_response(self.status, [])
        return [b"answer"]


def call(tmp_path: Path, environ: dict[str, Any], status: str = "200 OK") -> tuple[Inner, Any, Any]:
    inner = Inner(status)
    recorder = Recorder(inner, tmp_path / "calls.jsonl")
    heard: list[Any] = []
    recorder.listeners.append(lambda *arguments: heard.append(arguments))
    assert list(recorder(environ, lambda *_: None)) == [b"answer"]
    path = tmp_path / "calls.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return inner, [json.loads(line) for line in lines], heard


def test_call_is_written_down_passed_on_and_told(tmp_path: Path) -> None:
    body = urlencode({"Action": "RebootInstances", "InstanceId.1": "i-1"}).encode()
    inner, written, heard = call(tmp_path, request("ec2", body=body))
    assert inner.body == body
    assert written == [
        {"service": "ec2", "operation": "RebootInstances", "region": "us-east-1", "status": 200}
    ]
    parameters = {"Action": ["RebootInstances"], "InstanceId.1": ["i-1"]}
    assert heard == [("ec2", "RebootInstances", parameters)]


def test_refused_call_is_written_down_but_changes_nothing(tmp_path: Path) -> None:
    environ = request("ec2", body=b"Action=RunInstances")
    _, written, heard = call(tmp_path, environ, "400 Bad Request")
    assert [line["status"] for line in written] == [400]
    assert heard == []


def test_calls_of_the_lab_and_unsigned_ones_are_not(tmp_path: Path) -> None:
    own = request("ec2", body=b"Action=RunInstances", HTTP_USER_AGENT=f"Boto3 {OWN_AGENT}")
    assert call(tmp_path, own)[1:] == ([], [])
    unsigned = request("ec2", body=b"Action=RunInstances") | {"HTTP_AUTHORIZATION": ""}
    assert call(tmp_path, unsigned)[1:] == ([], [])
