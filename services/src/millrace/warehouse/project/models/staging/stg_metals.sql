{{ staged('metals', ['price', 'currency', 'unit', 'metal_name']) }}
