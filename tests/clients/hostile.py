"""Bad input for every operation of the product's REST API, and the shape of each answer: a line for each that is wrong.

Usage: hostile.py BASE CA TOKEN LARGEST, with a JSON list of [METHOD, PATH] on standard input, in which `{..}` stands for a
variable part. Ends with a line of JSON that counts the calls. No answer may be a server error, all errors have one of the
product's three shapes, and the site must be unchanged afterwards.
"""

import http.client
import json
import re
import ssl
import sys

BASE, CA, TOKEN, LARGEST = sys.argv[1:5]
OPERATIONS = json.load(sys.stdin)
TRUST = ssl.create_default_context(cafile=CA)
PUBLIC = ("/sepm/api/v1/identity/authenticate", "/sepm/api/v1/version", "/sepm/oauth/token")
LOGOUT = "/sepm/api/v1/identity/logout"
NOBODY = "0" * 32
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

connection = None
asked = 0


def call(method, path, body=None, headers=()):
    """One request over a connection that is kept open as long as the other side allows."""
    global connection, asked
    asked += 1
    for last in (False, True):
        try:
            if connection is None:
                connection = http.client.HTTPSConnection(BASE.removeprefix("https://"), context=TRUST, timeout=30)
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in headers:
                connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body or b"")))
            connection.endheaders(body)
            response = connection.getresponse()
            text = response.read()
            kind = response.getheader("Content-Type", "")
            if response.will_close:
                connection = None
            return response.status, kind, text
        except (OSError, http.client.HTTPException):
            connection = None
            if last:
                raise


# `http.client` would refuse to send such input.
http.client.HTTPConnection._validate_path = lambda self, url: None
http.client.HTTPConnection._encode_request = lambda self, request: request.encode("utf-8", "surrogateescape")


def bearer(token):
    return [("Authorization", "Bearer " + token), ("Content-Type", "application/json")]


def shape(status, kind, text):
    """What is wrong with an answer; nothing if all is well."""
    if status >= 500 and status != 501:
        return "an error of the server"
    if status < 400:
        return None if not text or "json" in kind else "a success that is no JSON"
    if status == 404 and "html" in kind:
        return None if b"HTTP Status 404" in text else "404 without its page"
    if "json" not in kind:
        return "an error that is no JSON"
    try:
        said = json.loads(text)
    except ValueError:
        return "JSON that is none"
    if set(said) == {"error", "error_description"}:
        return None if status in (400, 401) else "the shape of a token"
    if {"errorCode", "appErrorCode", "errorMessage"} <= set(said) and said["errorCode"] == str(status):
        return None if isinstance(said["errorMessage"], str) and said["errorMessage"] else "no words"
    return "an error of no shape"


def check(what, method, path, body=None, headers=(), expected=None):
    status, kind, text = call(method, path, body, headers)
    wrong = shape(status, kind, text)
    if wrong is None and expected and status not in expected:
        wrong = f"expected one of {expected}"
    if wrong:
        print(f"{what}: {method} {path[:120]!r}: {wrong}: {status} {kind} {text[:200]!r}", flush=True)


def filled(path, value):
    return re.sub(r"\{[^}]*\}", lambda _: value, path)


