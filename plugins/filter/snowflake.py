# SPDX-License-Identifier: Apache-2.0
"""Filters for Snowflake: what is run there, whom AWS has to trust, and what an inventory lacks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible.plugins.filter.core import to_bool, to_json


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


def snowflake_problems(variables: Mapping[str, Any]) -> list[str]:
    """Return why the warehouse cannot be in Snowflake, if a host's variables say that it is."""
    if variables["millrace_warehouse_engine"] != "snowflake":
        return []
    lines = []
    if not variables["millrace_snowflake_account"]:
        lines.append(
            "millrace_snowflake_account is missing: millrace_warehouse_engine is snowflake, write"
            " the account's identifier, like organisation-account (docs/operating/snowflake.md)"
        )
    if variables["millrace_archive_store"] != "s3":
        lines.append(
            f"millrace_archive_store is {variables['millrace_archive_store']}, and Snowflake loads"
            " the archive from S3: have a fleet on AWS with millrace_archive_store: s3, or"
            " millrace_warehouse_engine: duckdb"
        )
    hosts = variables.get("millrace_fleet") or []
    if to_bool(variables["millrace_dashboard"]) and any(
        "dashboard" in (host.get("roles") or []) for host in hosts
    ):
        lines.append(
            "millrace_dashboard is true, and millrace_warehouse_engine is snowflake: the dashboard"
            " reads a warehouse of DuckDB, set millrace_dashboard: false"
        )
    return lines + _of_settings(variables["millrace_snowflake_settings"])


def _of_settings(values: Any) -> list[str]:
    """What is wrong with `millrace_snowflake_settings`."""
    from millrace.config import problems

    if not isinstance(values, Mapping):
        return ["millrace_snowflake_settings: write it as {snowflake_database: OTHER}"]
    plain = json.loads(to_json(values))
    known = names() - {"archive_warehouse", "snowflake_account", "snowflake_private_key_file"}
    wrong = problems({name: plain[name] for name in plain.keys() & known}, "")
    choices = ", ".join(sorted(known))
    wrong += [f"{name}: it is none of {choices}" for name in sorted(plain.keys() - known)]
    return [f"millrace_snowflake_settings: {line}" for line in wrong]


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
        return {
            "snowflake_part": snowflake_part,
            "snowflake_problems": snowflake_problems,
            "snowflake_trusted": snowflake_trusted,
        }
