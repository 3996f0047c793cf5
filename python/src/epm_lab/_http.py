"""Requests to the control API over `http.client`, and JSON to dataclasses and back."""

from __future__ import annotations

import dataclasses
import functools
import http.client
import json
import typing
import urllib.parse
from typing import Any, Callable, Dict, Iterator, Mapping, Optional, Tuple

from .errors import HIDDEN, ApiError, LabError, UnexpectedAnswer, Unreachable

__tracebackhide__ = HIDDEN
JsonObject = Dict[str, Any]


def quote(segment: str) -> str:
    """A segment of a path, percent-encoded."""
    return urllib.parse.quote(segment, safe="")


class Transport:
    """What all operations share: address, token and timeout."""

    def __init__(self, url: str, *, token: Optional[str] = None, timeout: float = 30.0) -> None:
        """Takes the address; nothing is sent yet.

        url: That of the control API, such as http://127.0.0.1:8015.
        token: The content of its token file, if it needs one.
        timeout: The longest silence in seconds before `Unreachable` is raised. Each operation takes another one.

        Raises `LabError` for another form of URL.
        """
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/"):
            raise LabError(f"expected a URL such as http://127.0.0.1:8015, found {url!r}")
        #: The address of the control API.
        self.url = url.rstrip("/")
        #: The longest silence in seconds.
        self.timeout = timeout
        self._token = token
        self._address = (parts.hostname, parts.port or 80)
        #: Says more about a lost connection, by raising another error.
        self._on_lost: Callable[[], None] = lambda: None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def _json(
        self, kind: Any, verb: str, path: str, query: Optional[JsonObject], body: Any, timeout: Optional[float]
    ) -> Any:
        content = self._bytes(verb, path, query, body, timeout)
        try:
            return decode(kind, json.loads(content))
        except (ValueError, TypeError, KeyError) as error:
            raise UnexpectedAnswer(
                f"{verb} {path}: {error!r}; this package belongs to another version of the lab"
            ) from error

    def _bytes(self, verb: str, path: str, query: Optional[JsonObject], body: Any, timeout: Optional[float]) -> bytes:
        with self._open(verb, path, query, body, timeout) as answer:
            return answer.read()

    def _events(
        self, verb: str, path: str, query: Optional[JsonObject], body: Any, timeout: Optional[float]
    ) -> Iterator[JsonObject]:
        """Server-sent events: the data of each, as JSON."""
        with self._open(verb, path, query, body, timeout) as answer:
            for line in answer.lines():
                if line.startswith(b"data:"):
                    yield json.loads(line[len(b"data:") :])

    def _open(
        self, verb: str, path: str, query: Optional[JsonObject], body: Any, timeout: Optional[float]
    ) -> _Answer:
        """Sends a request, and raises for every status but 2xx."""
        asked = {key: _word(value) for key, value in (query or {}).items() if value is not None}
        target = path + ("?" + urllib.parse.urlencode(asked) if asked else "")
        headers = {"Accept": "application/json, application/problem+json, */*"}
        if self._token:
            headers["Authorization"] = "Bearer " + self._token.strip()
        if isinstance(body, (bytes, bytearray)):
            sent: Optional[bytes] = bytes(body)
            headers["Content-Type"] = "application/octet-stream"
        elif body is not None:
            sent = json.dumps(encode(body)).encode()
            headers["Content-Type"] = "application/json"
        else:
            sent = None
        limit = self.timeout if timeout is None else timeout
        answer = _Answer(
            http.client.HTTPConnection(*self._address, timeout=limit), f"{verb} {self.url}{path}", self._on_lost
        )
        try:
            answer.send(verb, target, sent, headers)
            if not 200 <= answer.status < 300:
                raise ApiError(f"{verb} {path}", _problem(answer.status, answer.read()))
        except BaseException:
            answer.close()
            raise
        return answer


class _Answer:
    """An open connection; whatever breaks it is `Unreachable`, or what the lab's owner says instead."""

    def __init__(self, connection: http.client.HTTPConnection, request: str, on_lost: Callable[[], None]) -> None:
        self._connection, self._request, self._on_lost = connection, request, on_lost
        self.status = 0

    def __enter__(self) -> _Answer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def send(self, verb: str, target: str, body: Optional[bytes], headers: Mapping[str, str]) -> None:
        def act() -> None:
            self._connection.request(verb, target, body, dict(headers))
            self._response = self._connection.getresponse()
            self.status = self._response.status

        self._guarded(act)

    def read(self) -> bytes:
        return self._guarded(lambda: self._response.read())

    def lines(self) -> Iterator[bytes]:
        while True:
            line = self._guarded(lambda: self._response.readline())
            if not line:
                return
            yield line

    _T = typing.TypeVar("_T")

    def _guarded(self, act: Callable[[], _T]) -> _T:
        try:
            return act()
        except (OSError, http.client.HTTPException) as error:
            self._on_lost()  # may raise another error
            late = isinstance(error, TimeoutError) or "timed out" in str(error)
            why = f"no answer within {self._connection.timeout} s" if late else str(error) or type(error).__name__
            raise Unreachable(f"{self._request}: {why}") from None


def _problem(status: int, content: bytes) -> JsonObject:
    """The problem document of an answer, or one in its place."""
    try:
        problem = json.loads(content)
    except ValueError:
        problem = None
    if isinstance(problem, dict):
        return {"status": status, **problem}
    return {"status": status, "code": "http", "detail": content[:200].decode("utf-8", "replace")}


def _word(value: Any) -> str:
    """A value of a query."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def encode(value: Any) -> Any:
    """A value as JSON: an absent field, which is None, is left out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        value = {one.metadata.get("key", one.name): getattr(value, one.name) for one in fields}
    if isinstance(value, Mapping):
        return {key: encode(one) for key, one in value.items() if one is not None}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [encode(one) for one in value]
    return value


def decode(kind: Any, value: Any) -> Any:
    """JSON as a value of this type. Unknown fields of a later lab are left out, unknown words are kept."""
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise TypeError(f"{kind}: expected an object, found {type(value).__name__}")
        make: Any = kind
        known = [one for one in _fields(make) if one[3] or one[0] in value]
        return make(**{name: decode(of_field, value[key]) for key, name, of_field, _ in known})
    origin, of = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Union:  # it is `Optional`
        return None if value is None else decode(of[0], value)
    if origin is list and isinstance(value, list):
        return [decode(of[0], one) for one in value]
    if origin is tuple and isinstance(value, list):
        return tuple(decode(one, item) for one, item in zip(of, value))
    if origin is dict and isinstance(value, dict):
        return {key: decode(of[1], one) for key, one in value.items()}
    if kind in (str, int, bool) and not isinstance(value, kind) or origin in (list, tuple, dict):
        raise TypeError(f"expected {kind}, found {type(value).__name__}")
    return value


@functools.lru_cache(maxsize=None)
def _fields(kind: Any) -> Tuple[Tuple[str, str, Any, bool], ...]:
    """Key, name and type of each field, and whether it is required."""
    hints = typing.get_type_hints(kind)
    return tuple(
        (one.metadata.get("key", one.name), one.name, hints[one.name], one.default is dataclasses.MISSING)
        for one in dataclasses.fields(kind)
    )
