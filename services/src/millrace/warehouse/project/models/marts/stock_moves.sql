{{ config(materialized='incremental', unique_key='event_id') }}
{#- The price that a price is compared with is the newest one of its series that is earlier, at most
    14 days; of several of one time, the first of the log. In another currency it is none. -#}
with
{% if is_incremental() %}
touched as (
    select source, simulated, symbol, min(observed_at) as first_at
    from {{ ref('stg_stocks') }}
    where {{ is_new() }}
    group by source, simulated, symbol
),
{% endif %}
prices as (
    select stocks.*
    from {{ ref('stg_stocks') }} as stocks
    {% if is_incremental() %}
    inner join touched on {{ same('touched', 'stocks', ['source', 'simulated', 'symbol']) }}
    where
        stocks.observed_at >= touched.first_at - interval '14 days'
        and stocks.observed_at >= {{ earliest_new(ref('stg_stocks')) }} - interval '14 days'
    {% endif %}
),

points as (
    select
        source, simulated, symbol, observed_at,
        lag(observed_at) over (partition by source, simulated, symbol order by observed_at) as previous_at,
        lag(price) over (partition by source, simulated, symbol order by observed_at) as previous_price,
        lag(currency) over (partition by source, simulated, symbol order by observed_at) as previous_currency
    from (
        select source, simulated, symbol, observed_at, price, currency
        from prices
        qualify row_number() over (
            partition by source, simulated, symbol, observed_at order by {{ log_order() }}
        ) = 1
    ) as firsts
),

compared as (
    select
        prices.*,
        case when points.previous_at >= prices.observed_at - interval '14 days' then points.previous_price end
            as previous_price,
        points.previous_currency
    from prices
    inner join points on {{ same('points', 'prices', ['source', 'simulated', 'symbol', 'observed_at']) }}
)

select
    compared.event_id,
    compared.source,
    compared.simulated,
    compared.symbol,
    compared.currency,
    compared.observed_at,
    compared.price,
    case when compared.previous_currency = compared.currency then compared.previous_price end as previous_price,
    case
        when compared.previous_currency = compared.currency
            then 100 * (compared.price / compared.previous_price - 1)
    end as change_pct,
    compared.kafka_topic,
    compared.kafka_partition,
    compared.kafka_offset,
    compared.kafka_timestamp,
    compared.loaded_at
from compared
{% if is_incremental() %}
inner join touched on {{ same('touched', 'compared', ['source', 'simulated', 'symbol']) }}
where compared.observed_at >= touched.first_at
{% endif %}
