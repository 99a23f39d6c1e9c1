"""The catalog of the archive's tables, from the settings."""

from contextlib import suppress
from typing import Any

from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.exceptions import NamespaceAlreadyExistsError

from millrace.archive.durable import DurableFileIO
from millrace.archive.failures import Kinds
from millrace.config import Settings

NAME = "millrace"
"""The name of the catalog, and of the tables' namespace in a catalog of SQLite."""
GLUE = "glue://"
CONNECT_SECONDS, ANSWER_SECONDS = 10, 60
RETRIES = 3
"""Of a request to Glue, besides those of the archiver."""


def namespace(settings: Settings) -> str:
    """The namespace of the tables."""
    url = settings.archive_catalog
    return url.removeprefix(GLUE) if url.startswith(GLUE) else NAME


def opened(settings: Settings) -> Catalog:
    """The catalog, in which the namespace of the tables exists. Raises Transient, Permanent."""
    catalog = existing(settings)
    with Kinds("open its catalog"):
        if not catalog.namespace_exists(own := namespace(settings)):
            with suppress(NamespaceAlreadyExistsError):  # another process made it
                catalog.create_namespace(own)
    return catalog


def existing(settings: Settings) -> Catalog:
    """The catalog, as it is. Raises Transient, Permanent."""
    with Kinds("open its catalog"):
        return load_catalog(NAME, **_properties(settings))


def _properties(settings: Settings) -> dict[str, Any]:
    url, warehouse = settings.archive_catalog, settings.archive_warehouse
    properties: dict[str, Any] = {"warehouse": warehouse}
    if url.startswith(GLUE):
        properties |= {"type": "glue", "glue.max-retries": RETRIES}
    else:
        properties |= {"type": "sql", "uri": url}
    if warehouse.startswith("file:"):
        properties["py-io-impl"] = f"{DurableFileIO.__module__}.{DurableFileIO.__qualname__}"
    optional = {
        "client.region": settings.archive_region,
        "client.access-key-id": settings.archive_access_key_id,
        "client.secret-access-key": settings.archive_secret_access_key.get_secret_value(),
        "glue.endpoint": settings.archive_endpoint,
        "s3.endpoint": settings.archive_endpoint,
    }
    limits = {
        "s3.connect-timeout": str(CONNECT_SECONDS),
        "s3.request-timeout": str(ANSWER_SECONDS),
    }
    return properties | limits | {name: value for name, value in optional.items() if value}
