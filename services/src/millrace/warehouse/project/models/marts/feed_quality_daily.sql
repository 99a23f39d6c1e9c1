select
    feed,
    date_trunc('day', started_at) as started_at,
    cast(sum(events) as bigint) as events,
    sum(case when simulated then events else 0 end) / cast(sum(events) as double) as simulated_share,
    sum(late_events) / cast(sum(events) as double) as late_share,
    sum(dated_ahead_events) / cast(sum(events) as double) as dated_ahead_share,
    max(longest_delay_seconds) as longest_delay_seconds
from {{ ref('series_hourly') }}
group by feed, date_trunc('day', started_at)
