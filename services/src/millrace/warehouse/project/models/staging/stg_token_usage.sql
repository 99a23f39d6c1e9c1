{{ staged('token_usage', [
    'host', 'gpu_index', 'model', 'prompt_tokens', 'completion_tokens', 'latency_ms', 'gpu_name', 'price_per_hour_usd', 'span_s'
]) }}
