"""Sources: where events come from. `make` builds the one that the settings name."""

from collections.abc import Callable, Mapping

from millrace.config import Settings
from millrace.errors import ConfigurationError
from millrace.sources.base import Source

WITH_RATE = (("generator", "quotes"), ("workload", "token_usage"))
"""The sources that keep a rate, and the feed for which they do."""
WITH_HISTORY = ("replay",)
"""The sources that are `Historical`."""
LONGEST_INTERVALS: Mapping[str, float] = {"vllm": 30.0}
"""Seconds between polls that some sources bear at most."""


def make(settings: Settings) -> Source:
    """The source of this producer; what is wrong with its settings is one line."""
    from millrace.sources import (
        alpha_vantage,
        dcgm,
        generator,
        metals_api,
        nvidia_smi,
        nvml,
        openai_usage,
        replay,
        vllm,
        workload,
    )

    makers: dict[str, Callable[[Settings], Source]] = {
        "metals_api": metals_api.from_settings,
        "alpha_vantage": alpha_vantage.from_settings,
        "replay": replay.from_settings,
        "generator": generator.from_settings,
        "workload": workload.from_settings,
        "nvml": nvml.from_settings,
        "dcgm": dcgm.from_settings,
        "nvidia_smi": nvidia_smi.from_settings,
        "vllm": vllm.from_settings,
        "openai_usage": openai_usage.from_settings,
    }
    settings.require("producer_name", "producer_source", "producer_feed")
    source = makers[settings.producer_source](settings)
    if source.feed != settings.producer_feed:
        raise ConfigurationError(
            f"MILLRACE_PRODUCER_FEED: source {settings.producer_source} gives {source.feed},"
            f" not {settings.producer_feed}"
        )
    return source
