"""Made-up machines with real arithmetic: scenarios that enter the dashboard as samples and nothing else."""