PARTS = [
    "7", NOBODY, "G" * 32, "default", "%00", "%ff", "%", "%zz", "%2e%2e%2f%2e%2e", "..", ".", "a" * 4000, "'%20or%201=1--", "{id}",
    "%F0%9F%92%A9", "\u00e9", "%3Cscript%3E", "%0d%0aSet-Cookie:x", "-1", "1e999", ";jsessionid=1", "*", "null", "a%20b",
]
QUERIES = [
    "pageIndex=x&pageSize=x", "pageIndex=-1", "pageIndex=0", "pageSize=0", "pageSize=99999999999999999999", "pageIndex=4294967295&pageSize=4294967295",
    "order=sideways", "sort=%00", "os=Amiga", "lastUpdate=soon", "lastUpdate=-9223372036854775808", "undo=perhaps", "hasName=maybe",
    "computer_ids=7", "group_ids=%ff", "hardware_ids=" + "A," * 5000, "mac=**********************", "computerName=%", "mode=tree&fullPathName=%5C",
    "domain=x&domain=y", "&&&===&", "name=" + "n" * 9000, "includeAcknowledged=2", "file_path=", "partnerSiteName=", "grant_type=%00", "=",
]
BODIES = [
    b"", b"{", b"[]", b"7", b"null", b'"x"', b"[null]", b"[[]]", b"[7]", b"{}" * 2, b"[" * 9000, b"{\"a\":" * 9000, b"\xff\xfe", b"1e999", b"\x00",
    b'{"name":7,"inherits":"x","description":[]}', b'{"configuration":[]}', b'{"configuration":{"communication_settings":[]}}',
    b'{"configuration":{"communication_settings":{"mode":"FAST"}}}', b'{"configuration":{"general_settings":{"security_settings":[true]}}}',
    b'{"username":[],"password":{}}', b'[{"group":[],"hardwareKey":7}]', b'[{"group":{"id":"7"},"hardwareKey":"x"}]', b'[{"hardwareKey":"7"}]',
    b'{"name":"x|","hashType":"CRC","data":["zz"]}', b'{"name":"x|","data":[{}]}', b'{"loginName":"","password":""}', b"<EOC", b"a=b&a=b&=",
    b'{"id":[]}', b'{"computer_ids":{"a":1},"undo":[[]]}', b"\xef\xbb\xbf{",
]
TOKENS = ["", " ", "x", "CHANGEME", TOKEN.upper() + "0", "a" * 9000, "\u00e9", TOKEN + " " + TOKEN, "null", "../x"]


def seen():
    """What the site shows."""
    found = {}
    for path in ("/groups?pageSize=500", "/computers?pageSize=500", "/admin-users", "/policies/summary", "/domains"):
        status, _, text = call("GET", "/sepm/api/v1" + path, None, bearer(TOKEN))
        assert status == 200, (path, status)
        found[path] = re.sub(rb'"lastUpdateTime":\d+', b"", text)
    return found


before = seen()
paths = {}
for method, path in OPERATIONS:
    paths.setdefault(path, set()).add(method)
for method, path in OPERATIONS:
    plain = filled(path, NOBODY)
    if path not in PUBLIC:
        check("no token", method, plain, expected=(401,))
        for token in TOKENS:
            headers = [("Authorization", "Bearer " + token)]
            headers = [(name, value.encode("utf-8")) for name, value in headers]
            check("a malformed token", method, plain, headers=headers, expected=(401,))
        for whole in ("Basic eDp5", "Bearer", "bearer", TOKEN, "Token " + TOKEN):
            check("no bearer", method, plain, headers=[("Authorization", whole)], expected=(401,))
    if path == LOGOUT:
        continue  # logging out would end the token that all the others need
    if "{" in path:
        for part in PARTS:
            check("a hostile path", method, filled(path, part), b"{}", bearer(TOKEN))
    for query in QUERIES:
        check("a hostile query", method, plain + "?" + query, b"{}", bearer(TOKEN))
    for body in BODIES if method in ("POST", "PUT", "PATCH") else (b"{}", b"x"):
        check("a hostile body", method, plain, body, bearer(TOKEN))
        check("a body that says it is something else", method, plain, body, [("Authorization", "Bearer " + TOKEN), ("Content-Type", "image/png")])
for path, methods in paths.items():
    if path == LOGOUT:
        continue
    plain = filled(path, NOBODY)
    allowed = set().union(*(known for other, known in paths.items() if re.fullmatch(re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(other)), plain)))
    for method in METHODS:
        if method not in allowed:
            check("a wrong method", method, plain, b"{}", bearer(TOKEN), expected=(405,))
    for method in ("OPTIONS", "TRACE", "PROPFIND", "x"):
        check("a method of nobody", method, plain, b"{}", bearer(TOKEN), expected=(405,))
    if "POST" in methods or "PATCH" in methods or "PUT" in methods:
        method = next(one for one in ("POST", "PATCH", "PUT") if one in methods)
        check("a body that is too large", method, plain, b" " * (int(LARGEST) + 1), bearer(TOKEN), expected=(413,))
for path in ("/", "/sepm", "/sepm/api/v3/groups", "/sepm/api/v1/groups/a/b/c/d/e", "/sepm/api/v1/" + "a/" * 2000, "/SEPM/API/V1/GROUPS", "*", "http://x/"):
    check("a path of nobody", "GET", path, None, bearer(TOKEN), expected=(404,))
after = seen()
for path, text in before.items():
    if after[path] != text:
        print(f"changed: {path}: {text[:500]!r} {after[path][:500]!r}", flush=True)
print(json.dumps({"asked": asked}), flush=True)
