"""Address and login of Kafka."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, SecretStr

from millrace.config.addresses import addresses
from millrace.config.base import SECRETS


class KafkaSettings(BaseModel):
    """Address and login of Kafka."""

    kafka_bootstrap_servers: Annotated[str, addresses("kafka-1:9092,kafka-2:9092")] = Field(
        default="kafka-1:9092", description="Brokers to contact first: host:port, comma-separated."
    )
    kafka_username: str = Field(default="", description="SCRAM user of this service.")
    kafka_password: SecretStr = Field(default=SecretStr(""), description="Password of that user.")
    kafka_ca_file: Path = Field(
        default=SECRETS / "ca.pem",
        description="Certificate authority of the brokers' certificates.",
    )
    dead_letters_topic: str = Field(
        default="dead-letters", description="Topic for records that cannot be processed."
    )
