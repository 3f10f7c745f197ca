"""Who holds memory: the processes of models, joined with the claims of servers, and all others."""
