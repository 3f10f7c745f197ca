"""Runners asked on their own loopback port: loading, slots, counters. GET only, and never woken."""
