"""Events of the feeds, from what matters to a test."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from millrace.events import Event
from millrace.feeds.gpu_metrics import GpuMetrics
from millrace.feeds.metals import MetalPrice
from millrace.feeds.quotes import Quote
from millrace.feeds.stocks import StockPrice
from millrace.feeds.token_usage import TokenUsage

START = datetime(2026, 1, 2, 15, tzinfo=UTC)


def metal(price: float, *, hours: float = 0, symbol: str = "XAU", **fields: Any) -> MetalPrice:
    """A metal's price so many hours after the start."""
    observed_at = START + timedelta(hours=hours)
    plain: dict[str, Any] = {
        "event_id": f"metals:test:{symbol}:{observed_at.isoformat()}",
        "schema_version": 1,
        "feed": "metals",
        "source": "test",
        "simulated": True,
        "symbol": symbol,
        "observed_at": observed_at,
        "produced_at": observed_at + timedelta(seconds=1),
        "price": price,
        "currency": "USD",
        "unit": "troy_ounce",
        "metal_name": "Gold",
    }
    return MetalPrice(**(plain | fields))


def stock(price: float, *, minutes: float = 0, symbol: str = "IBM", **fields: Any) -> StockPrice:
    """A share's price so many minutes after the start."""
    observed_at = START + timedelta(minutes=minutes)
    plain: dict[str, Any] = {
        "event_id": f"stocks:test:{symbol}:{observed_at.isoformat()}",
        "schema_version": 1,
        "feed": "stocks",
        "source": "test",
        "simulated": False,
        "symbol": symbol,
        "observed_at": observed_at,
        "produced_at": observed_at + timedelta(seconds=1),
        "open": price,
        "high": price,
        "low": price,
        "price": price,
        "volume": 100,
        "currency": "USD",
    }
    return StockPrice(**(plain | fields))


def quote(price: float, *, seconds: float = 0, symbol: str = "IBM", **fields: Any) -> Quote:
    """A quote so many seconds after the start."""
    observed_at = START + timedelta(seconds=seconds)
    plain: dict[str, Any] = {
        "event_id": f"quotes:test:{symbol}:{observed_at.isoformat()}",
        "schema_version": 1,
        "feed": "quotes",
        "source": "test",
        "simulated": True,
        "symbol": symbol,
        "observed_at": observed_at,
        "produced_at": observed_at,
        "price": price,
        "volume": 100,
        "currency": "USD",
    }
    return Quote(**(plain | fields))


def gpu(
    utilization: float | None, *, seconds: float = 0, index: int = 0, **fields: Any
) -> GpuMetrics:
    """What a GPU does so many seconds after the start."""
    observed_at = START + timedelta(seconds=seconds)
    plain: dict[str, Any] = {
        "event_id": f"gpu_metrics:test:{index}:{observed_at.isoformat()}",
        "schema_version": 1,
        "feed": "gpu_metrics",
        "source": "test",
        "simulated": True,
        "symbol": f"gpu-host/{index}",
        "observed_at": observed_at,
        "produced_at": observed_at,
        "host": "gpu-host",
        "gpu_index": index,
        "name": "RTX 3090",
        "utilization": utilization,
        "mem_used_mb": 6144.0,
        "mem_total_mb": 24576.0,
        "power_w": 281.44,
        "temp_c": 66.0,
    }
    return GpuMetrics(**(plain | fields))


def tokens(
    prompt: int, completion: int = 0, *, seconds: float = 0, model: str = "llama", **fields: Any
) -> TokenUsage:
    """Tokens that were used so many seconds after the start."""
    observed_at = START + timedelta(seconds=seconds)
    plain: dict[str, Any] = {
        "event_id": f"token_usage:test:{model}:{observed_at.isoformat()}",
        "schema_version": 1,
        "feed": "token_usage",
        "source": "test",
        "simulated": True,
        "symbol": f"gpu-host/0/{model}",
        "observed_at": observed_at,
        "produced_at": observed_at,
        "host": "gpu-host",
        "gpu_index": 0,
        "model": model,
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "gpu_name": "RTX 3090",
    }
    return TokenUsage(**(plain | fields))


ONE_OF_EACH: Mapping[str, Event] = {
    "metals": metal(2000.0),
    "stocks": stock(200.0),
    "quotes": quote(200.0),
    "gpu_metrics": gpu(71.0),
    "token_usage": tokens(100, 200),
}
"""An event of every feed, by the feed's name."""
