{{ indicators('prices_daily', averages=[7, 30], volatility=30) }}
