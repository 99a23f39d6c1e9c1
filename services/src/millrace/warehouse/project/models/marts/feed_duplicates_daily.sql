select
    feed,
    day as started_at,
    cast(sum(records) as bigint) as records,
    cast(sum(events) as bigint) as events,
    cast(sum(duplicates) as bigint) as duplicates
from {{ ref('archived_records') }}
group by feed, day
