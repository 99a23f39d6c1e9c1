"""An archiver whose credentials a host renews: run by test_aws in a process of its own.

AWS's libraries read their configuration once per process.
"""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import SecretStr
from services.tests.archive.test_aws import aws_settings
from services.tests.archive.world import Log, archive_all, positions, positions_in, table_of

from millrace.archive import orphans
from millrace.archive.maintenance import maintain


def write(path: Path, key: str, seconds: float) -> None:
    """Credentials as the host writes them, which expire in so many seconds."""
    expires = datetime.now(UTC) + timedelta(seconds=seconds)
    found = {
        "Version": 1,
        "AccessKeyId": key,
        "SecretAccessKey": "of nobody",
        "SessionToken": f"session of {key}",
        "Expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    path.write_text(json.dumps(found))


def main() -> None:
    """Archive with the credentials that are there, then with the next ones, and maintain."""
    endpoint, credentials = sys.argv[1], Path(sys.argv[2])
    settings = aws_settings(
        endpoint, "renewed", archive_access_key_id="", archive_secret_access_key=SecretStr("")
    )
    log = Log()
    log.quotes(100)
    write(credentials, "first", 200)
    archive_all(settings, log)
    table = table_of(settings)
    write(credentials, "second", 3600)
    log.quotes(100, first=100)
    archive_all(settings, log)
    # A table that has been open all the time has the new ones, too.
    assert len(positions(table.table)) == 100
    maintain(table_of(settings), settings)
    own = table_of(settings).table
    with own.io.new_output(f"{own.location()}/data/part-left-over.parquet").create() as file:
        file.write(b"x" * 20_000_000)  # in several parts
    orphans.remove(own, 4e9, lambda: None)
    assert positions(table_of(settings).table) == positions_in(log)


if __name__ == "__main__":
    main()
