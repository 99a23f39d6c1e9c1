{{ staged('quotes', ['price', 'bid', 'ask', 'volume', 'currency']) }}
