with newest as (
    select
        feed,
        cast(sum(events) as bigint) as events,
        max(last_observed_at) as last_observed_at,
        max(last_arrived_at) as last_arrived_at
    from {{ ref('series_hourly') }}
    group by feed
),

built as (
    select max(started_at) as built_at from {{ ref('builds') }}
)

select
    expected.feed,
    coalesce(newest.events, 0) as events,
    newest.last_observed_at,
    newest.last_arrived_at,
    built.built_at,
    {{ seconds_between('newest.last_arrived_at', 'built.built_at') }} as age_seconds,
    expected.gap_after_seconds,
    case
        when newest.feed is null then 'absent'
        when {{ seconds_between('newest.last_arrived_at', 'built.built_at') }} > expected.gap_after_seconds then 'stale'
        else 'fresh'
    end as status
from {{ ref('feed_expectations') }} as expected
left join newest on newest.feed = expected.feed
cross join built
