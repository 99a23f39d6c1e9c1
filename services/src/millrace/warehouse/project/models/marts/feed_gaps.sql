with hours as (
    select
        *,
        lag(last_observed_at) over (
            partition by feed, source, simulated, symbol order by started_at
        ) as previous_observed_at
    from {{ ref('series_hourly') }}
),

with_borders as (
    select
        hours.*,
        {{ seconds_between('hours.previous_observed_at', 'hours.first_observed_at') }} as border_seconds,
        expected.gap_after_seconds
    from hours
    inner join {{ ref('feed_expectations') }} as expected on expected.feed = hours.feed
),

counted as (
    select *, case when border_seconds > gap_after_seconds then 1 else 0 end as border_gaps
    from with_borders
)

select
    feed,
    source,
    simulated,
    symbol,
    started_at,
    gaps + border_gaps as gaps,
    greatest(coalesce(longest_gap_seconds, 0), coalesce(border_seconds, 0)) as longest_gap_seconds,
    gap_after_seconds
from counted
where gaps + border_gaps > 0
