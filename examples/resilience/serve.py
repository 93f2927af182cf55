"""Runs an application under uvicorn: `python -m examples.resilience.serve MODULE PORT`, 0 for any port.

It prints the port when connections are taken.
"""

import importlib
import socket
import sys

import uvicorn


def main(module: str, port: str) -> None:
    app = importlib.import_module(f".{module}", __package__).app
    listener = socket.create_server(("127.0.0.1", int(port)), backlog=1024, reuse_port=True)
    print(listener.getsockname()[1], flush=True)
    # Connections are kept for longer than clients keep theirs, so that nobody writes to one that is being closed.
    config = uvicorn.Config(app, log_level="warning", timeout_keep_alive=60)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main(*sys.argv[1:])
