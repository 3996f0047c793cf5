#!/usr/bin/env python3
"""Replaces the certificate of one manager. It knows the REST API and the console, and nothing of the lab's clock.

Usage: rotate.py sleep|poll|careless READY
  sleep     sleeps for three heartbeat intervals where clients need heartbeats
  poll      asks the REST API there until every client has the policy of its group
  careless  does neither, and takes half a second for each step
"""

import http.client
import json
import ssl
import sys
import time
import urllib.parse
import urllib.request

WAY = sys.argv[1]
with open(sys.argv[2], encoding="utf-8") as file:
    READY = json.load(file)


def console(method, path, body=None):
    """Does what the product has in its console."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(READY["control_api"] + path, data=data, headers=headers, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


class Rest:
    """A session, verified by the certificate that the console shows now."""

    def __init__(self):
        pem = console("GET", "/v1/managers/sepm-1/certificate")["stores"]["console"]["pem"]
        place = urllib.parse.urlsplit(READY["managers"][0]["rest"]).netloc
        context = ssl.create_default_context(cadata=pem)
        self.connection = http.client.HTTPSConnection(place, context=context, timeout=10)
        self.headers = {"content-type": "application/json"}
        user = {"username": "admin", "password": "epm-lab", "domain": ""}
        token = self.call("POST", "/identity/authenticate", user)["token"]
        self.headers["authorization"] = "Bearer " + token

    def call(self, method, path, body=None):
        """Makes a call."""
        data = None if body is None else json.dumps(body)
        self.connection.request(method, "/sepm/api/v1" + path, data, self.headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            sys.exit(f"{method} {path}: {answer.status} {text!r}")
        return json.loads(text) if text else None


def stepped():
    """Is slow."""
    if WAY == "careless":
        time.sleep(0.5)


def waited(rest):
    """Waits until the clients have what was published."""
    if WAY == "sleep":
        time.sleep(3)
    for _ in range(100 if WAY == "poll" else 0):
        groups = rest.call("GET", "/groups?pageSize=500")["content"]
        serials = {group["id"]: group["policySerialNumber"] for group in groups}
        computers = rest.call("GET", "/computers?pageSize=500")["content"]
        if all(one["profileSerialNo"] == serials[one["group"]["id"]] for one in computers):
            return
        time.sleep(0.3)
    if WAY == "poll":
        sys.exit("some clients are not current")


def places(rest):
    """Yields every location with its path, list and switch."""
    for group in rest.call("GET", "/groups?pageSize=500")["content"]:
        if group["policyInheritanceEnabled"]:
            continue
        for url in rest.call("GET", f"/groups/{group['id']}/locations"):
            path = f"/groups/{group['id']}/locations/{url.rsplit('/', 1)[1]}/settings"
            now = rest.call("GET", path)["configuration"]
            name = now["communication_settings"]["sem_server"]["name"]
            yield path, name, now["general_settings"]["security_settings"]["secure_communications"]


def set_all(rest, all_places):
    """Assigns lists and sets switches."""
    for path, name, secure in all_places:
        change = {
            "communication_settings": {"sem_server": {"name": name}},
            "general_settings": {"security_settings": {"secure_communications": secure}},
        }
        rest.call("PATCH", path, {"configuration": change})
        stepped()


def main():
    """Rotates."""
    rest = Rest()
    before = list(places(rest))
    for name in sorted({name for _, name, _ in before}):
        copy = urllib.parse.quote(name + " copy", safe="")
        console("PUT", "/v1/lists/" + copy, {"copy_of": name, "protocol": "http"})
        stepped()
    set_all(rest, [(path, name + " copy", False) for path, name, _ in before])
    waited(rest)
    console("PUT", "/v1/managers/sepm-1/certificate/rotation", {})
    stepped()
    rest = Rest()
    waited(rest)
    set_all(rest, before)
    waited(rest)


if __name__ == "__main__":
    main()
