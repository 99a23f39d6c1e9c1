"""Errors that a producer would report at its start, found before it exists."""

from collections.abc import Mapping
from typing import Any

from millrace import config
from millrace.config.producer import ProducerSettings
from millrace.errors import ConfigurationError
from millrace.producer import timing
from millrace.sources import making


def problems(values: Mapping[str, Any]) -> list[str]:
    """Errors in the settings of one producer, which include name, source and feed."""
    if wrong := config.problems(values, ""):
        return wrong
    settings = ProducerSettings(**{name: config.as_read(value) for name, value in values.items()})
    try:
        timing.from_settings(settings)
    except ConfigurationError as error:
        wrong = [str(error)]
    return [*wrong, *making.problems(settings)]
