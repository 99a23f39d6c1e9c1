"""Tables of what the API says, and what is computed of tables. Pure: nothing is asked here.

Columns named `at` are times in UTC, without a zone.
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

Json = Mapping[str, Any]

PRICES = {
    "at": "datetime64[us]",
    "feed": "str",
    "source": "str",
    "simulated": "bool",
    "symbol": "str",
    "price": "float64",
    "currency": "str",
    "unit": "str",
    "change_pct": "float64",
    "volume": "float64",
}
GPUS = {
    "at": "datetime64[us]",
    "gpu": "str",
    "name": "str",
    "source": "str",
    "simulated": "bool",
    "utilization": "float64",
    "mem_used_pct": "float64",
    "power_w": "float64",
    "temp_c": "float64",
}
COSTS = {
    "at": "datetime64[us]",
    "model": "str",
    "tokens": "int64",
    "gpus": "int64",
    "price_per_hour_usd": "float64",
    "cost_per_million_tokens": "float64",
}
LAG = {"topic": "str", "partition": "int64", "end": "int64", "lag": "int64", "read": "bool"}
TABLES = {
    "feed": "str",
    "rows": "int64",
    "files": "int64",
    "bytes": "int64",
    "snapshots": "int64",
}


def prices(events: Iterable[Json]) -> pd.DataFrame:
    """The prices among events of the API; those without one are left out."""
    return _frame(
        PRICES,
        (
            {
                "at": _time(event["timestamp_utc"]),
                "feed": event["feed"],
                "source": event["source"],
                "simulated": event["simulated"],
                "symbol": event["symbol"],
                "price": event["price"]["value"],
                "currency": event["price"]["currency"],
                "unit": event["meta"].get("unit", "share").replace("_", " "),
                "change_pct": _change(event["meta"]),
                "volume": event.get("volume"),
            }
            for event in events
            if event.get("price")
        ),
    )


def gpus(events: Iterable[Json]) -> pd.DataFrame:
    """What each GPU does."""
    return _frame(
        GPUS,
        (
            {
                "at": _time(event["timestamp_utc"]),
                "gpu": f"{event['host']}/{event['gpu_index']}",
                "name": event["name"],
                "source": event["source"],
                "simulated": event["simulated"],
                "utilization": event["utilization"],
                "mem_used_pct": event["meta"]["mem_used_pct"],
                "power_w": event["power_w"],
                "temp_c": event["temp_c"],
            }
            for event in events
        ),
    )


def costs(found: Iterable[Json]) -> pd.DataFrame:
    """What a million tokens cost, in USD, oldest first; not a number where that is unknown."""
    rows = (
        {
            "at": _time(cost["start"]),
            "model": cost["group"],
            "tokens": cost["tokens"],
            "gpus": cost["gpus"],
            "price_per_hour_usd": cost["price_per_hour_usd"],
            "cost_per_million_tokens": None
            if cost["cost_per_token"] is None
            else 1e6 * cost["cost_per_token"],
        }
        for cost in found
    )
    return _frame(COSTS, rows).sort_values(["at", "model"], ignore_index=True)


def lag(health: Json) -> pd.DataFrame:
    """The processor's lag in each partition; empty while Kafka does not answer."""
    return _frame(
        LAG,
        (
            {
                "topic": one["topic"],
                "partition": one["partition"],
                "end": one["end"],
                "lag": one["lag"],
                "read": one["held"],
            }
            for one in health["checks"]["kafka"].get("partitions", [])
        ),
    )


def tables(status: Json) -> pd.DataFrame:
    """The archive's tables, of the archiver's status."""
    return _frame(TABLES, ({name: one[name] for name in TABLES} for one in status["tables"]))


def candles(found: pd.DataFrame, step: timedelta) -> pd.DataFrame:
    """Candles of prices, as the warehouse makes them of older ones."""
    made = (
        found.sort_values("at", kind="stable")
        .assign(at=found["at"].dt.floor(step))
        .groupby(["at", "symbol"], as_index=False)
        .agg(
            currency=("currency", "last"),
            open=("price", "first"),
            high=("price", "max"),
            low=("price", "min"),
            close=("price", "last"),
            volume=("volume", "sum"),
        )
    )
    return made.sort_values("at", ignore_index=True)


def compared(found: pd.DataFrame) -> pd.DataFrame:
    """Closing prices as percent of the first one of each symbol: columns at, symbol, percent."""
    ordered = found.sort_values("at", kind="stable")
    first = ordered.groupby("symbol")["close"].transform("first")
    return ordered.assign(percent=100 * ordered["close"] / first)[["at", "symbol", "percent"]]


def in_zone(found: pd.DataFrame, zone: ZoneInfo) -> pd.DataFrame:
    """The same with times as clocks of a zone show them, without the zone: charts have none."""
    times = [name for name in found if pd.api.types.is_datetime64_any_dtype(found[name])]
    return found.assign(
        **{
            name: found[name].dt.tz_localize("UTC").dt.tz_convert(zone).dt.tz_localize(None)
            for name in times
        }
    )


def as_csv(found: pd.DataFrame) -> bytes:
    """The table as CSV: times in UTC with a Z."""
    times = [name for name in found if pd.api.types.is_datetime64_any_dtype(found[name])]
    written = {name: found[name].dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ") for name in times}
    text: str = found.assign(**written).to_csv(index=False)
    return text.encode()


def as_parquet(found: pd.DataFrame) -> bytes:
    """The table as Parquet: times in UTC."""
    times = [name for name in found if pd.api.types.is_datetime64_any_dtype(found[name])]
    written = io.BytesIO()
    found.assign(**{name: found[name].dt.tz_localize("UTC") for name in times}).to_parquet(
        written, index=False
    )
    return written.getvalue()


def ago(seconds: float) -> str:
    """An age in words."""
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit} ago"
    return f"{max(0.0, seconds):.0f} s ago"


def _frame(columns: Mapping[str, str], rows: Iterable[Json]) -> pd.DataFrame:
    made: Sequence[Json] = list(rows)
    return pd.DataFrame(made, columns=list(columns)).astype(dict(columns))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=None)


def _change(meta: Json) -> float | None:
    """The change in percent, over the time that the feed compares."""
    found = (value for name, value in meta.items() if name.startswith("change_pct"))
    change = next(found, None)
    return None if change is None else float(change)
