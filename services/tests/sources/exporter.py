"""An exporter as a test runs it: pages over HTTP on loopback, and the clock of who scrapes it."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NOW = 1_790_000_000.123


class Server:
    """Answers every GET with the page of the moment."""

    def __init__(self) -> None:
        self.page: str | bytes = ""
        self.status = 200
        self.headers: dict[str, str] = {}
        self.now = NOW
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page = server.page
                body = page if isinstance(page, bytes) else page.encode()
                self.send_response(server.status)
                self.send_header("Content-Length", str(len(body)))
                for name, value in server.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the interface
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/metrics"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def clock(self) -> float:
        """The time of who scrapes."""
        return self.now

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
