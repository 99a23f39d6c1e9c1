"""The account of Snowflake, and what is used of it."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import PydanticCustomError

from millrace.config.base import SECRETS

_ACCOUNT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")


def _account(text: str) -> str:
    if text and (not _ACCOUNT.fullmatch(text) or text.endswith(".snowflakecomputing.com")):
        raise PydanticCustomError(
            "account",
            "write the account's identifier alone, like organisation-account, without a host name",
        )
    return text


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise PydanticCustomError(
            "name", "write it with letters, digits and underscores, like MILLRACE, without quotes"
        )
    return text


Name = Annotated[str, AfterValidator(_name)]
"""A name in Snowflake that needs no quotes"""


class SnowflakeSettings(BaseModel):
    """The account of Snowflake, and what is used of it."""

    snowflake_account: Annotated[str, AfterValidator(_account)] = Field(
        default="", description="Identifier of the account, like organisation-account."
    )
    snowflake_user: Name = Field(
        default="MILLRACE", description="The service's user, who has a key pair and no password."
    )
    snowflake_private_key_file: Path = Field(
        default=SECRETS / "snowflake_key.pem",
        description="That user's private key, in PEM (PKCS 8) without a passphrase.",
    )
    snowflake_loader_role: Name = Field(
        default="MILLRACE_LOADER", description="Role that loads the archive's files."
    )
    snowflake_role: Name = Field(
        default="MILLRACE_BUILDER", description="Role that builds the models."
    )
    snowflake_warehouse: Name = Field(
        default="MILLRACE", description="Virtual warehouse, whose running time is paid for."
    )
    snowflake_database: Name = Field(default="MILLRACE", description="The database.")
    snowflake_schema: Name = Field(
        default="MARTS", description="Schema of what users ask for, in that database."
    )
