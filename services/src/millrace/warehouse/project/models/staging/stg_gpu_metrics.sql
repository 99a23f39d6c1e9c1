{{ staged('gpu_metrics', [
    'host', 'gpu_index', 'name', 'uuid', 'utilization', 'mem_used_mb', 'mem_total_mb', 'power_w', 'temp_c', 'energy_j', 'price_per_hour_usd'
]) }}
