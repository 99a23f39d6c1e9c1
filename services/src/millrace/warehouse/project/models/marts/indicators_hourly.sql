{{ indicators('prices_hourly', averages=[24, 168], volatility=24) }}
