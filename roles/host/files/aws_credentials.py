"""Writes the short-lived credentials of this instance's role for containers.

They do not reach the metadata service themselves: its answers end at the host. Called with a
directory and the user id that may read the credentials there. The directory gets two files, whole
or not at all: `credentials.json`, as AWS's libraries expect it of a `credential_process`, and
`config`, which has them read it whenever the credentials that they know are about to expire.
"""

import json
import os
import sys
import urllib.request
from pathlib import Path

METADATA = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254")
ROLE = "latest/meta-data/iam/security-credentials/"
ANSWER_SECONDS = 5
LONGEST = 65536
MOUNT = "/run/aws"
"""Where containers have the directory."""
CONFIG = f"[default]\ncredential_process = cat {MOUNT}/credentials.json\n"


def ask(path: str, method: str = "GET", **headers: str) -> str:
    """Ask the metadata service, and never a proxy."""
    named = {
        f"X-aws-ec2-metadata-{name.replace('_', '-')}": value for name, value in headers.items()
    }
    request = urllib.request.Request(  # noqa: S310 - the host's administrator sets the address
        f"{METADATA}/{path}", method=method, headers=named
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=ANSWER_SECONDS) as answer:
        return str(answer.read(LONGEST).decode())


def credentials() -> str:
    """The credentials of the instance's role."""
    token = ask("latest/api/token", "PUT", token_ttl_seconds="60")  # noqa: S106 - seconds
    role = ask(ROLE, token=token).split()[0]
    found = json.loads(ask(ROLE + role, token=token))
    return json.dumps(
        {
            "Version": 1,
            "AccessKeyId": found["AccessKeyId"],
            "SecretAccessKey": found["SecretAccessKey"],
            "SessionToken": found["Token"],
            "Expiration": found["Expiration"],
        }
    )


def replace(path: Path, content: str, owner: int) -> None:
    """Replace a file as a whole; its owner alone may read it."""
    new = path.with_name(f".{path.name}")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w") as file:
        os.fchown(file.fileno(), owner, owner)
        file.write(content)
    new.replace(path)


def main() -> None:
    """Write both files."""
    directory, owner = Path(sys.argv[1]), int(sys.argv[2])
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o755)  # the directory above it is root's alone
    replace(directory / "config", CONFIG, owner)
    try:
        replace(directory / "credentials.json", credentials(), owner)
    except (OSError, ValueError, KeyError, IndexError) as error:
        sys.exit(f"no credentials from {METADATA}: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
