{#- The prices of all feeds that have one. -#}
{%- set envelope = [
    'event_id', 'source', 'simulated', 'symbol', 'observed_at', 'currency', 'price',
    'kafka_log', 'kafka_partition', 'kafka_offset', 'kafka_timestamp', 'loaded_at'
] | join(',\n    ') -%}
select
    'metals' as feed,
    {{ envelope }},
    unit,
    cast(null as double) as day_open,
    cast(null as double) as day_high,
    cast(null as double) as day_low,
    cast(null as bigint) as volume
from {{ ref('stg_metals') }}
union all
select
    'stocks' as feed,
    {{ envelope }},
    'share' as unit,
    open as day_open,
    high as day_high,
    low as day_low,
    volume
from {{ ref('stg_stocks') }}
union all
select
    'quotes' as feed,
    {{ envelope }},
    'share' as unit,
    cast(null as double) as day_open,
    cast(null as double) as day_high,
    cast(null as double) as day_low,
    volume
from {{ ref('stg_quotes') }}
