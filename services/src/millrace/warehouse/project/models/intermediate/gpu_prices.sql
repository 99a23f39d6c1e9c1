{{ config(materialized='table') }}
{#- A price holds until the next one of the same name. -#}
select
    name,
    since,
    lead(since) over (partition by name order by since) as until,
    usd_per_hour
from {{ source('archive', 'gpu_prices') }}
