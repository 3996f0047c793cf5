"""Prepares the vendor's description of the REST API for a search on a running lab.

Usage: vendor_description.py DESCRIPTION BASE TOKEN OUT. Reads the names and types of the vendor's description, replaces
the parameters that name an object by objects of the lab, applies the known contradictions, prints each as
docs/rest-api.md lists it, and writes the result. The certificate is verified against REQUESTS_CA_BUNDLE.
"""

import json
import sys

import requests

DESCRIPTION, BASE, TOKEN, OUT = sys.argv[1:5]

# Answers outside of the vendor's description that public records show: method, path and status.
CONTRADICTIONS = [
    ("get", "/sepm/api/v1/policy-objects/fingerprints", "410"),
    ("get", "/sepm/api/v2/policy-objects/fingerprints", "410"),
    ("get", "/sepm/api/v1/policy-objects/fingerprints/{id}", "410"),
    ("get", "/sepm/api/v2/policy-objects/fingerprints/{id}", "410"),
]
# Properties whose values public records show to be others than in the vendor's description: schema, property, and the
# keyword that does not hold.
OTHER_VALUES = [("FingerPrintList", "data", "items")] + [
    (schema, name, "enum")
    for schema in [
        "ExceptionsRuleFile", "ExceptionsRuleDirectory", "ExceptionsRuleExtensionList", "ExceptionsRuleMacFile",
        "ExceptionsRuleLinuxDirectory",
    ]
    for name in ["pathvariable", "scancategory", "scantype"]
]

session = requests.Session()
session.headers["Authorization"] = f"Bearer {TOKEN}"


def call(method, path, **more):
    answer = session.request(method, f"{BASE}/sepm/api/v1/{path}", timeout=20, **more)
    answer.raise_for_status()
    return answer.json()


group = next(one for one in call("GET", "groups")["content"] if one["name"] == "My Company")["id"]
location = call("GET", f"groups/{group}/locations")[0].rsplit("/", 1)[1]
computer = call("GET", "computers")["content"][0]
policies = {one["policytype"]: one["id"] for one in call("GET", "policies/summary")["content"]}
fingerprints = call(
    "POST", "policy-objects/fingerprints", json={"name": "known", "hashType": "MD5", "data": ["0A" * 16]}
)["id"]
hosts = call("POST", "policies/policy-objects/hostgroups", json={"name": "known", "hosts": []})["id"]
administrator = call("GET", "admin-users")[0]["id"]
event = call("GET", "events/critical")["criticalEventsInfoList"][0]["eventId"]
domain = call("GET", "domains")[0]["id"]
command = call(
    "POST", "command-queue/files", params={"file_path": "x.exe", "computer_ids": computer["uniqueId"]}
)["commandID"]
NOTHING = "0" * 32
# The values of parameters by name.
KNOWN = {
    "groupId": [group, NOTHING],
    "locationId": [location, "default", NOTHING],
    "policyType": ["fw", "av", "msl"],
    "policy_type": ["exceptions", "fw", "tdad", "msl"],
    "command_id": [command, NOTHING],
    "file_id": [NOTHING],
    "fingerprint_id": [fingerprints, NOTHING],
    "eventID": [event, NOTHING],
    "reportType": ["Hour", "Day", "Week", "Month", "Year"],
    "name": ["known", "unknown"],
    "partnerSiteName": ["nobody"],
    "domainId": [domain],
    "domainid": [domain],
}
# The values of lists of objects.
LISTED = {
    "computer_ids": [computer["uniqueId"], NOTHING],
    "group_ids": [group, NOTHING],
    "hardware_ids": [computer["hardwareKey"], computer["macAddresses"][0]],
}
# The values of `id`, by the beginning of the path.
IDS = [
    ("admin-users", administrator),
    ("computers", NOTHING),
    ("domains", domain),
    ("policies/exceptions", policies["exceptions"]),
    ("policies/firewall", policies["fw"]),
    ("policies/ips", policies["ips"]),
    ("policies/policy-objects/hostgroups", hosts),
    ("policies/raw", policies["exceptions"]),
    ("policy-objects/fingerprints", fingerprints),
]

with open(DESCRIPTION, encoding="utf-8") as file:
    description = json.load(file)
for path, methods in description["paths"].items():
    for method, operation in methods.items():
        for parameter in operation.get("parameters", []):
            name, schema = parameter["name"], parameter["schema"]
            if name == "id" and parameter["in"] == "path":
                known = next(one for start, one in IDS if f"/{start}/" in path)
                schema["enum"] = [known, NOTHING]
            elif name in LISTED:
                schema["items"] = {"type": "string", "enum": LISTED[name]}
            elif name in KNOWN and schema.get("type") == "string":
                schema["enum"] = KNOWN[name]
for method, path, status in CONTRADICTIONS:
    print(f"`{method.upper()} {path.removeprefix('/sepm/api/')}` answers {status}")
    description["paths"][path][method]["responses"][status] = {"$ref": "#/components/responses/Error"}
for schema, name, keyword in OTHER_VALUES:
    known = description["components"]["schemas"].get(schema, {}).get("properties", {}).get(name)
    if known and known.pop(keyword, None):
        print(f"`{schema}.{name}`")
with open(OUT, "w", encoding="utf-8") as file:
    json.dump(description, file)
