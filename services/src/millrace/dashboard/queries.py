"""What is asked of the warehouse. Every text has as many rows as its bounds allow, and times in
UTC."""

from datetime import timedelta
from typing import NamedTuple

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MOST_BARS = 400
"""Number of candles of a chart at most: more of them are not told apart on a screen."""
STEPS = [
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=15),
    HOUR,
    4 * HOUR,
    DAY,
    7 * DAY,
    28 * DAY,
    364 * DAY,
]
RANGES = {
    "1 day": DAY,
    "1 week": 7 * DAY,
    "1 month": 31 * DAY,
    "1 year": 366 * DAY,
    "All": 100 * 366 * DAY,
}
_SERIES = "feed = ? and source = ? and simulated = ? and currency = ?"

SERIES = """
select feed, source, simulated, symbol, currency, unit, observed_at, price
from latest_prices order by feed, source, symbol, observed_at desc limit 2000
"""
BUILT = "select max(started_at) as built_at from builds"
BEGINNING = f"""
select min(started_at) as first_at from prices_daily
where {_SERIES} and list_contains(?, symbol)
"""  # noqa: S608 - names of this module
ALERTS = """
select timestamp as at, symbol, source, simulated, alert_type, current_price as price, currency,
    100 * change as change_pct, 100 * threshold as threshold_pct
from stock_alerts
where list_contains(?, symbol) and source = ? and currency = ? and timestamp > ?
order by timestamp desc limit 200
"""
GPU_USAGE = """
select started_at as at, host || '/' || gpu_index as gpu, gpu_name, source, simulated,
    utilization, mem_used_pct, power_w, highest_temp_c, energy_wh
from gpu_usage_hourly
where started_at > (select max(started_at) from gpu_usage_hourly) - to_seconds(?)
order by started_at
"""
COSTS = """
select started_at as at, model, simulated, tokens, gpus, price_per_hour_usd,
    cost_per_million_tokens
from token_costs_by_model
where started_at > (select max(started_at) from token_costs_by_model) - to_seconds(?)
order by started_at
"""
METALS = """
select started_at as at, symbol, source, simulated, currency, unit, close as price
from {table}
where feed = 'metals'
    and started_at > (select max(started_at) from {table} where feed = 'metals') - to_seconds(?)
order by started_at
"""
FRESHNESS = """
select feed, status, events, last_observed_at, last_arrived_at, age_seconds, gap_after_seconds
from feed_freshness order by feed
"""
QUALITY = """
select feed, started_at as at, events, simulated_share, late_share, dated_ahead_share,
    longest_delay_seconds
from feed_quality_daily
qualify row_number() over (partition by feed order by started_at desc) <= 90
order by feed, started_at
"""
GAPS = """
select feed, source, simulated, symbol, started_at as at, gaps, longest_gap_seconds,
    gap_after_seconds
from feed_gaps order by started_at desc limit 200
"""
DUPLICATES = """
select feed, started_at as at, records, events, duplicates
from feed_duplicates_daily where duplicates > 0 order by started_at desc limit 200
"""


class Series(NamedTuple):
    """Prices that can be compared: of one feed, source and currency, all invented or none."""

    feed: str
    source: str
    simulated: bool
    currency: str


def step_of(length: timedelta) -> timedelta:
    """How long a candle is, so that a range has no more than MOST_BARS of them."""
    return next((step for step in STEPS if length / step <= MOST_BARS), STEPS[-1])


def candles(step: timedelta, feed: str) -> str:
    """Candles of a series between two times: (step in seconds, those of the series, symbol, after,
    up to).

    They are made of the longest hours or days that the warehouse has: a year of prices by the
    minute is 365 rows.
    """
    if step >= HOUR:
        table = "prices_daily" if step >= DAY else "prices_hourly"
        at, first, high, low, last = "started_at", "open", "high", "low", "close"
    else:
        table, at = "staging.int_prices", "observed_at"
        first = high = low = last = "price"
    # A share's volume in `stocks` is that of its day so far; a quote's is its own.
    volume = "max" if feed == "stocks" and step < DAY else "sum"
    return f"""
        select time_bucket(to_seconds(?), {at}) as at, symbol, any_value(currency) as currency,
            arg_min({first}, {at}) as open, max({high}) as high, min({low}) as low,
            arg_max({last}, {at}) as close, cast({volume}(volume) as double) as volume
        from {table}
        where {_SERIES} and symbol = ? and {at} > ? and {at} <= ?
        group by all
        order by 1
    """  # noqa: S608 - names of this module
