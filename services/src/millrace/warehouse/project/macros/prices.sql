{#- What makes prices comparable: one series has one source, one symbol, and one unit. -#}
{% macro series() -%}
    {{ return(['feed', 'source', 'simulated', 'symbol', 'currency', 'unit']) }}
{%- endmacro %}

{#- Open, high, low and close of each series in each hour or day. Days use the open, high and low
    that an event has of its own day. -#}
{% macro ohlc(period) %}
{%- set columns = series() -%}
{%- set key = columns | join(', ') -%}
with
{% if is_incremental() %}
touched as (
    select distinct {{ key }}, date_trunc('{{ period }}', observed_at) as started_at
    from {{ ref('int_prices') }}
    where {{ is_new() }}
),
{% endif %}
observed as (
    select
        *,
        date_trunc('{{ period }}', observed_at) as started_at,
        {%- if period == 'day' %}
        coalesce(day_open, price) as first_price,
        greatest(coalesce(day_high, price), coalesce(day_open, price), price) as highest,
        least(coalesce(day_low, price), coalesce(day_open, price), price) as lowest
        {%- else %}
        price as first_price,
        price as highest,
        price as lowest
        {%- endif %}
    from {{ ref('int_prices') }}
    {% if is_incremental() %}
    where observed_at >= date_trunc('{{ period }}', {{ earliest_new(ref('int_prices')) }})
    {% endif %}
),

numbered as (
    select
        *,
        row_number() over (
            partition by {{ key }}, started_at order by observed_at, {{ log_order() }}
        ) as number_from_first,
        row_number() over (
            partition by {{ key }}, started_at
            order by observed_at desc, kafka_timestamp desc, kafka_log desc, kafka_partition desc, kafka_offset desc
        ) as number_from_last
    from observed
    {% if is_incremental() %}
    where exists (
        select 1 from touched
        where {{ same('touched', 'observed', columns + ['started_at']) }}
    )
    {% endif %}
)

select
    {{ key }},
    started_at,
    max(case when number_from_first = 1 then first_price end) as open,
    max(highest) as high,
    min(lowest) as low,
    max(case when number_from_last = 1 then price end) as close,
    cast(case when feed = 'quotes' then sum(volume) else max(volume) end as decimal(38, 0)) as volume,
    count(*) as observations
from numbered
group by {{ key }}, started_at
{% endmacro %}

{#- Returns from one period to the next, their volatility and the moving averages of the close: over
    so many periods that have prices, null until there are as many. -#}
{% macro indicators(prices, averages, volatility) %}
{%- set key = series() | join(', ') -%}
with returns as (
    select
        {{ key }},
        started_at,
        close,
        lag(close) over (partition by {{ key }} order by started_at) as previous_close
    from {{ ref(prices) }}
),

with_logarithms as (
    select
        *,
        close / previous_close - 1 as simple_return,
        ln(close / previous_close) as log_return
    from returns
)

select
    {{ key }},
    started_at,
    close,
    previous_close,
    simple_return,
    log_return,
    {%- for count in averages %}
    case
        when count(close) over ({{ last(count) }}) = {{ count }} then avg(close) over ({{ last(count) }})
    end as moving_average_{{ count }},
    {%- endfor %}
    case
        when count(log_return) over ({{ last(volatility) }}) = {{ volatility }}
            then stddev_samp(log_return) over ({{ last(volatility) }})
    end as volatility_{{ volatility }}
from with_logarithms
{% endmacro %}

{#- The window of a period and those of its series before it, so many in all. -#}
{% macro last(count) -%}
    partition by {{ series() | join(', ') }} order by started_at rows between {{ count - 1 }} preceding and current row
{%- endmacro %}
