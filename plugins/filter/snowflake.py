# SPDX-License-Identifier: Apache-2.0
"""Filters for Snowflake: what is run there, and whom AWS has to trust."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible.plugins.filter.core import to_json


def snowflake_part(values: Mapping[str, Any], part: str, **given: Any) -> dict[str, Any]:
    """Return the query, the statements and the digest of a part, from values of settings.

    Part and options are those of `millrace warehouse snowflake-sql`.
    """
    from millrace.config import Settings, problems
    from millrace.errors import MillraceError
    from millrace.warehouse.snowflake import setup

    plain, options = json.loads(to_json(values)), json.loads(to_json(given))
    if wrong := [*problems(plain, ""), *sorted(f"{x}: unknown" for x in plain.keys() - names())]:
        raise AnsibleFilterError("; ".join(wrong))
    settings = Settings.model_construct(**{**defaults(), **plain})
    try:
        if part == "integration":
            return setup.integration(settings, **options)._asdict()
        return setup.objects(settings, **options)._asdict()
    except MillraceError as error:
        raise AnsibleFilterError(str(error)) from None


def names() -> set[str]:
    """The settings that may be given."""
    from millrace.config import Settings

    return {"archive_warehouse", *(x for x in Settings.model_fields if x.startswith("snowflake_"))}


def defaults() -> dict[str, Any]:
    """What the settings are, whatever the environment of this process says."""
    from millrace.config import Settings

    return {name: field.default for name, field in Settings.model_fields.items()}


def snowflake_trusted(rows: Sequence[Sequence[str]]) -> dict[str, str]:
    """Return the user and the external id that AWS has to trust, of a described integration."""
    found = {row[0]: row[2] for row in rows}
    return {
        "user": found["STORAGE_AWS_IAM_USER_ARN"],
        "external_id": found["STORAGE_AWS_EXTERNAL_ID"],
    }


class FilterModule:
    """The filters, by name."""

    def filters(self) -> dict[str, Any]:
        """As Ansible asks for them."""
        return {"snowflake_part": snowflake_part, "snowflake_trusted": snowflake_trusted}
