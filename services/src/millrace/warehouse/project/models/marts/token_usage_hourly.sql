{%- set key = ['source', 'simulated', 'host', 'gpu_index', 'model'] -%}
{{ config(materialized='incremental', unique_key=key + ['started_at']) }}
with
{% if is_incremental() %}
touched as (
    select distinct {{ key | join(', ') }}, date_trunc('hour', observed_at) as started_at
    from {{ ref('stg_token_usage') }}
    where {{ is_new() }}
),
{% endif %}
used as (
    select *, date_trunc('hour', observed_at) as started_at
    from {{ ref('stg_token_usage') }}
    {% if is_incremental() %}
    where observed_at >= date_trunc('hour', {{ earliest_new(ref('stg_token_usage')) }})
    {% endif %}
),

priced as (
    select used.*, coalesce(used.price_per_hour_usd, prices.usd_per_hour) as price
    from used
    left join {{ ref('gpu_prices') }} as prices
        on prices.name = used.gpu_name
        and used.observed_at >= prices.since
        and (used.observed_at < prices.until or prices.until is null)
    {% if is_incremental() %}
    where exists (select 1 from touched where {{ same('touched', 'used', key + ['started_at']) }})
    {% endif %}
)

select
    {{ key | join(', ') }},
    started_at,
    max(gpu_name) as gpu_name,
    count(*) as events,
    cast(sum(prompt_tokens) as bigint) as prompt_tokens,
    cast(sum(completion_tokens) as bigint) as completion_tokens,
    cast(sum(prompt_tokens) + sum(completion_tokens) as bigint) as tokens,
    avg(latency_ms) as latency_ms,
    max(price) as price_per_hour_usd
from priced
group by {{ key | join(', ') }}, started_at
