select
    source,
    simulated,
    symbol,
    alert_type,
    current_price,
    currency,
    change,
    threshold,
    timestamp,
    round((abs(change) - threshold) / threshold * 100, 2) as threshold_deviation_pct
from {{ ref('stock_alerts') }}
where timestamp >= (select max(started_at) from {{ ref('builds') }}) - interval '7 days'
