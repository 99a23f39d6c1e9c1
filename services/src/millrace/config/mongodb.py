"""Address and login of MongoDB."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, SecretStr

from millrace.config.addresses import addresses
from millrace.config.base import SECRETS


class MongoDBSettings(BaseModel):
    """Address and login of MongoDB."""

    mongodb_hosts: Annotated[str, addresses("mongodb:27017,mongodb-2:27017")] = Field(
        default="mongodb:27017", description="Members to contact first: host:port, comma-separated."
    )
    mongodb_replica_set: str = Field(default="rs0", description="Name of the replica set.")
    mongodb_database: str = Field(
        default="millrace", description="Database of the feeds' collections."
    )
    mongodb_username: str = Field(default="", description="SCRAM user of this service.")
    mongodb_password: SecretStr = Field(default=SecretStr(""), description="Password of that user.")
    mongodb_ca_file: Path = Field(
        default=SECRETS / "ca.pem",
        description="Certificate authority of the members' certificates.",
    )
