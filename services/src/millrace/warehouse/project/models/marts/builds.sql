{{ config(materialized='incremental', unique_key='started_at') }}
{#- Each run that made this database. -#}
select
    {{ run_started_at() }} as started_at,
    {{ 'false' if is_incremental() else 'true' }} as is_full,
    '{{ var("models_digest", "") }}' as models_digest,
    '{{ var("snapshots", "{}") }}' as snapshots,
    count(*) as new_events
from {{ ref('int_events') }}
where {{ is_new() }}
