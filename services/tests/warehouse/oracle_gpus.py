"""What the models of GPUs and tokens must have."""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

Row = dict[str, Any]
LIST_PRICES = {"RTX 3090": 0.85}
LONGEST = 300


def _hour(time: datetime) -> datetime:
    return time.replace(minute=0, second=0, microsecond=0)


def _mean(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return statistics.fmean(there) if there else None


def _most(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def token_usage(events: Sequence[Row]) -> list[Row]:
    """Tokens by hour, model and GPU."""
    key = ("source", "simulated", "host", "gpu_index", "model")
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in events:
        groups[(*(row[name] for name in key), _hour(row["observed_at"]))].append(row)
    found = []
    for values, rows in groups.items():
        prompt = sum(row["prompt_tokens"] for row in rows)
        completion = sum(row["completion_tokens"] for row in rows)
        prices = [
            LIST_PRICES.get(row["gpu_name"])
            if row["price_per_hour_usd"] is None
            else row["price_per_hour_usd"]
            for row in rows
        ]
        found.append(
            dict(zip((*key, "started_at"), values, strict=True))
            | {
                "gpu_name": max(row["gpu_name"] for row in rows),
                "events": len(rows),
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "tokens": prompt + completion,
                "latency_ms": _mean([row["latency_ms"] for row in rows]),
                "price_per_hour_usd": _most(prices),
            }
        )
    return found


def costs(usage: Sequence[Row], reached: datetime, *group: str) -> list[Row]:
    """What a token cost, by some group."""
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    key = ("simulated", *group, "started_at")
    for row in usage:
        groups[tuple(row[name] for name in key)].append(row)
    found = []
    for values, rows in groups.items():
        own: Row = dict(zip(key, values, strict=True))
        for name in ("events", "prompt_tokens", "completion_tokens", "tokens"):
            own[name] = sum(row[name] for row in rows)
        gpus: dict[Any, list[float | None]] = defaultdict(list)
        for row in rows:
            gpus[row["host"], row["gpu_index"]].append(row["price_per_hour_usd"])
        prices = [_most(each) for each in gpus.values()]
        price = None if None in prices else sum(filter(None, prices))
        hours = min(1.0, max(0.0, (reached - own["started_at"]) / timedelta(hours=1)))
        is_known = price is not None and own["tokens"] and hours
        cost = price * hours / own["tokens"] if price is not None and is_known else None
        found.append(
            own
            | {"gpus": len(gpus), "price_per_hour_usd": price, "hours": hours}
            | {"cost_per_token": cost}
            | {"cost_per_million_tokens": None if cost is None else 1e6 * cost}
        )
    return found


def gpu_usage(events: Sequence[Row]) -> list[Row]:
    """What each GPU did, and the energy that it took."""
    key = ("source", "simulated", "host", "gpu_index")
    gpus: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in events:
        gpus[tuple(row[name] for name in key)].append(row)
    found = []
    for values, rows in gpus.items():
        rows.sort(key=lambda row: (row["observed_at"], row["kafka_timestamp"]))
        hours: dict[datetime, list[tuple[Row, Row | None]]] = defaultdict(list)
        for before, row in zip([None, *rows], rows, strict=False):
            hours[_hour(row["observed_at"])].append((row, before))
        found += [
            dict(zip(key, values, strict=True)) | {"started_at": start} | _usage(pairs)
            for start, pairs in hours.items()
        ]
    return found


def _usage(pairs: Sequence[tuple[Row, Row | None]]) -> Row:
    rows = [row for row, _ in pairs]
    energies = [_energy(row, before) for row, before in pairs if before is not None]
    known = [one for one in energies if one is not None]
    used = [row["utilization"] for row in rows]
    return {
        "gpu_name": rows[0]["name"],
        "readings": len(rows),
        "utilization": _mean(used),
        "highest_utilization": _most(used),
        "mem_used_pct": _mean([100 * row["mem_used_mb"] / row["mem_total_mb"] for row in rows]),
        "power_w": _mean([row["power_w"] for row in rows]),
        "highest_temp_c": _most([row["temp_c"] for row in rows]),
        "energy_wh": sum(joules for joules, _ in known) / 3600 if known else None,
        "measured_seconds": sum(seconds for _, seconds in known),
    }


def _energy(row: Row, before: Row) -> tuple[float, float] | None:
    """Joules and seconds since the reading before; None if they are unknown."""
    seconds = (row["observed_at"] - before["observed_at"]).total_seconds()
    if seconds > LONGEST:
        return None
    now, then = row["energy_j"], before["energy_j"]
    if now is not None and then is not None and now >= then:
        return now - then, seconds
    if row["power_w"] is None or before["power_w"] is None:
        return None
    return (row["power_w"] + before["power_w"]) / 2 * seconds, seconds
