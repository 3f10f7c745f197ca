"""A real llama.cpp server (PyPI: xllamacpp) until its standard input ends; flags as llama-server's,
those that it does not know are passed over.

Writes ``ready`` to standard output when the model is loaded; its log goes to standard error.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--alias", action="append", default=[])
    parser.add_argument("--api-key", action="append", default=[])
    parser.add_argument("--ctx-size", "-c", type=int, default=4096)
    parser.add_argument("--parallel", "-np", type=int, default=2)
    parser.add_argument("--no-metrics", action="store_true")
    return parser.parse_known_args()[0]


def main(given: argparse.Namespace) -> None:
    out = os.dup(1)
    os.dup2(2, 1)
    xllamacpp = importlib.import_module("xllamacpp")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = given.model
    parameters.model_alias = given.alias
    parameters.api_keys = given.api_key
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = given.port
    parameters.n_ctx = given.ctx_size
    parameters.n_parallel = given.parallel
    parameters.endpoint_metrics = not given.no_metrics
    parameters.endpoint_slots = True
    parameters.cpuparams.n_threads = 1
    parameters.cpuparams_batch.n_threads = 1
    parameters.verbosity = 4  # Ollama's
    server = xllamacpp.Server(parameters)
    os.write(out, b"ready\n")
    sys.stdin.read()
    del server
    os._exit(0)


if __name__ == "__main__":
    main(options())
