{{ config(materialized='incremental', unique_key='event_id') }}
{#- A price is compared with the newest one of its series that is 24 to 48 hours older; of several
    of one time, with the first of the log. In another currency or unit it is none. -#}
{%- set columns = ['source', 'simulated', 'symbol'] -%}
{%- set key = columns | join(', ') -%}
with
{% if is_incremental() %}
touched as (
    select {{ key }}, min(observed_at) as first_at, max(observed_at) as last_at
    from {{ ref('stg_metals') }}
    where {{ is_new() }}
    group by {{ key }}
),
{% endif %}
prices as (
    select metals.*
    from {{ ref('stg_metals') }} as metals
    {% if is_incremental() %}
    inner join touched on {{ same('touched', 'metals', columns) }}
    where
        metals.observed_at between touched.first_at and touched.last_at + interval '48 hours'
        and metals.observed_at >= {{ earliest_new(ref('stg_metals')) }}
    {% endif %}
),

points as (
    select {{ key }}, observed_at, price, currency, unit
    from {{ ref('stg_metals') }}
    {% if is_incremental() %}
    where observed_at >= {{ earliest_new(ref('stg_metals')) }} - interval '48 hours'
    {% endif %}
    qualify row_number() over (partition by {{ key }}, observed_at order by {{ log_order() }}) = 1
),

baselines as (
    select
        prices.event_id,
        points.price as price_then,
        points.currency as currency_then,
        points.unit as unit_then
    from prices
    inner join points
        on {{ same('points', 'prices', columns) }}
        and points.observed_at <= prices.observed_at - interval '24 hours'
        and points.observed_at >= prices.observed_at - interval '48 hours'
    qualify row_number() over (partition by prices.event_id order by points.observed_at desc) = 1
)

select
    prices.event_id,
    prices.source,
    prices.simulated,
    prices.symbol,
    prices.metal_name,
    prices.currency,
    prices.unit,
    prices.observed_at,
    prices.price,
    baselines.price_then as price_24h_before,
    100 * (prices.price / baselines.price_then - 1) as change_pct_24h
from prices
left join baselines
    on baselines.event_id = prices.event_id
    and baselines.currency_then = prices.currency
    and baselines.unit_then = prices.unit
