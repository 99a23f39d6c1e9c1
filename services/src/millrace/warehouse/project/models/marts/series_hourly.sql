{%- set columns = ['feed', 'source', 'simulated', 'symbol'] -%}
{%- set key = columns | join(', ') -%}
{{ config(materialized='incremental', unique_key=columns + ['started_at']) }}
{#- What is expected of a feed is in feed_expectations. -#}
with
{% if is_incremental() %}
touched as (
    select distinct {{ key }}, date_trunc('hour', observed_at) as started_at
    from {{ ref('int_events') }}
    where {{ is_new() }}
),
{% endif %}
events as (
    select *, date_trunc('hour', observed_at) as started_at
    from {{ ref('int_events') }}
    {% if is_incremental() %}
    where observed_at >= date_trunc('hour', {{ earliest_new(ref('int_events')) }})
    {% endif %}
),

spaced as (
    select
        *,
        {{ seconds_between('observed_at', 'kafka_timestamp') }} as delay_seconds,
        {{ seconds_between(
            'lag(observed_at) over (partition by ' ~ key ~ ', started_at order by observed_at)', 'observed_at'
        ) }} as seconds_since_previous
    from events
    {% if is_incremental() %}
    where exists (select 1 from touched where {{ same('touched', 'events', columns + ['started_at']) }})
    {% endif %}
)

select
    {% for column in columns %}spaced.{{ column }},
    {% endfor -%}
    spaced.started_at,
    count(*) as events,
    count(case when spaced.delay_seconds > expected.late_after_seconds then 1 end) as late_events,
    count(spaced.claimed_at) as dated_ahead_events,
    max(spaced.delay_seconds) as longest_delay_seconds,
    count(case when spaced.seconds_since_previous > expected.gap_after_seconds then 1 end) as gaps,
    max(spaced.seconds_since_previous) as longest_gap_seconds,
    min(spaced.observed_at) as first_observed_at,
    max(spaced.observed_at) as last_observed_at,
    max(spaced.kafka_timestamp) as last_arrived_at
from spaced
inner join {{ ref('feed_expectations') }} as expected on expected.feed = spaced.feed
group by {% for column in columns %}spaced.{{ column }}, {% endfor %}spaced.started_at
