"""The feeds, one module each. To add a feed, add a module and list it here."""

from typing import Any

from millrace.feeds.base import Feed
from millrace.feeds.gpu_metrics import GPU_METRICS
from millrace.feeds.metals import METALS
from millrace.feeds.quotes import QUOTES
from millrace.feeds.stocks import STOCKS
from millrace.feeds.token_usage import TOKEN_USAGE

FEEDS: dict[str, Feed[Any]] = {
    feed.name: feed for feed in (METALS, STOCKS, QUOTES, GPU_METRICS, TOKEN_USAGE)
}

__all__ = ["FEEDS", "Feed"]
