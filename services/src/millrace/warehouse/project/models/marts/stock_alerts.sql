{%- set threshold = 'cast(' ~ var('stock_alert_threshold') ~ ' as double)' -%}
with ratios as (
    select *, greatest(1 + change_pct / 100, 1 / (1 + change_pct / 100)) as factor
    from {{ ref('stock_moves') }}
    where abs(change_pct) >= 100 * {{ threshold }}
)

select
    event_id,
    source,
    simulated,
    symbol,
    case
        when factor > 1.8e0 and abs(factor / {{ round_half_even('factor') }} - 1) <= 0.1e0 then 'possible_split'
        else 'move'
    end as alert_type,
    price as current_price,
    currency,
    change_pct / 100 as change,
    {{ threshold }} as threshold,
    observed_at as timestamp,
    kafka_topic,
    kafka_partition,
    kafka_offset,
    kafka_timestamp,
    loaded_at
from ratios
