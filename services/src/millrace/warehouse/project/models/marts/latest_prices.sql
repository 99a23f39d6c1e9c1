{{ config(materialized='incremental', unique_key=series()) }}
{%- set columns = series() + ['observed_at', 'price', 'event_id', 'kafka_log', 'kafka_partition', 'kafka_offset', 'kafka_timestamp'] -%}
with candidates as (
    select {{ columns | join(', ') }}
    from {{ ref('int_prices') }}
    {% if is_incremental() %}
    where {{ is_new() }}
    union all
    select {{ columns | join(', ') }}
    from {{ this }}
    {% endif %}
)

select *
from candidates
qualify row_number() over (
    partition by {{ series() | join(', ') }}
    order by observed_at desc, kafka_timestamp desc, kafka_log desc, kafka_partition desc, kafka_offset desc
) = 1
