select
    source,
    simulated,
    symbol,
    timestamp,
    close as current_price,
    currency,
    open,
    high,
    low,
    volume,
    round((close - open) / open * 100, 2) as daily_change_pct
from {{ ref('stock_data') }}
qualify row_number() over (
    partition by source, simulated, symbol
    order by timestamp desc, kafka_timestamp desc, kafka_partition desc, kafka_offset desc
) = 1
