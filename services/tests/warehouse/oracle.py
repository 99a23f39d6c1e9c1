"""What every model must have, computed from the records of the log in plain Python."""

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from operator import itemgetter
from typing import Any

import msgspec
from services.tests.warehouse.oracle_gpus import costs, gpu_usage, token_usage
from services.tests.warehouse.world import LOG, Arrival

from millrace.feeds import FEEDS

Row = dict[str, Any]
HOUR = timedelta(hours=1)
PRICED = ("metals", "stocks", "quotes")
SERIES = ("feed", "source", "simulated", "symbol", "currency", "unit")
GAP = {"metals": 7200, "stocks": 345_600, "quotes": 60, "gpu_metrics": 60, "token_usage": 3600}
LATE = {"metals": 7200, "stocks": 86_400, "quotes": 60, "gpu_metrics": 60, "token_usage": 60}
RECORD = ("kafka_topic", "kafka_log", "kafka_partition", "kafka_offset", "kafka_timestamp")
POSITION = itemgetter("kafka_timestamp", "kafka_log", "kafka_partition", "kafka_offset")


def plain(time: datetime) -> datetime:
    """A time in UTC, without a zone."""
    return time.astimezone(UTC).replace(tzinfo=None)


def milliseconds(time: datetime) -> datetime:
    """A time in UTC, without a zone, in milliseconds."""
    found = plain(time)
    return found.replace(microsecond=found.microsecond // 1000 * 1000)


def hour(time: datetime) -> datetime:
    """The start of an hour."""
    return time.replace(minute=0, second=0, microsecond=0)


def day(time: datetime) -> datetime:
    """The start of a day."""
    return hour(time).replace(hour=0)


def records_of(feed: str, arrivals: Iterable[Arrival]) -> list[Row]:
    """The records of a feed, in the order in which they were appended."""
    offsets: dict[int, int] = defaultdict(int)
    records = []
    for event, partition, at in arrivals:
        row = msgspec.structs.asdict(event)
        for name in ("schema_version", "feed"):
            del row[name]
        row["observed_at"] = milliseconds(event.observed_at)
        row["produced_at"] = plain(event.produced_at)
        position = (FEEDS[feed].topic, LOG, partition, offsets[partition], milliseconds(at))
        row |= dict(zip(RECORD, position, strict=True)) | {"claimed_at": None}
        if row["observed_at"] - row["kafka_timestamp"] > FEEDS[feed].ahead:
            row |= {"claimed_at": row["observed_at"], "observed_at": row["kafka_timestamp"]}
        offsets[partition] += 1
        records.append(row)
    return records


def grouped(rows: Iterable[Row], *names: str, by: Callable[[Row], Row] | None = None) -> Any:
    """The rows of each group, in order of event time and log, with the group's own columns."""
    found: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        own = row | (by(row) if by else {})
        found[tuple(own[name] for name in names)].append(own)
    for key, members in found.items():
        if "observed_at" in members[0]:
            members.sort(key=lambda row: (row["observed_at"], POSITION(row)))
        yield dict(zip(names, key, strict=True)), members


def first_of(rows: Iterable[Row]) -> list[Row]:
    """Each event as its first record has it."""
    return [min(members, key=POSITION) for _, members in grouped(rows, "event_id")]


def chosen(rows: Iterable[Row], *names: str, **renamed: str) -> list[Row]:
    """Some columns of the rows; others under another name."""
    return [
        {name: row[name] for name in names} | {new: row[old] for new, old in renamed.items()}
        for row in rows
    ]


def ohlc(prices: Sequence[Row], period: Callable[[datetime], datetime]) -> list[Row]:
    """Open, high, low and close of each period."""
    found = []
    is_daily = period is day
    for key, rows in grouped(
        prices, *SERIES, "started_at", by=lambda row: {"started_at": period(row["observed_at"])}
    ):
        names = ["price", *(("day_open", "day_high", "day_low") if is_daily else ())]
        numbers = [row[name] for row in rows for name in names if row[name] is not None]
        volumes = [row["volume"] for row in rows if row["volume"] is not None]
        opening = rows[0]["day_open"] if is_daily else None
        found.append(
            key
            | {
                "open": rows[0]["price"] if opening is None else opening,
                "high": max(numbers),
                "low": min(numbers),
                "close": rows[-1]["price"],
                "volume": (sum if key["feed"] == "quotes" else max)(volumes) if volumes else None,
                "observations": len(rows),
            }
        )
    return found


def indicators(prices: Iterable[Row], averages: Sequence[int], volatility: int) -> list[Row]:
    """Returns, moving averages and volatility."""
    found = []
    for _, rows in grouped(prices, *SERIES):
        rows.sort(key=itemgetter("started_at"))
        closes = [row["close"] for row in rows]
        logs = [math.log(b / a) for a, b in pairwise(closes)]
        for n, row in enumerate(rows):
            own = {name: row[name] for name in (*SERIES, "started_at", "close")}
            own["previous_close"] = closes[n - 1] if n else None
            own["simple_return"] = closes[n] / closes[n - 1] - 1 if n else None
            own["log_return"] = logs[n - 1] if n else None
            for count in averages:
                last = closes[n + 1 - count : n + 1] if n + 1 >= count else []
                own[f"moving_average_{count}"] = statistics.fmean(last) if last else None
            last = logs[n - volatility : n] if n >= volatility else []
            own[f"volatility_{volatility}"] = statistics.stdev(last) if last else None
            found.append(own)
    return found


def baseline(row: Row, rows: Iterable[Row], oldest: timedelta, newest: timedelta) -> Row | None:
    """The newest row of a series so much older; of several of one time, the first of the log."""
    at = row["observed_at"]
    there = [
        one
        for one in rows
        if all(one[name] == row[name] for name in ("source", "simulated", "symbol"))
        and at - oldest <= one["observed_at"] <= at - newest
    ]
    if not there:
        return None
    time = max(one["observed_at"] for one in there)
    return min((one for one in there if one["observed_at"] == time), key=POSITION)


def metal_changes(metals: Sequence[Row]) -> list[Row]:
    """The change of each price in a day."""
    found = []
    for row in metals:
        then = baseline(row, metals, timedelta(hours=48), timedelta(hours=24))
        same = then and (then["currency"], then["unit"]) == (row["currency"], row["unit"])
        price = then["price"] if then and same else None
        names = ("event_id", "source", "simulated", "symbol", "metal_name", "currency", "unit")
        [own] = chosen([row], *names, "observed_at", "price")
        change = None if price is None else 100 * (row["price"] / price - 1)
        found.append(own | {"price_24h_before": price, "change_pct_24h": change})
    return found


def stock_moves(stocks: Sequence[Row]) -> list[Row]:
    """The change of each price from the one before."""
    found = []
    for row in stocks:
        then = baseline(row, stocks, timedelta(days=14), timedelta(microseconds=1))
        price = then["price"] if then and then["currency"] == row["currency"] else None
        names = ("event_id", "source", "simulated", "symbol", "currency", "observed_at", "price")
        [own] = chosen([row], *names, *(n for n in RECORD if n != "kafka_log"))
        change = None if price is None else 100 * (row["price"] / price - 1)
        found.append(own | {"previous_price": price, "change_pct": change})
    return found


def stock_alerts(moves: Iterable[Row], threshold: float) -> list[Row]:
    """The moves that are alerts."""
    found = []
    for row in moves:
        change = row["change_pct"]
        if change is None or abs(change) < 100 * threshold:
            continue
        ratio = 1 + change / 100
        factor = max(ratio, 1 / ratio)
        is_split = factor > 1.8 and abs(factor / round(factor) - 1) <= 0.1
        names = ("event_id", "source", "simulated", "symbol", "currency")
        [own] = chosen(
            [row],
            *names,
            *(n for n in RECORD if n != "kafka_log"),
            current_price="price",
            timestamp="observed_at",
        )
        kind = "possible_split" if is_split else "move"
        found.append(own | {"alert_type": kind, "change": change / 100, "threshold": threshold})
    return found


def series_hourly(events: Sequence[Row]) -> list[Row]:
    """How the events of each series came."""
    found = []
    for key, rows in grouped(
        events,
        *SERIES[:4],
        "started_at",
        by=lambda row: {"started_at": hour(row["observed_at"])},
    ):
        times = [row["observed_at"] for row in rows]
        delays = [(row["kafka_timestamp"] - row["observed_at"]).total_seconds() for row in rows]
        gaps = [(b - a).total_seconds() for a, b in pairwise(times)]
        found.append(
            key
            | {
                "events": len(rows),
                "late_events": sum(delay > LATE[key["feed"]] for delay in delays),
                "dated_ahead_events": sum(row["claimed_at"] is not None for row in rows),
                "longest_delay_seconds": max(delays),
                "gaps": sum(gap > GAP[key["feed"]] for gap in gaps),
                "longest_gap_seconds": max(gaps, default=None),
                "first_observed_at": times[0],
                "last_observed_at": times[-1],
                "last_arrived_at": max(row["kafka_timestamp"] for row in rows),
            }
        )
    return found


def feed_gaps(events: Sequence[Row]) -> list[Row]:
    """Hours in which a gap ended."""
    ended: dict[tuple[Any, ...], list[float]] = defaultdict(list)
    for key, rows in grouped(events, *SERIES[:4]):
        times = [row["observed_at"] for row in rows]
        for a, b in pairwise(times):
            seconds = (b - a).total_seconds()
            if seconds > GAP[key["feed"]]:
                ended[(*key.values(), hour(b))].append(seconds)
    return [
        dict(zip((*SERIES[:4], "started_at"), key, strict=True))
        | {
            "gaps": len(gaps),
            "longest_gap_seconds": max(gaps),
            "gap_after_seconds": GAP[key[0]],
        }
        for key, gaps in ended.items()
    ]


def quality(events: Sequence[Row]) -> list[Row]:
    """Shares of the events of each day."""
    found = []
    for key, rows in grouped(
        events, "feed", "started_at", by=lambda row: {"started_at": day(row["observed_at"])}
    ):
        delays = [(row["kafka_timestamp"] - row["observed_at"]).total_seconds() for row in rows]
        late = [delay > LATE[key["feed"]] for delay in delays]
        found.append(
            key
            | {
                "events": len(rows),
                "simulated_share": sum(row["simulated"] for row in rows) / len(rows),
                "late_share": sum(late) / len(rows),
                "dated_ahead_share": sum(row["claimed_at"] is not None for row in rows) / len(rows),
                "longest_delay_seconds": max(delays),
            }
        )
    return found


def archived(records: Iterable[Row], events: Iterable[Row], *names: str) -> list[Row]:
    """Records and events by day of arrival."""
    firsts = {(row["feed"], row["kafka_partition"], row["kafka_offset"]) for row in events}
    found = []
    for key, rows in grouped(records, *names, by=lambda row: {"day": day(row["kafka_timestamp"])}):
        count = sum((r["feed"], r["kafka_partition"], r["kafka_offset"]) in firsts for r in rows)
        own = key | {"records": len(rows), "events": count, "duplicates": len(rows) - count}
        if "kafka_partition" in key:
            own["last_offset"] = max(row["kafka_offset"] for row in rows)
            own["newest_at"] = max(row["kafka_timestamp"] for row in rows)
        else:
            own["started_at"] = own.pop("day")
        found.append(own)
    return found


def freshness(feed: str, rows: Sequence[Row], built_at: datetime) -> Row:
    """How old the newest event of a feed is."""
    last = max(row["kafka_timestamp"] for row in rows)
    age = (built_at - last).total_seconds()
    return {
        "feed": feed,
        "events": len(rows),
        "last_observed_at": max(row["observed_at"] for row in rows),
        "last_arrived_at": last,
        "built_at": built_at,
        "age_seconds": age,
        "gap_after_seconds": GAP[feed],
        "status": "stale" if age > GAP[feed] else "fresh",
    }


def models(arrivals: dict[str, list[Arrival]], threshold: float, built_at: datetime) -> Any:
    """The rows of every model, by its name."""
    records = {feed: records_of(feed, own) for feed, own in arrivals.items()}
    staged = {feed: first_of(rows) for feed, rows in records.items()}
    every = [row | {"feed": feed} for feed, rows in records.items() for row in rows]
    events = [row | {"feed": feed} for feed, rows in staged.items() for row in rows]
    shares = {"unit": "share"}
    prices = [
        {"day_open": row.get("open"), "day_high": row.get("high"), "day_low": row.get("low")}
        | {"volume": None}
        | shares
        | row
        for row in events
        if row["feed"] in PRICED
    ]
    hourly, daily = ohlc(prices, hour), ohlc(prices, day)
    moves = stock_moves(staged["stocks"])
    alerts = stock_alerts(moves, threshold)
    usage = token_usage(staged["token_usage"])
    reached = max(row["kafka_timestamp"] for row in every)
    common = ("event_id", "source", "simulated", "symbol", "observed_at")
    shown = ("open", "high", "low", "volume", "currency", "source", "simulated", "symbol")
    newest = [rows[-1] for _, rows in grouped(staged["stocks"], "source", "simulated", "symbol")]
    latest = [rows[-1] for _, rows in grouped(prices, *SERIES)]
    names = ("source", "simulated", "symbol", "alert_type", "current_price", "currency", "change")
    return {
        **{f"stg_{feed}": rows for feed, rows in staged.items()},
        "int_events": chosen(events, "feed", *common, "produced_at", "claimed_at", *RECORD),
        "int_prices": chosen(
            prices,
            *common,
            *("feed", "currency", "unit", "price", "day_open", "day_high", "day_low", "volume"),
            *RECORD[1:],
        ),
        "prices_hourly": hourly,
        "prices_daily": daily,
        "indicators_hourly": indicators(hourly, [24, 168], 24),
        "indicators_daily": indicators(daily, [7, 30], 30),
        "latest_prices": chosen(latest, *SERIES, "observed_at", "price", "event_id", *RECORD[1:]),
        "metal_changes": metal_changes(staged["metals"]),
        "stock_moves": moves,
        "stock_alerts": alerts,
        "recent_alerts": [
            {name: row[name] for name in (*names, "threshold", "timestamp")}
            | {
                "threshold_deviation_pct": round(
                    (abs(row["change"]) - row["threshold"]) / row["threshold"] * 100, 2
                )
            }
            for row in alerts
            if row["timestamp"] >= built_at - timedelta(days=7)
        ],
        "stock_data": chosen(
            staged["stocks"],
            *("event_id", *shown, *(n for n in RECORD if n != "kafka_log")),
            timestamp="observed_at",
            close="price",
            processed_at="produced_at",
            data_type="kafka_topic",
        ),
        "latest_stock_prices": [
            own | {"daily_change_pct": round((own["current_price"] / own["open"] - 1) * 100, 2)}
            for own in chosen(newest, *shown, timestamp="observed_at", current_price="price")
        ],
        "daily_stock_summary": [
            chosen([row], "source", "simulated", "symbol", "currency")[0]
            | {f"day_{name}": row[name] for name in ("open", "high", "low", "close")}
            | {"trade_date": row["started_at"].date(), "total_volume": row["volume"]}
            | {"data_points": row["observations"]}
            | {"daily_change_pct": round((row["close"] / row["open"] - 1) * 100, 2)}
            for row in daily
            if row["feed"] == "stocks"
        ],
        "token_usage_hourly": usage,
        "token_costs_by_model": costs(usage, reached, "model"),
        "token_costs_by_gpu": costs(usage, reached, "host", "gpu_index"),
        "token_costs_by_gpu_and_model": costs(usage, reached, "host", "gpu_index", "model"),
        "gpu_usage_hourly": gpu_usage(staged["gpu_metrics"]),
        "archived_records": archived(
            every, events, "feed", "kafka_topic", "kafka_log", "kafka_partition", "day"
        ),
        "series_hourly": series_hourly(events),
        "feed_gaps": feed_gaps(events),
        "feed_quality_daily": quality(events),
        "feed_duplicates_daily": archived(every, events, "feed", "day"),
        "feed_freshness": [freshness(feed, rows, built_at) for feed, rows in staged.items()],
    }
