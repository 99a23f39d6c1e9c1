"""Reads the settings of this process, and says in one line what is wrong with them."""

import os
import sys
import warnings

from pydantic import ValidationError
from pydantic_settings import SettingsError

from millrace import redaction
from millrace.config import environment
from millrace.config.base import ENV_PREFIX
from millrace.config.settings import Settings
from millrace.errors import ConfigurationError
from millrace.feeds import FEEDS


def load() -> Settings:
    """Read the settings; what is wrong with them is one line, without the values."""
    wrong = "; ".join(
        environment.wrong(os.environ, ENV_PREFIX, Settings.model_fields, Settings.secret_names())
    )
    if wrong:
        raise ConfigurationError(wrong)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "attempted to load secret file")
            settings = Settings()
        for line in Settings.unknown_files():
            sys.stderr.write(f"millrace: warning: {line}\n")
    except OSError as error:
        raise ConfigurationError(f"cannot read {error.filename}: {error.strerror}") from None
    except SettingsError as error:
        raise ConfigurationError(environment.unreadable(error, ENV_PREFIX)) from None
    except ValidationError as error:
        wrong = "; ".join(
            environment.refused(item["loc"], item["type"], item["msg"], ENV_PREFIX)
            for item in error.errors(include_input=False, include_context=False)
        )
        raise ConfigurationError(wrong) from None
    unknown = sorted(set(settings.feeds) - FEEDS.keys())
    if unknown or not settings.feeds:
        known = ", ".join(sorted(FEEDS))
        raise ConfigurationError(
            f"{ENV_PREFIX}FEEDS: {', '.join(unknown) or 'none'}; the feeds are {known}"
        )
    redaction.keep(settings.secrets())
    return settings
