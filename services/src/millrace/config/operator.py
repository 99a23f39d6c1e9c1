"""Services that `status` and `verify` query, and values that they expect."""

from typing import Annotated

from pydantic import BaseModel, Field, SecretStr

from millrace.config.addresses import Address, Host, HostOrEmpty, url


class OperatorSettings(BaseModel):
    """Services that `status` and `verify` query, and values that they expect."""

    status_hosts: list[Host] = Field(
        default=["processor"],
        description="Hosts whose /status `status` and `verify` query: processor and producers;"
        " host:port if the port is not MILLRACE_HTTP_PORT.",
    )
    archiver_host: HostOrEmpty = Field(
        default="",
        description="Host whose /status `status` queries for the archive, and whose lag it shows;"
        " host:port likewise. Empty: there is no archive.",
    )
    warehouse_host: HostOrEmpty = Field(
        default="",
        description="Host whose /status `status` queries for the warehouse; host:port likewise."
        " Empty: there is no warehouse.",
    )
    verify_replication_factor: int = Field(
        default=1, ge=1, description="Number of replicas per partition that `verify` expects."
    )
    verify_closed: list[Address] = Field(
        default=[],
        description="Ports, as host:port, that must not be reachable from here; `verify` tries"
        " them.",
    )
    api_url: Annotated[str, url("https://api:8443")] = Field(
        default="https://api:8443", description="URL of the API whose health `status` queries."
    )
    api_token: SecretStr = Field(
        default=SecretStr(""),
        description="Bearer token for the API's health; empty: one word per dependency is shown.",
    )
    api_ingest_token: SecretStr = Field(
        default=SecretStr(""),
        description="Bearer token that may only send events; `verify` tries other requests.",
    )
