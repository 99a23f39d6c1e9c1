"""The settings of all services: all parts combined, and the sources of their values."""

import os
from pathlib import Path
from typing import Any

from pydantic import SecretStr, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from millrace.config import secret_files
from millrace.config.api import ApiSettings
from millrace.config.archive import ArchiveSettings
from millrace.config.base import ENV_PREFIX, SECRETS
from millrace.config.common import CommonSettings
from millrace.config.dashboard import DashboardSettings
from millrace.config.kafka import KafkaSettings
from millrace.config.mongodb import MongoDBSettings
from millrace.config.operator import OperatorSettings
from millrace.config.processor import ProcessorSettings
from millrace.config.producer import ProducerSettings
from millrace.config.redis import RedisSettings
from millrace.config.simulator import SimulatorSettings
from millrace.config.snowflake import SnowflakeSettings
from millrace.config.warehouse import WarehouseSettings
from millrace.errors import ConfigurationError


# docs/configuration.md lists the fields of the last base class first.
class Settings(
    OperatorSettings,
    DashboardSettings,
    ApiSettings,
    ArchiveSettings,
    WarehouseSettings,
    SnowflakeSettings,
    ProcessorSettings,
    SimulatorSettings,
    ProducerSettings,
    RedisSettings,
    MongoDBSettings,
    KafkaSettings,
    CommonSettings,
    BaseSettings,
):
    """The settings of all services. Each checks with `require` that it has those it needs."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _has_text(cls, value: Any) -> Any:
        """Undecodable bytes in the environment arrive as lone surrogates, as they may in JSON."""
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, str) and not _is_text(one):
                raise PydanticCustomError("text", "it has bytes that are no text in UTF-8")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - required by the base class
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - has the prefix
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Secret files are named like the fields, without the prefix of the environment."""
        directory = secrets_directory()
        if not directory.is_dir():
            return init_settings, env_settings
        secrets = SecretsSettingsSource(settings_cls, secrets_dir=directory, env_prefix="")
        return init_settings, env_settings, secrets

    def require(self, *names: str) -> None:
        """Raise a one-line ConfigurationError unless all of these settings have a value."""
        missing = [name for name in names if not _plain(getattr(self, name))]
        if missing:
            secrets = [name for name in missing if name in self.secret_names()]
            others = [ENV_PREFIX + name.upper() for name in missing if name not in secrets]
            todo = [f"set {', '.join(others)}"] if others else []
            todo += [
                f"put the secret into the file {secrets_directory() / name}" for name in secrets
            ]
            raise ConfigurationError("; ".join([*todo, *self.unknown_files()]))

    @classmethod
    def secret_names(cls) -> list[str]:
        """The names of the settings that are secrets."""
        return [name for name, field in cls.model_fields.items() if field.annotation is SecretStr]

    @classmethod
    def unknown_files(cls) -> list[str]:
        """A line for each file of the secrets directory that belongs to no setting."""
        defaults = {name: field.default for name, field in cls.model_fields.items()}
        return secret_files.unknown(secrets_directory(), defaults)

    def secrets(self) -> frozenset[str]:
        """The values that must not appear in any output."""
        return frozenset(
            filter(None, (getattr(self, name).get_secret_value() for name in self.secret_names()))
        )


def secrets_directory() -> Path:
    """The directory of this process's secret files."""
    return Path(os.environ.get(f"{ENV_PREFIX}SECRETS_DIR", SECRETS))


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _plain(value: Any) -> Any:
    return value.get_secret_value() if isinstance(value, SecretStr) else value
