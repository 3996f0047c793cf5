#!/usr/bin/env python3
"""Replaces the server certificate of a lab with one manager, by the documented procedure.

What the REST API has goes through `sepm-api`; what the product has only in its console goes through the control API.

It needs `pip install sepm-api requests`: the former does not name the latter, which it uses.

Usage: rotate_single.py READY, the ready file of `epm-lab up`; the user is admin, the password is in EPM_LAB_REST_PASSWORD.
"""

import json
import os
import sys
import tempfile
import urllib.parse
import urllib.request

import sepm

with open(sys.argv[1], encoding="utf-8") as file:
    READY = json.load(file)
CONTROL, REST = READY["control_api"], READY["managers"][0]["rest"] + "/sepm/api/v1"
MANAGER = READY["managers"][0]["manager"]


def control(method, path, body=None):
    """Calls the control API."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(CONTROL + path, data=data, headers=headers, method=method)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def log_in():
    """A session with the REST API, which is verified by the certificate that its console shows now."""
    pem = control("GET", f"/v1/managers/{MANAGER}/certificate")["stores"]["console"]["pem"]
    with tempfile.NamedTemporaryFile("w", suffix=".pem", delete=False) as authority:
        authority.write(pem)
    os.environ["REQUESTS_CA_BUNDLE"] = authority.name
    return sepm.SymantecEndpointProtectionManagerAPI(
        username="admin",
        password=os.environ.get("EPM_LAB_REST_PASSWORD", "epm-lab"),
        domain="",
        base_url=REST,
        suppress_logging=True,
    )


def pages(call):
    """The rows of all pages."""
    index = 1
    while True:
        page = call(pageIndex=index, pageSize=500)
        yield from page["content"]
        if page["lastPage"]:
            return
        index += 1


def settings(api, group, location, change=None):
    """The settings of a location; `sepm-api` has no PATCH, so its session is used for that."""
    if change is None:
        return api.groups.getGroupSettings(groupId=group, locationId=location)["configuration"]
    url = f"{REST}/groups/{group}/locations/{location}/settings"
    answer = api._session._req_session.patch(url, json={"configuration": change}, timeout=60)
    answer.raise_for_status()
    return None


def places(api):
    """Every location of every group that does not inherit, with the list and the switch that it has."""
    for group in pages(api.groups.getGroups):
        if group["policyInheritanceEnabled"]:
            continue
        for url in api.groups.getLocationIdsForGroups(groupId=group["id"]):
            location = url.rsplit("/", 1)[1]
            now = settings(api, group["id"], location)
            server_list = now["communication_settings"]["sem_server"]["name"]
            secure = now["general_settings"]["security_settings"]["secure_communications"]
            yield group["id"], location, server_list, secure


def assign(api, group, location, server_list, secure):
    """Assigns a management server list, and sets the switch."""
    change = {
        "communication_settings": {"sem_server": {"name": server_list}},
        "general_settings": {"security_settings": {"secure_communications": secure}},
    }
    settings(api, group, location, change)


def wait(api, certificate=None):
    """Three heartbeats, and more until every client has the policy of its group, and the certificate."""
    heartbeats = 3
    for _ in range(100):
        control("POST", "/v1/clock/heartbeats", {"heartbeats": heartbeats, "limit_seconds": 3600})
        heartbeats = 1
        serials = {group["id"]: group["policySerialNumber"] for group in pages(api.groups.getGroups)}
        missing = {
            computer["computerName"]
            for computer in pages(api.computers.getComputers)
            if computer["profileSerialNo"] != serials[computer["group"]["id"]]
        }
        if certificate:
            expected = {"expect": "every-client-holds", "fingerprint": certificate}
            found = control("POST", "/v1/expectations", [expected])
            missing.update(found["expectations"][0]["counter_examples"])
        if not missing:
            return
        print("not yet:", ", ".join(sorted(missing)), file=sys.stderr)
    sys.exit("these have not got it, and nothing more was done: " + ", ".join(sorted(missing)))


def main():
    """Steps 1 to 10."""
    api = log_in()
    control("PUT", "/v1/baselines/rotate-single", {})
    before = list(places(api))
    copies = {}
    for server_list in control("GET", "/v1/lists"):
        name = server_list["name"]
        if server_list["protocol"] == "https" and name in {place[2] for place in before}:
            copies[name] = name + " (HTTP)"
            path = "/v1/lists/" + urllib.parse.quote(copies[name], safe="")
            control("PUT", path, {"copy_of": name, "protocol": "http"})
    for group, location, server_list, _ in before:
        assign(api, group, location, copies.get(server_list, server_list), False)
    wait(api)

    update = {"update-certificate": {"manager": MANAGER, "certificate": {"generate": {}}}}
    at_risk = control("POST", "/v1/verdict/if-now", [update])["clients"]
    if at_risk:
        sys.exit("would be orphaned: " + ", ".join(one["client"] for one in at_risk))
    stores = control("PUT", f"/v1/managers/{MANAGER}/certificate/rotate-single", {})["stores"]
    api = log_in()  # the console has another certificate, and knows its tokens no longer
    wait(api, stores["client"]["fingerprint"])

    for group, location, server_list, secure in before:
        assign(api, group, location, server_list, secure)
    wait(api)

    rotation = {"expect": "rotation", "since": "rotate-single"}
    judgement = control("POST", "/v1/expectations", [rotation])
    for finding in judgement["expectations"][0]["findings"]:
        for example in finding["counter_examples"]:
            print(f"{finding['code']}: {example}")
    is_well = judgement["result"] == "pass"
    print("All is well." if is_well else "Not all is well.")
    sys.exit(0 if is_well else 1)


if __name__ == "__main__":
    main()
