"""The statements that set an account of Snowflake up, for an administrator to review and run.

They can be repeated. There are two parts, since Snowflake says only after the first one whom AWS
has to trust. None has a secret: of the key pair, they have the public half.
"""

import hashlib
import re
from typing import NamedTuple

from millrace.config import Settings
from millrace.errors import MillraceError
from millrace.feeds import FEEDS

ROLE = "ACCOUNTADMIN"
"""Who may create integrations."""
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::([0-9]{12}):role/[A-Za-z0-9+=,.@_/-]+")
_BUCKET = re.compile(r"s3://[A-Za-z0-9._/-]+")
_KEY = re.compile(
    r"-----BEGIN PUBLIC KEY-----\s+([A-Za-z0-9+/=\s]+?)\s+-----END PUBLIC KEY-----\s*"
)
NO_ROLE = "{} is no ARN of a role, like arn:aws:iam::111122223333:role/name"
GLUE = "glue://"
EDITION_DAYS = 90
"""The longest that any edition of Snowflake keeps the past."""


class CannotSetUp(MillraceError):
    """The statements would be wrong."""


class Part(NamedTuple):
    """Statements, and how to see that they have been run: a query whose answer has the digest."""

    query: str
    statements: list[str]
    digest: str


def integration(settings: Settings, aws_role: str) -> Part:
    """What lets Snowflake read the archive, in a role of AWS that trusts it later."""
    if not _ROLE.fullmatch(aws_role):
        raise CannotSetUp(NO_ROLE.format(aws_role))
    name = _integration(settings)
    values = (
        f"ENABLED = TRUE STORAGE_AWS_ROLE_ARN = '{aws_role}'"
        f" STORAGE_ALLOWED_LOCATIONS = ('{_place(settings)}')"
    )
    return _part(
        f"DESC STORAGE INTEGRATION {name}",
        [
            f"CREATE STORAGE INTEGRATION IF NOT EXISTS {name} TYPE = EXTERNAL_STAGE"
            f" STORAGE_PROVIDER = 'S3' {values}",
            f"ALTER STORAGE INTEGRATION {name} SET {values}",
        ],
        f"ALTER STORAGE INTEGRATION {name} SET COMMENT",
    )


def objects(
    settings: Settings, public_key: str, *, monthly_credits: int, retention_days: int
) -> Part:
    """Everything else: what costs, what has data, who may do what, and the service's user.

    `public_key` is in PEM, the credits end in suspension.
    """
    if not (key := _KEY.fullmatch(public_key)):
        raise CannotSetUp("the public key is not in PEM (BEGIN PUBLIC KEY): openssl rsa -pubout")
    if not 0 <= retention_days <= EDITION_DAYS or monthly_credits < 1:
        raise CannotSetUp(f"retention is 0 to {EDITION_DAYS} days, and credits are 1 at least")
    database, main = settings.snowflake_database, settings.snowflake_schema
    warehouse, monitor = settings.snowflake_warehouse, settings.snowflake_warehouse
    loader, builder = settings.snowflake_loader_role, settings.snowflake_role
    reader = f"{database}_READER"
    landing, staging, marts = f"{database}.LANDING", f"{database}.STAGING", f"{database}.{main}"
    stage = f"URL = '{_place(settings)}' STORAGE_INTEGRATION = {_integration(settings)}"
    size = "WAREHOUSE_SIZE = 'XSMALL' AUTO_SUSPEND = 60 AUTO_RESUME = TRUE"
    user = settings.snowflake_user
    statements = [
        # What costs.
        f"CREATE RESOURCE MONITOR IF NOT EXISTS {monitor} WITH CREDIT_QUOTA = {monthly_credits}"
        " FREQUENCY = MONTHLY START_TIMESTAMP = IMMEDIATELY"
        " TRIGGERS ON 80 PERCENT DO NOTIFY ON 100 PERCENT DO SUSPEND",
        f"ALTER RESOURCE MONITOR {monitor} SET CREDIT_QUOTA = {monthly_credits}",
        f"CREATE WAREHOUSE IF NOT EXISTS {warehouse} {size} INITIALLY_SUSPENDED = TRUE",
        f"ALTER WAREHOUSE {warehouse} SET {size} RESOURCE_MONITOR = {monitor}",
        # What has data.
        f"CREATE DATABASE IF NOT EXISTS {database}",
        f"ALTER DATABASE {database} SET DATA_RETENTION_TIME_IN_DAYS = {retention_days}",
        *(f"CREATE SCHEMA IF NOT EXISTS {schema}" for schema in (landing, staging, marts)),
        f"CREATE TABLE IF NOT EXISTS {landing}.STATE (BUILD VARCHAR, PHASE VARCHAR,"
        " BEGUN_AT TIMESTAMP_LTZ, POSITIONS VARCHAR)",
        f"CREATE FILE FORMAT IF NOT EXISTS {landing}.PARQUET TYPE = PARQUET"
        " USE_LOGICAL_TYPE = TRUE",
        f"CREATE STAGE IF NOT EXISTS {landing}.ARCHIVE {stage}"
        f" FILE_FORMAT = (FORMAT_NAME = '{landing}.PARQUET')",
        f"ALTER STAGE {landing}.ARCHIVE SET {stage}",
        # Who may do what.
        *(f"CREATE ROLE IF NOT EXISTS {role}" for role in (loader, builder, reader)),
        *(f"GRANT ROLE {role} TO ROLE SYSADMIN" for role in (loader, builder, reader)),
    ]
    for role in (loader, builder, reader):
        statements += [
            f"GRANT USAGE ON WAREHOUSE {warehouse} TO ROLE {role}",
            f"GRANT USAGE ON DATABASE {database} TO ROLE {role}",
        ]
    statements += [
        f"GRANT USAGE, CREATE TABLE ON SCHEMA {landing} TO ROLE {loader}",
        f"GRANT SELECT, INSERT, UPDATE ON TABLE {landing}.STATE TO ROLE {loader}",
        f"GRANT USAGE ON STAGE {landing}.ARCHIVE TO ROLE {loader}",
        f"GRANT USAGE ON SCHEMA {landing} TO ROLE {builder}",
        f"GRANT SELECT ON FUTURE TABLES IN SCHEMA {landing} TO ROLE {builder}",
    ]
    for schema in (staging, marts):
        statements += [
            f"GRANT USAGE, CREATE TABLE, CREATE VIEW ON SCHEMA {schema} TO ROLE {builder}",
            f"GRANT USAGE ON SCHEMA {schema} TO ROLE {reader}",
            f"GRANT SELECT ON FUTURE TABLES IN SCHEMA {schema} TO ROLE {reader}",
            f"GRANT SELECT ON FUTURE VIEWS IN SCHEMA {schema} TO ROLE {reader}",
        ]
    statements += [
        # The service's user.
        f"CREATE USER IF NOT EXISTS {user} TYPE = SERVICE",
        f"ALTER USER {user} SET RSA_PUBLIC_KEY = '{''.join(key[1].split())}'"
        f" DEFAULT_ROLE = {builder} DEFAULT_WAREHOUSE = {warehouse}"
        " TIMEZONE = 'UTC' TIMESTAMP_TYPE_MAPPING = 'TIMESTAMP_NTZ'",
        *(f"GRANT ROLE {role} TO USER {user}" for role in (loader, builder)),
    ]
    return _part(
        f"SHOW DATABASES LIKE '{database}'", statements, f"ALTER DATABASE {database} SET COMMENT"
    )


