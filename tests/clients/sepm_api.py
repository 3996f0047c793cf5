"""Runs the client `sepm-api`, as it is, through all its calls, and prints how each ended: a line of JSON for each.

Usage: sepm_api.py BASE. The certificate is verified against REQUESTS_CA_BUNDLE.
"""

import inspect
import json
import sys
import time

import sepm
from sepm.exceptions import APIError

# The client waits a second before it retries after a server error; skip that wait.
time.sleep = lambda _: None

BASE = sys.argv[1]
api = sepm.SymantecEndpointProtectionManagerAPI(
    username="admin", password="epm-lab", domain="", base_url=BASE + "/sepm/api/v1", suppress_logging=True
)

group = next(one for one in api.groups.getGroups()["content"] if one["name"] == "My Company")["id"]
location = api.groups.getLocationIdsForGroups(groupId=group)[0].rsplit("/", 1)[1]
computer = api.computers.getComputers()["content"][0]
policies = {one["policytype"]: one["id"] for one in api.policies.getPolicySummary()["content"]}
fingerprints = api.blacklist.addBlackList(name="first", hashType="MD5", data=["0A" * 16])["id"]
admin = api.administrators.getAllAdminUserDetails()[0]["id"]
command = api.commands.updateContentCommand(group_ids="", computer_ids=computer["uniqueId"])["commandID_computer"]
event = api.events.getCriticalEventsInfo()["criticalEventsInfoList"][0]["eventId"]
domain = api.domains.getDomains()[0]["id"]

# The values of parameters, by name.
USUAL = {
    "groupId": group, "group_id": group, "group_ids": group, "locationId": location, "location_id": location,
    "computer_ids": computer["uniqueId"], "hardware_ids": computer["hardwareKey"], "undo": False,
    "command_id": command, "file_id": "0" * 32, "fingerprint_id": fingerprints, "eventID": event,
    "policyType": "fw", "policy_type": "fw", "sub_type": "x", "source": "x", "name": "first",
    "file_path": "x.exe", "domainId": domain, "policyId": "0" * 32, "partnerSiteName": "x", "logs": False,
    "content": False, "banner": None, "appName": None, "customerId": "x", "clientId": "x", "clientSecret": "x",
    "serialNumbers": "x", "sha256": "AB" * 32, "reportType": "Hour", "startTime": "0", "endTime": "1",
    "action": "enable",
}
# The values of parameters of a single call.
OWN = {
    "administrators.createAdminUser": {
        "loginName": "kim", "password": "a password", "adminType": 1, "authenticationMethod": 0,
        "emailAddress": "kim@example.org", "lockTimeThreshold": 15, "loginAttemptThreshold": 5,
    },
    "administrators.getAdminUserDetails": {"id": admin},
    "administrators.updateAdminUser": {"id": admin},
    "blacklist.addBlackList": {"name": "second", "hashType": "MD5", "data": ["0B" * 16], "description": "d"},
    "blacklist.updateBlackList": {"id": fingerprints, "name": "first", "hashType": "MD5", "data": ["0C" * 16]},
    "blacklist.getFileFingerPrintList": {"id": fingerprints},
    "blacklist.deleteBlackList": {"id": fingerprints},
    "computers.deleteComputer": {"id": computer["uniqueId"]},
    "domains.getDomain": {"id": domain},
    "groups.assignPolicyToLocation": {"id": policies["fw"]},
    "groups.createGroup": {"name": "New", "description": "d", "inherits": True},
    "identity.authenticate": {"username": "admin", "password": "epm-lab", "domain": ""},
    "policies.createExceptionsPolicy": {"name": "ours"},
    "policies.editExceptionsPolicy": {"id": policies["exceptions"], "enabled": True},
    "policies.getExceptionsPolicy": {"id": policies["exceptions"]},
    "policies.getFirewallPolicy": {"id": policies["fw"]},
    "policies.getIPSPolicy": {"id": policies["ips"]},
    "policies.getPolicyXML": {"policy_type": "fw", "id": policies["fw"]},
}
# The order of the calls, by the prefix of their names.
ORDER = ["add", "create", "get", "is", "assign", "put", "patch", "update", "", "delete", "logout"]



def order(call):
    verbs = [verb for verb in ORDER if verb and call[1].startswith(verb)]
    return ORDER.index(verbs[0]) if verbs else ORDER.index("")


calls = []
for room, endpoint in vars(api).items():
    if room.startswith("_"):
        continue
    for name, method in inspect.getmembers(endpoint, inspect.ismethod):
        if not name.startswith("_"):
            calls.append((room, name, method))

for room, name, method in sorted(calls, key=order):
    whole = f"{room}.{name}"
    own = OWN.get(whole, {})
    arguments = dict(own)
    for parameter in inspect.signature(method).parameters.values():
        if parameter.kind == parameter.VAR_KEYWORD or parameter.name in arguments:
            continue
        if parameter.default is parameter.empty or parameter.default in (False, None) and parameter.name == "undo":
            arguments[parameter.name] = USUAL.get(parameter.name, "0" * 32)
    try:
        method(**arguments)
        outcome = "ok"
    except APIError as error:
        outcome = error.status
    except Exception as error:
        outcome = type(error).__name__
    print(json.dumps({"call": whole, "outcome": outcome}))
