{#- The events of a feed, each once: of several records with one id, the first of the log. A record
    that is first although another one was loaded before makes the run build everything anew. -#}
{% macro staged(feed, own) %}
{%- set columns -%}
        event_id,
        source,
        simulated,
        symbol,
        {{ utc('observed_at') }} as observed_at,
        {{ utc('produced_at') }} as produced_at,
        {% for column in own %}{{ column }},
        {% endfor -%}
        {{ utc('claimed_at') }} as claimed_at,
        kafka_topic,
        kafka_log,
        kafka_partition,
        kafka_offset,
        {{ utc('kafka_timestamp') }} as kafka_timestamp,
        {{ run_started_at() }} as loaded_at
{%- endset %}
-- They are few: only what these have is numbered, which takes memory for each record.
with repeated as (
    select event_id
    from {{ source('archive', feed) }}
    group by event_id
    having count(*) > 1
),

arrived as (
    select
        {{ columns }}
    from {{ source('archive', feed) }}
    where event_id not in (select event_id from repeated)
    union all
    select
        {{ columns }}
    from {{ source('archive', feed) }}
    where event_id in (select event_id from repeated)
    qualify row_number() over (
        partition by event_id order by {{ log_order() }}
    ) = 1
)

select *
from arrived
{% if is_incremental() %}
where not exists (select 1 from {{ this }} as known where known.event_id = arrived.event_id)
{% endif %}
order by observed_at
{% endmacro %}

{#- The order of records, also of those in several logs or partitions. -#}
{% macro log_order() -%}
    kafka_timestamp, kafka_log, kafka_partition, kafka_offset
{%- endmacro %}
