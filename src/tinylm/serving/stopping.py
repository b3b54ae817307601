"""A server that stops without dropping a request: uvicorn's, with more patience at the end."""

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from tinylm.serving.connection import Connection

LINGER_SECONDS = 0.5
_PATIENCE_SECONDS = 30.0
_TICK_SECONDS = 0.02


class Server(uvicorn.Server):
    """Serves an application until SIGTERM or Ctrl-C, and then answers everything it has accepted.

    From the signal on, every response tells its client to close the connection, and `/readyz` says 503. New
    connections are taken for a moment longer, for clients that have not noticed. Then the listener is closed, what is
    in flight is finished, and connections that nobody used are closed last. A second Ctrl-C stops at once.

    Args:
        app: what is served.
        on_start: called when it is.

    Attributes:
        interrupted: whether it was Ctrl-C.
    """

    def __init__(self, app: FastAPI, on_start: Callable[[], None] = lambda: None) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=Connection,
                ws="none",
                lifespan="on",
                log_level="error",
                access_log=False,
                proxy_headers=False,
                server_header=False,
            )
        )
        self._app, self._on_start = app, on_start
        self.interrupted = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Begin to stop; on a second Ctrl-C, stop at once."""
        self.interrupted = sig == signal.SIGINT
        self.force_exit = self.should_exit and self.interrupted
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve, and call `on_start`."""
        await super().startup(sockets)
        self._on_start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop in the order that loses nothing."""
        self._app.state.draining = True
        await self._until(lambda: False, LINGER_SECONDS)
        # Closing the last copy of a listener resets the connections in its backlog. These are accepted first.
        copies = [listener.dup() for listener in sockets or []]
        for server in self.servers:
            server.close()
        for listener in copies:
            await self._accept_the_last(listener)
        # A connection accepted in the last moment has its request still on the wire.
        await self._until(lambda: not self.server_state.connections, LINGER_SECONDS)
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await self._until(lambda: not (self.server_state.connections or self.server_state.tasks), _PATIENCE_SECONDS)
        if self.force_exit:
            # What is cut off would be reported line by line.
            logging.getLogger("uvicorn.error").disabled = True
        else:
            await self.lifespan.shutdown()

    async def _accept_the_last(self, listener: socket.socket) -> None:
        """Accept all connections in the backlog, and close the listener."""
        listener.setblocking(False)
        while not self.force_exit:
            try:
                connection, _ = listener.accept()
            except OSError:
                break
            await asyncio.get_running_loop().connect_accepted_socket(self._connection, connection)
        listener.close()

    def _connection(self) -> Connection:
        return Connection(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    async def _until(self, done: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while not (done() or self.force_exit) and time.monotonic() < end:
            await asyncio.sleep(_TICK_SECONDS)
