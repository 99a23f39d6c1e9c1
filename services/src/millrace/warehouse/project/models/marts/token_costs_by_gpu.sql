{{ token_costs(['host', 'gpu_index']) }}