def in_place(settings: Settings, aws_role: str) -> list[str]:
    """Tables of the archive where they lie, through the catalog of Glue. These have never been run.

    The role has to be allowed to read Glue, too.
    """
    if not (role := _ROLE.fullmatch(aws_role)):
        raise CannotSetUp(NO_ROLE.format(aws_role))
    _, is_glue, glue = settings.archive_catalog.partition(GLUE)
    if not is_glue or not settings.archive_region:
        raise CannotSetUp(
            f"the catalog has to be {GLUE}database, with MILLRACE_ARCHIVE_REGION:"
            f" MILLRACE_ARCHIVE_CATALOG is {settings.archive_catalog}"
        )
    database, region, account = settings.snowflake_database, settings.archive_region, role[1]
    landing, catalog, volume = f"{database}.LANDING", f"{database}_GLUE", f"{database}_ARCHIVE"
    return [
        f"CREATE CATALOG INTEGRATION IF NOT EXISTS {catalog} CATALOG_SOURCE = GLUE"
        f" CATALOG_NAMESPACE = '{glue}' TABLE_FORMAT = ICEBERG GLUE_AWS_ROLE_ARN = '{aws_role}'"
        f" GLUE_CATALOG_ID = '{account}' GLUE_REGION = '{region}' ENABLED = TRUE",
        f"CREATE EXTERNAL VOLUME IF NOT EXISTS {volume} STORAGE_LOCATIONS = ((NAME = 'archive'"
        f" STORAGE_PROVIDER = 'S3' STORAGE_BASE_URL = '{_place(settings)}'"
        f" STORAGE_AWS_ROLE_ARN = '{aws_role}')) ALLOW_WRITES = FALSE",
        *(
            f"CREATE ICEBERG TABLE IF NOT EXISTS {landing}.ARCHIVED_{feed.upper()}"
            f" EXTERNAL_VOLUME = '{volume}' CATALOG = '{catalog}'"
            f" CATALOG_TABLE_NAME = '{feed}' AUTO_REFRESH = TRUE"
            for feed in sorted(FEEDS)
        ),
    ]


def script(statements: list[str]) -> str:
    """Statements as a file."""
    return "".join(f"{statement};\n" for statement in [f"USE ROLE {ROLE}", *statements])


def _part(query: str, statements: list[str], comment: str) -> Part:
    digest = hashlib.sha256("\n".join(statements).encode()).hexdigest()
    return Part(query, [*statements, f"{comment} = 'millrace {digest}'"], digest)


def _integration(settings: Settings) -> str:
    return f"{settings.snowflake_database}_ARCHIVE"


def _place(settings: Settings) -> str:
    if not _BUCKET.fullmatch(settings.archive_warehouse):
        raise CannotSetUp(
            f"Snowflake reads the archive from S3, and MILLRACE_ARCHIVE_WAREHOUSE is"
            f" {settings.archive_warehouse}: it has to be s3://bucket/prefix"
        )
    return f"{settings.archive_warehouse.rstrip('/')}/"
