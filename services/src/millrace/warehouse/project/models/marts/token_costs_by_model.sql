{{ token_costs(['model']) }}
