{#- What all events have. -#}
{% for feed in ['metals', 'stocks', 'quotes', 'gpu_metrics', 'token_usage'] %}
select
    '{{ feed }}' as feed,
    event_id,
    source,
    simulated,
    symbol,
    observed_at,
    produced_at,
    claimed_at,
    kafka_topic,
    kafka_log,
    kafka_partition,
    kafka_offset,
    kafka_timestamp,
    loaded_at
from {{ ref('stg_' ~ feed) }}
{% if not loop.last %}union all{% endif %}
{% endfor %}
