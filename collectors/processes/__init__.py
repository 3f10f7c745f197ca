"""Processes that matter: servers of models, the runners that hold one each, and others on a GPU."""
