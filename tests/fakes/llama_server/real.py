"""A real llama.cpp server (PyPI: xllamacpp) until its standard input ends: ``real.py MODEL PORT``.

Writes ``ready`` to standard output when the model is loaded; its log goes to standard error.
"""

from __future__ import annotations

import importlib
import os
import sys


def main(model: str, port: int) -> None:
    out = os.dup(1)
    os.dup2(2, 1)
    xllamacpp = importlib.import_module("xllamacpp")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = model
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = port
    parameters.n_ctx = 4096
    parameters.n_parallel = 2
    parameters.endpoint_metrics = True
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
    main(sys.argv[1], int(sys.argv[2]))
