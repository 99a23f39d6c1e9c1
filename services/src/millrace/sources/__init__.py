"""Sources of events, and properties that are known without creating one. `making` creates them.

This module imports nothing else of the services, because a deployment imports it in each step.
"""

from collections.abc import Mapping
from dataclasses import dataclass

WITH_RATE = (("generator", "quotes"), ("workload", "token_usage"))
"""The sources with a rate, and the feed for which they use it."""
WITH_HISTORY = ("replay",)
"""The sources that are `Historical`."""
LONGEST_INTERVALS: Mapping[str, float] = {"vllm": 30.0}
"""The longest interval in seconds that some sources allow."""


@dataclass(frozen=True)
class Kind:
    """Properties of a source."""

    feeds: tuple[str, ...]
    """The feeds that the source can provide."""
    reads: frozenset[str]
    """The settings that not all sources read, without `producer_`. Sources in `WITH_RATE` read a
    rate too."""
    needs_url: bool = False


def _kind(feeds: str, reads: str, *, needs_url: bool = False) -> Kind:
    return Kind(tuple(feeds.split()), frozenset(reads.split()), needs_url)


KINDS: Mapping[str, Kind] = {
    "metals_api": _kind("metals", "symbols url"),
    "alpha_vantage": _kind("stocks", "symbols url"),
    "replay": _kind("stocks", "symbols"),
    "generator": _kind("quotes", "symbols seed"),
    "workload": _kind("gpu_metrics token_usage", "host seed"),
    "nvml": _kind("gpu_metrics", "host gpu_price_per_hour"),
    "dcgm": _kind("gpu_metrics", "url host gpu_name gpu_price_per_hour", needs_url=True),
    "nvidia_smi": _kind("gpu_metrics", "url host gpu_name gpu_price_per_hour", needs_url=True),
    "vllm": _kind("token_usage", "url host gpu_index gpu_name gpu_price_per_hour", needs_url=True),
    "openai_usage": _kind("token_usage", "usage_file host gpu_index gpu_name gpu_price_per_hour"),
}
