{{ config(materialized='incremental', unique_key=['feed', 'kafka_log', 'kafka_partition', 'day']) }}
{#- Records of the archive by log, partition and day of their arrival: how far they were loaded, and
    how many repeat an event. -#}
{%- set key = 'feed, kafka_topic, kafka_log, kafka_partition, day' -%}
with counts as (
    {% for feed in ['metals', 'stocks', 'quotes', 'gpu_metrics', 'token_usage'] %}
    select
        '{{ feed }}' as feed,
        kafka_topic,
        kafka_log,
        kafka_partition,
        date_trunc('day', {{ utc('kafka_timestamp') }}) as day,
        count(*) as records,
        0 as events,
        max(kafka_offset) as last_offset,
        max({{ utc('kafka_timestamp') }}) as newest_at
    from {{ source('archive', feed) }}
    group by all
    union all
    {% endfor %}
    select
        feed,
        kafka_topic,
        kafka_log,
        kafka_partition,
        date_trunc('day', kafka_timestamp) as day,
        0 as records,
        count(*) as events,
        max(kafka_offset) as last_offset,
        max(kafka_timestamp) as newest_at
    from {{ ref('int_events') }}
    {% if is_incremental() %}
    where {{ is_new() }}
    {% endif %}
    group by all
),

{% if is_incremental() %}
known as (
    select *
    from {{ this }} as former
    where exists (
        select 1 from counts
        where {{ same('counts', 'former', ['feed', 'kafka_log', 'kafka_partition', 'day']) }}
    )
),
{% endif %}

together as (
    select {{ key }}, records, events, last_offset, newest_at from counts
    {% if is_incremental() %}
    union all
    select {{ key }}, records, events, last_offset, newest_at from known
    {% endif %}
)

select
    {{ key }},
    cast(sum(records) as bigint) as records,
    cast(sum(events) as bigint) as events,
    cast(sum(records) - sum(events) as bigint) as duplicates,
    max(last_offset) as last_offset,
    max(newest_at) as newest_at
from together
group by {{ key }}
