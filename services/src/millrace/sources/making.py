"""Creates the source that the settings name, and checks that it supports them."""

from collections.abc import Callable, Iterator
from math import inf

from millrace.config import ENV_PREFIX, Settings
from millrace.config.producer import ProducerSettings
from millrace.errors import ConfigurationError
from millrace.sources import KINDS, LONGEST_INTERVALS, WITH_RATE
from millrace.sources.base import Source

_OF_SOME = frozenset({"rate_per_second"}).union(*(kind.reads for kind in KINDS.values()))


def problems(settings: ProducerSettings) -> Iterator[str]:
    """The settings that their source does not support, or does not read."""
    name, feed = settings.producer_source, settings.producer_feed
    kind = KINDS[name]
    prefix = f"{ENV_PREFIX}PRODUCER_"
    if feed not in kind.feeds:
        yield f"{prefix}FEED: source {name} gives {' or '.join(kind.feeds)}, not {feed}"
        return
    reads = kind.reads | ({"rate_per_second"} if (name, feed) in WITH_RATE else set())
    for field in sorted(_OF_SOME - reads):
        default = ProducerSettings.model_fields[f"producer_{field}"].default
        if getattr(settings, f"producer_{field}") != default:
            yield f"{prefix}{field.upper()}: source {name} for {feed} does not read it; remove it"
    if kind.needs_url and not settings.producer_url:
        yield f"{name} has nothing to ask: set {prefix}URL to the URL of its metrics"
    longest = LONGEST_INTERVALS.get(name, inf)
    often = f"{name} must be polled every {longest:g} seconds at least, for a rate to be known"
    if settings.producer_schedule and longest < inf:
        yield f"{prefix}SCHEDULE: {often}: set {prefix}INTERVAL_SECONDS instead"
    elif settings.producer_interval_seconds > longest:
        yield f"{prefix}INTERVAL_SECONDS: {often}; it is {settings.producer_interval_seconds:g}"
    if name == "metals_api":
        from millrace.sources.metals_api import METALS

        if unknown := sorted(set(settings.producer_symbols) - METALS.keys()):
            yield (
                f"{prefix}SYMBOLS: no such metal: {', '.join(unknown)} (known: {', '.join(METALS)})"
            )


def make(settings: Settings) -> Source:
    """The source of this producer; errors in its settings are raised as one line."""
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
    if wrong := "; ".join(problems(settings)):
        raise ConfigurationError(wrong)
    return makers[settings.producer_source](settings)
