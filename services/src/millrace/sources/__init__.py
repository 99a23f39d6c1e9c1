"""Sources: where events come from, and what is known of each. `making` builds one.

Importing this imports nothing else of the services: a deployment asks it at each of its steps.
"""

from collections.abc import Mapping
from dataclasses import dataclass

WITH_RATE = (("generator", "quotes"), ("workload", "token_usage"))
"""The sources that keep a rate, and the feed for which they do."""
WITH_HISTORY = ("replay",)
"""The sources that are `Historical`."""
LONGEST_INTERVALS: Mapping[str, float] = {"vllm": 30.0}
"""Seconds between polls that some sources bear at most."""


@dataclass(frozen=True)
class Kind:
    """What is known of a source without making it."""

    feeds: tuple[str, ...]
    """Those that it can give."""
    reads: frozenset[str]
    """The settings that it reads and some other does not, without `producer_`; so is a rate, by
    those that are `WITH_RATE`."""
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
