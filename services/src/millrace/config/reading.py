"""Reads the settings of this process, and reports all errors in them in one line."""

import json
import os
import sys
import warnings
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError
from pydantic_settings import SettingsError

from millrace.config import environment
from millrace.config.base import ENV_PREFIX
from millrace.config.settings import Settings
from millrace.errors import ConfigurationError
from millrace.runtime import redaction


def problems(values: Mapping[str, Any], prefix: str) -> list[str]:
    """Errors in the values of an inventory that become settings.

    Their names are the prefix and the setting's name; other values are ignored. Values are checked
    `as_read`.
    """
    lines = []
    for setting, field in Settings.model_fields.items():
        name = prefix + setting
        if name not in values:
            continue
        taken: Any = Annotated[field.annotation, field]
        try:
            TypeAdapter(taken).validate_python(as_read(values[name]))
        except ValidationError as error:
            found = error.errors(include_input=False, include_context=False)
            lines += [environment.refused(name, item) for item in found]
    return lines


def as_read(value: Any) -> Any:
    """A value of an inventory as a container receives it: a list or text."""
    return value if isinstance(value, str | list) else json.dumps(value)


def load() -> Settings:
    """Read the settings. All errors are raised as one line, without the values."""
    wrong = "; ".join(
        environment.wrong(os.environ, ENV_PREFIX, Settings.model_fields, Settings.secret_names())
    )
    if wrong:
        raise ConfigurationError(wrong)
    try:
        unknown_files = Settings.unknown_files()
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "attempted to load secret file")
            settings = Settings()
        for line in unknown_files:
            sys.stderr.write(f"millrace: warning: {line}\n")
    except OSError as error:
        raise ConfigurationError(
            f"{ENV_PREFIX}SECRETS_DIR: cannot read {error.filename}: {error.strerror}"
        ) from None
    except SettingsError as error:
        raise ConfigurationError(environment.unreadable(error, ENV_PREFIX)) from None
    except ValidationError as error:
        lines = []
        for item in error.errors(include_input=False, include_context=False):
            name, *places = item["loc"]
            setting = ENV_PREFIX + str(name).upper()
            lines.append(environment.refused(setting, {**item, "loc": tuple(places)}))
        raise ConfigurationError("; ".join(lines)) from None
    redaction.keep(settings.secrets())
    return settings
