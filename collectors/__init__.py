"""Sources of samples: one module per source, and the cadence and watchdog that they share."""
