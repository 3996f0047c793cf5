"""Reads an HTTP archive strictly: HAR 1.2 says which fields there are, which are required, and of which type."""

import base64
import datetime
import json
import sys

S, N, A, O = str, (int, float), list, dict
# Field: type, required.
SPEC = {
    "root": {"log": (O, True)},
    "log": {
        "version": (S, True), "creator": (O, True), "browser": (O, False), "pages": (A, False),
        "entries": (A, True), "comment": (S, False),
    },
    "creator": {"name": (S, True), "version": (S, True), "comment": (S, False)},
    "entry": {
        "pageref": (S, False), "startedDateTime": (S, True), "time": (N, True), "request": (O, True),
        "response": (O, True), "cache": (O, True), "timings": (O, True), "serverIPAddress": (S, False),
        "connection": (S, False), "comment": (S, False),
    },
    "request": {
        "method": (S, True), "url": (S, True), "httpVersion": (S, True), "cookies": (A, True),
        "headers": (A, True), "queryString": (A, True), "postData": (O, False), "headersSize": (int, True),
        "bodySize": (int, True), "comment": (S, False),
    },
    "response": {
        "status": (int, True), "statusText": (S, True), "httpVersion": (S, True), "cookies": (A, True),
        "headers": (A, True), "content": (O, True), "redirectURL": (S, True), "headersSize": (int, True),
        "bodySize": (int, True), "comment": (S, False),
    },
    "pair": {"name": (S, True), "value": (S, True), "comment": (S, False)},
    "postData": {"mimeType": (S, True), "params": (A, True), "text": (S, True), "comment": (S, False)},
    "content": {
        "size": (int, True), "compression": (int, False), "mimeType": (S, True), "text": (S, False),
        "encoding": (S, False), "comment": (S, False),
    },
    "cache": {},
    "timings": {
        "blocked": (N, False), "dns": (N, False), "connect": (N, False), "send": (N, True), "wait": (N, True),
        "receive": (N, True), "ssl": (N, False), "comment": (S, False),
    },
}


def check(kind, value, where):
    spec = SPEC[kind]
    for name, (kinds, required) in spec.items():
        assert name in value or not required, f"{where}: {name} is missing"
        if name in value:
            found = value[name]
            assert isinstance(found, kinds) and not isinstance(found, bool), f"{where}.{name}: {found!r}"
    for name in value:
        assert name in spec or name.startswith("_"), f"{where}: unknown field {name}"


def read(archive):
    check("root", archive, "root")
    log = archive["log"]
    check("log", log, "log")
    assert log["version"] == "1.2"
    check("creator", log["creator"], "creator")
    for number, entry in enumerate(log["entries"]):
        where = f"entries[{number}]"
        check("entry", entry, where)
        moment = datetime.datetime.fromisoformat(entry["startedDateTime"].replace("Z", "+00:00"))
        assert moment.tzinfo is not None, where
        for part in ("request", "response", "cache", "timings"):
            check(part, entry[part], f"{where}.{part}")
        parts = [time for time in entry["timings"].values() if time != -1]
        assert abs(sum(parts) - entry["time"]) < 0.001, f"{where}: the timings do not add up"
        request, response = entry["request"], entry["response"]
        for pair in request["headers"] + response["headers"] + request["queryString"]:
            check("pair", pair, where)
        assert request["url"].split("://")[0] in ("http", "https"), where
        if "postData" in request:
            check("postData", request["postData"], where)
        content = response["content"]
        check("content", content, where)
        text = content.get("text", "")
        kept = base64.b64decode(text) if content.get("encoding") == "base64" else text.encode()
        if "comment" not in content and "[redacted]" not in text and "comment" not in response:
            assert len(kept) == content["size"] == response["bodySize"], f"{where}: {len(kept)} of {content['size']}"
    return log["entries"]


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        entries = read(json.load(file))
    print(len(entries), "entries")
