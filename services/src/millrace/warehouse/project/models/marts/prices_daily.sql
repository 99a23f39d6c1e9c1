{{ config(materialized='incremental', unique_key=series() + ['started_at']) }}
{{ ohlc('day') }}
