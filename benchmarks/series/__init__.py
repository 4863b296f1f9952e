"""Series by laws that the methods do not know: what change points, comparisons, degraded runs and forecasts say on them."""
