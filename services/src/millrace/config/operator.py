"""What `status` and `verify` ask, and what they compare it with."""

from typing import Annotated

from pydantic import BaseModel, Field, SecretStr

from millrace.config.addresses import Address, Host, url


class OperatorSettings(BaseModel):
    """What `status` and `verify` ask, and what they compare it with."""

    status_hosts: list[Host] = Field(
        default=["processor"],
        description="Hosts that `status` and `verify` ask for their /status: processor, producers;"
        " host:port where it is not MILLRACE_HTTP_PORT.",
    )
    verify_replication_factor: int = Field(
        default=1, ge=1, description="Copies that each partition has to have: `verify` counts them."
    )
    verify_closed: list[Address] = Field(
        default=[],
        description="Ports, as host:port, that must not be reachable from here at all:"
        " `verify` tries them.",
    )
    api_url: Annotated[str, url("https://api:8443")] = Field(
        default="https://api:8443", description="Where `status` asks the API for its health."
    )
    api_token: SecretStr = Field(
        default=SecretStr(""), description="Bearer token for that; empty: one word a dependency."
    )
    api_ingest_token: SecretStr = Field(
        default=SecretStr(""),
        description="Bearer token that may send events only: `verify` tries what it must not do.",
    )
