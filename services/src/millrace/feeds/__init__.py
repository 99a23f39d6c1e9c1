"""The feeds: one file each. Adding a feed is adding a file and naming it here."""

from typing import Any

from millrace.feeds.base import Feed
from millrace.feeds.metals import METALS
from millrace.feeds.quotes import QUOTES
from millrace.feeds.stocks import STOCKS

FEEDS: dict[str, Feed[Any]] = {feed.name: feed for feed in (METALS, STOCKS, QUOTES)}

__all__ = ["FEEDS", "Feed"]
