# SPDX-License-Identifier: Apache-2.0
"""AWS's error message, in one line with advice."""

from __future__ import annotations

import re
from typing import Any

LONGEST = 400
# Keys of a failed task's cause. The last two are set if Ansible could not run the module.
PLACES = ("msg", "exception", "module_stderr", "module_stdout")
LOGIN = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (docs/aws.md)"
QUOTA = "ask for more in the Service Quotas console, use smaller hosts, or remove what is unused"
# The first match is used.
ADVICE = (
    (r"Unable to locate credentials|NoCredentials", f"no credentials: {LOGIN}"),
    (
        r"EOFError|MultiFactorAuth|\bMFA\b",
        "the profile asks for an MFA code, which nobody can type in a run: get a session first, as"
        ' with eval "$(aws configure export-credentials --format env)", and unset AWS_PROFILE',
    ),
    (r"config profile \((.+?)\) could not be found", "AWS_PROFILE names no profile: correct it"),
    (r"ExpiredToken|RequestExpired|token.+expired", "the session has expired: log in to AWS again"),
    (
        r"InvalidClientTokenId|AuthFailure|SignatureDoesNotMatch|UnrecognizedClient",
        f"AWS does not know these credentials: {LOGIN}",
    ),
    (
        r"UnauthorizedOperation|AccessDenied|not authorized to perform",
        "a permission is missing: give your user the policy docs/aws-operator-policy.json",
    ),
    (r"OptInRequired", "the account is not set up for this region or service: enable it first"),
    (
        r"VcpuLimitExceeded|InstanceLimitExceeded",
        f"the account's quota of vCPUs is used up: {QUOTA}",
    ),
    (r"\w*LimitExceeded|QuotaExceeded|LimitExceededException", f"a quota is used up: {QUOTA}"),
    (
        r"InvalidSubnet\.Conflict|InvalidVpc\.Range|InvalidSubnet\.Range",
        "the range is taken or cannot be used: set another millrace_vpc_cidr",
    ),
    (
        r"InsufficientInstanceCapacity|Unsupported.*Availability Zone",
        "AWS has no such instance in this zone now: set another zone or type, or try later",
    ),
    (
        r"ParameterNotFound|Failed to find SSM parameter",
        "millrace_ami_parameter names no parameter of this region: correct it",
    ),
    (
        r"Could not connect to the endpoint|EndpointConnectionError|timed? ?out|Name or service",
        "AWS cannot be reached: look at this machine's network, and at the region's name",
    ),
)


def words(result: Any) -> list[str]:
    """All messages of a failed task, those of its loop items first."""
    if not isinstance(result, dict):
        return []
    items = [item for item in result.get("results", []) if item.get("failed")]
    below = [word for item in items for word in words(item)]
    return below or [str(result[place]) for place in PLACES if str(result.get(place) or "").strip()]


def quoted(message: str) -> str:
    """A message from outside on one line, without secrets and truncated."""
    from millrace.runtime.redaction import shown

    return shown(message, LONGEST)


def aws_advice(result: Any) -> str:
    """One line: the advice, then AWS's message."""
    said = words(result) or ["the task failed without a word; -vvv shows more"]
    everything = " ".join(" ".join(said).split())
    message = " ".join(said[0].split())
    # Not every module's message contains AWS's.
    code = re.search(r"An error occurred \((\w[\w.]*)\)", everything)
    if code and code[1] not in message:
        message += f" ({code[1]})"
    for pattern, advice in ADVICE:
        if re.search(pattern, everything, re.IGNORECASE):
            return f"{advice}. AWS: {quoted(message)}"
    return quoted(message)


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        """Return the filter by name."""
        return {"aws_advice": aws_advice}
