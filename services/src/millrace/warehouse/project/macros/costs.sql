{#- What a token costs in an hour, for each value of a group: the price of every GPU that served it,
    idle time included, divided by its tokens. A GPU without a price makes the cost unknown. -#}
{% macro token_costs(group) %}
{%- set key = ['simulated'] + group + ['started_at'] -%}
with gpus as (
    select
        {{ key | join(', ') }},
        host as gpu_host,
        gpu_index as gpu_number,
        cast(sum(events) as bigint) as events,
        cast(sum(prompt_tokens) as bigint) as prompt_tokens,
        cast(sum(completion_tokens) as bigint) as completion_tokens,
        cast(sum(tokens) as bigint) as tokens,
        max(price_per_hour_usd) as price
    from {{ ref('token_usage_hourly') }}
    group by {{ key | join(', ') }}, gpu_host, gpu_number
),

groups as (
    select
        {{ key | join(', ') }},
        cast(sum(events) as bigint) as events,
        cast(sum(prompt_tokens) as bigint) as prompt_tokens,
        cast(sum(completion_tokens) as bigint) as completion_tokens,
        cast(sum(tokens) as bigint) as tokens,
        count(*) as gpus,
        case when count(price) = count(*) then sum(price) end as price_per_hour_usd
    from gpus
    group by {{ key | join(', ') }}
),

-- The newest hour has lasted as long as the archive reaches.
with_hours as (
    select
        groups.*,
        least(1, greatest(0, {{ seconds_between('groups.started_at', 'reached.reached_at') }} / 3600)) as hours
    from groups
    cross join (select max(newest_at) as reached_at from {{ ref('archived_records') }}) as reached
)

select
    *,
    price_per_hour_usd * nullif(hours, 0) / nullif(tokens, 0) as cost_per_token,
    1000000 * (price_per_hour_usd * nullif(hours, 0) / nullif(tokens, 0)) as cost_per_million_tokens
from with_hours
{% endmacro %}
