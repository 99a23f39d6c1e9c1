{{ staged('stocks', ['open', 'high', 'low', 'price', 'volume', 'currency']) }}
