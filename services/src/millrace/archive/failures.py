"""The kinds of errors of catalog and files, which decide what happens next."""

import errno
import re
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
)
from pyiceberg.exceptions import (
    CommitFailedException,
    NoSuchIcebergTableError,
    NoSuchNamespaceError,
    NoSuchTableError,
)
from sqlalchemy.exc import DBAPIError

from millrace.errors import MillraceError
from millrace.processor.errors import Permanent, Transient, Unknown
from millrace.runtime.exit_codes import Exit
from millrace.runtime.redaction import shown

LONGEST_REASON = 300
PASSING_OF_SQLITE = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR")
WRONG_OF_SQLITE = (
    "SQLITE_CANTOPEN",
    "SQLITE_READONLY",
    "SQLITE_PERM",
    "SQLITE_NOTADB",
    "SQLITE_CORRUPT",
)
REFUSALS = re.compile(
    r"access_?denied|invalid_?access_?key|signature_?does_?not_?match|invalid_?signature"
    r"|unrecognized_?client|invalid_?client_?token|forbidden|no_?such_?bucket"
    r"|invalid_?bucket_?name|permanent_?redirect|HTTP status 403|HTTP response code 403",
    re.IGNORECASE,
)
"""Of AWS, in an error's code or text: rights, keys and names of buckets."""
OUT_OF_DATE = re.compile(
    r"expired_?token|token[^.]* expired|request_?expired|credentials are still expired",
    re.IGNORECASE,
)
"""Of AWS, in an error's code or text: short-lived credentials that are renewed beside us."""
OUT_OF_TIME = re.compile(
    r"request_?time_?too_?skewed|signature (expired|not yet current)", re.IGNORECASE
)
"""Of AWS: its clock and ours differ by minutes. Mostly a clock is set right by itself."""
PASSING_OF_AWS = re.compile(
    r"throttl|too_?many_?requests|slow_?down|service_?unavailable|internal_?(failure|server|error)"
    r"|internal_?service|request_?timeout|network_?connection|curl_?code|operation_?timeout"
    r"|concurrent_?modification|HTTP status 5\d\d",
    re.IGNORECASE,
)
PASSING_OF_FILES = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ESTALE}
)
WRONG_OF_FILES = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR})


class Fenced(MillraceError):
    """Another archiver writes the same table."""

    exit_code = Exit.FENCED


class Kinds:
    """Converts the libraries' errors to our kinds; one about a commit's base is passed on."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, _type: Any, error: BaseException | None, _trace: Any) -> None:
        ours = MillraceError | Transient | Unknown | CommitFailedException
        if not isinstance(error, Exception) or isinstance(error, ours):
            return
        said = shown(f"{error}" or type(error).__name__, LONGEST_REASON)
        raise kind_of(error)(f"the archive, {self._what}{_advice(error)}: {said}") from error


def _advice(error: Exception) -> str:
    """What AWS's words do not say."""
    if OUT_OF_TIME.search(str(error)):
        return ", and this host's clock is wrong"
    if isinstance(error, CredentialRetrievalError) or OUT_OF_DATE.search(str(error)):
        return (
            ", and its credentials have not been renewed (journalctl -u millrace-aws-credentials)"
        )
    return ""


def kind_of(error: Exception) -> type[Permanent | Transient | Unknown]:
    """What to do about an error of a library."""
    if isinstance(error, DBAPIError):
        name = getattr(error.orig, "sqlite_errorname", "")
        return _kind(name.startswith(WRONG_OF_SQLITE), name.startswith(PASSING_OF_SQLITE))
    if isinstance(error, NoSuchIcebergTableError | NoSuchTableError | NoSuchNamespaceError):
        return Permanent
    if OUT_OF_DATE.search(str(error)) or OUT_OF_TIME.search(str(error)):
        return Transient
    if isinstance(error, ClientError):
        answer = error.response
        code = str(answer.get("Error", {}).get("Code", ""))
        status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        refused = status in (401, 403) or REFUSALS.search(code)
        return _kind(refused, status == 429 or status >= 500 or PASSING_OF_AWS.search(code))
    if isinstance(error, BotoCoreError):
        wrong = NoCredentialsError | PartialCredentialsError | NoRegionError
        passing = HTTPClientError | EndpointConnectionError | CredentialRetrievalError
        return _kind(isinstance(error, wrong), isinstance(error, passing))
    if isinstance(error, OSError):
        text = str(error)
        wrong_here = error.errno in WRONG_OF_FILES or REFUSALS.search(text)
        return _kind(wrong_here, error.errno in PASSING_OF_FILES or PASSING_OF_AWS.search(text))
    return Unknown


def _kind(is_wrong: object, passes: object) -> type[Permanent | Transient | Unknown]:
    if is_wrong:
        return Permanent
    return Transient if passes else Unknown
