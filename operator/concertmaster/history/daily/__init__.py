"""Daily rows, baselines and adoption: small enough to stay when the runs behind them are pruned."""
