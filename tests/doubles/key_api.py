"""An HTTP API with keys, on a real server: at most two at a time, each shown once, listed without its secret."""

from __future__ import annotations

import json
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

LIMIT = 2


class KeyApi:
    """The server, with one account.

    ``POST /keys`` makes a key, ``GET /keys`` lists them, ``DELETE /keys/ID`` deletes one, ``GET /whoami`` answers to
    anyone who has a live key. A key is sent as ``Authorization: Bearer ID:SECRET``.

    Attributes:
        keys: the secret of each live key, by its id.
        labels: the label of each live key.
        deleted: the ids of those that were deleted.
        most: how many were ever alive at once.
    """

    def __init__(self, *, keeps_labels: bool = True) -> None:
        self.keys: dict[str, str] = {}
        self.labels: dict[str, str] = {}
        self.deleted: list[str] = []
        self.most = 0
        self._keeps_labels = keeps_labels
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"api": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def create(self, label: str = "") -> dict[str, str]:
        """Make a key, whatever the limit says: by hand, on the service's own page.

        Returns:
            its id and secret, as ``POST /keys`` gives them.
        """
        with self._lock:
            made = {"id": f"key-{secrets.token_hex(4)}", "key": secrets.token_urlsafe(24)}
            self.keys[made["id"]] = made["key"]
            self.labels[made["id"]] = label if self._keeps_labels else ""
            self.most = max(self.most, len(self.keys))
            return made

    def answer(self, method: str, path: str, key: str, body: dict[str, Any]) -> tuple[int, Any]:
        """What a request gets: status and JSON."""
        key_id, _, secret = key.partition(":")
        if not secret or self.keys.get(key_id) != secret:
            return 401, {"error": "no live key"}
        if method == "POST":
            if len(self.keys) >= LIMIT:
                return 409, {"error": f"an account has at most {LIMIT} keys"}
            return 201, self.create(str(body.get("label", "")))
        if method == "DELETE":
            return self._delete(path.removeprefix("/keys/"))
        listed = [{"id": name, "label": self.labels[name]} for name in self.keys]
        return 200, listed if path == "/keys" else {"account": "reports"}

    def _delete(self, name: str) -> tuple[int, Any]:
        with self._lock:
            if name not in self.keys:
                return 404, {"error": "there is no such key"}
            del self.keys[name]
            self.deleted.append(name)
            return 200, {}


class _Handler(BaseHTTPRequestHandler):
    api: KeyApi

    def _handle(self) -> None:
        key = self.headers.get("Authorization", "").removeprefix("Bearer ")
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, answer = self.api.answer(self.command, self.path, key, json.loads(sent or b"{}"))
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = _handle  # noqa: N815  # names that http.server asks for

    def log_message(self, *_: object) -> None:
        """Write nothing."""
