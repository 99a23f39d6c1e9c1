{%- set gpu = ['source', 'simulated', 'host', 'gpu_index'] -%}
{%- set key = gpu | join(', ') -%}
{{ config(materialized='incremental', unique_key=gpu + ['started_at']) }}
{#- The energy between two readings counts in the hour of the later one, if they are at most five
    minutes apart: that of the counter, else, as after a restart of its driver, that of the mean of
    both powers. -#}
{%- set longest = 300 -%}
with
{% if is_incremental() %}
touched as (
    select distinct {{ key }}, date_trunc('hour', observed_at) as started_at
    from {{ ref('stg_gpu_metrics') }}
    where {{ is_new() }}
    union
    select distinct {{ key }}, date_trunc('hour', observed_at + interval '{{ longest }} seconds') as started_at
    from {{ ref('stg_gpu_metrics') }}
    where {{ is_new() }}
),
{% endif %}
readings as (
    select
        *,
        date_trunc('hour', observed_at) as started_at,
        lag(observed_at) over (partition by {{ key }} order by observed_at, {{ log_order() }}) as previous_at,
        lag(energy_j) over (partition by {{ key }} order by observed_at, {{ log_order() }}) as previous_energy_j,
        lag(power_w) over (partition by {{ key }} order by observed_at, {{ log_order() }}) as previous_power_w
    from {{ ref('stg_gpu_metrics') }}
    {% if is_incremental() %}
    where observed_at >= date_trunc('hour', {{ earliest_new(ref('stg_gpu_metrics')) }}) - interval '{{ longest }} seconds'
    {% endif %}
),

timed as (
    select *, {{ seconds_between('previous_at', 'observed_at') }} as seconds
    from readings
    {% if is_incremental() %}
    where exists (select 1 from touched where {{ same('touched', 'readings', gpu + ['started_at']) }})
    {% endif %}
),

measured as (
    select
        *,
        case
            when seconds > {{ longest }} then null
            when energy_j >= previous_energy_j then energy_j - previous_energy_j
            else (power_w + previous_power_w) / 2 * seconds
        end as joules
    from timed
)

select
    {{ key }},
    started_at,
    max(name) as gpu_name,
    count(*) as readings,
    avg(utilization) as utilization,
    max(utilization) as highest_utilization,
    avg(100 * mem_used_mb / nullif(mem_total_mb, 0)) as mem_used_pct,
    avg(power_w) as power_w,
    max(temp_c) as highest_temp_c,
    sum(joules) / 3600 as energy_wh,
    coalesce(sum(case when joules is not null then seconds end), 0) as measured_seconds
from measured
group by {{ key }}, started_at
