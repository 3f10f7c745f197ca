"""The rules: each says how one subject is, by the state and the user's limits. Pure."""
