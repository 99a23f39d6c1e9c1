select
    source,
    simulated,
    symbol,
    currency,
    cast(started_at as date) as trade_date,
    open as day_open,
    high as day_high,
    low as day_low,
    close as day_close,
    volume as total_volume,
    observations as data_points,
    round((close - open) / open * 100, 2) as daily_change_pct
from {{ ref('prices_daily') }}
where feed = 'stocks'
