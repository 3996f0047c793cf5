"""What real clients send to the REST API and read in its answers, habit by habit: a line of JSON for each.

Usage: habits.py BASE CA. BASE is `https://HOST:PORT`, and CA the certificate to trust. The calls are those of connectors,
modules and scripts in use, written anew for this test. Only Python itself is needed.
"""

import base64
import datetime
import http.client
import json
import re
import ssl
import sys
import urllib.parse
import xml.etree.ElementTree

BASE, CA = sys.argv[1:3]
HOST = BASE.removeprefix("https://")
API = "/sepm/api/v1"
TRUST = ssl.create_default_context(cafile=CA)


class Said:
    """An answer."""

    def __init__(self, response):
        self.status = response.status
        self.kind = response.getheader("Content-Type", "")
        self.text = response.read().decode()

    def json(self):
        return json.loads(self.text)


def call(method, path, body=None, headers=None, token=None, say_length=True):
    """One call on a connection of its own; apart from the host, only the given headers are sent."""
    connection = http.client.HTTPSConnection(HOST, context=TRUST, timeout=30)
    connection.putrequest(method, path, skip_accept_encoding=True)
    for name, value in (headers or {}).items():
        connection.putheader(name, value)
    if token:
        connection.putheader("Authorization", "Bearer " + token)
    data = body.encode() if isinstance(body, str) else body
    if data is not None and say_length:
        connection.putheader("Content-Length", str(len(data)))
    connection.endheaders(data)
    return Said(connection.getresponse())


JSON = {"Content-Type": "application/json"}
JSON_UTF8 = {"Content-Type": "application/json; charset=utf-8"}


def log_in(**fields):
    credential = {"username": "admin", "password": "epm-lab", **fields}
    said = call("POST", API + "/identity/authenticate", json.dumps(credential), JSON)
    assert said.status == 200, said.text
    return said.json()


GRANTED = log_in(domain="")
TOKEN = GRANTED["token"]


def ask(method, path, body=None, headers=JSON, **more):
    return call(method, API + path, body, headers, TOKEN, **more)


def ok(said, *statuses):
    assert said.status in (statuses or (200,)), (said.status, said.text[:300])
    return said


def pages(path, size):
    """Every entry, page by page until the last."""
    found, number = [], 1
    while True:
        page = ok(ask("GET", f"{path}{'&' if '?' in path else '?'}pageIndex={number}&pageSize={size}")).json()
        assert all(key in page for key in ("content", "firstPage", "lastPage", "totalPages", "totalElements"))
        found += page["content"]
        if page["lastPage"]:
            return found
        number += 1


COMPUTERS = pages("/computers", 1)
GROUPS = pages("/groups", 500)
TOP = next(one for one in GROUPS if one["fullPathName"] == "My Company")

HABITS = []


def habit(of):
    HABITS.append(of)
    return of


@habit
def a_connector_quotes_its_credentials_names_no_domain_and_wants_a_version_14():
    credential = json.dumps({"username": "admin", "password": urllib.parse.quote("epm-lab", safe="")})
    assert ok(call("POST", API + "/identity/authenticate", credential, JSON)).json()["token"]
    version = ok(call("GET", API + "/version", headers=JSON)).json()
    assert re.match(r"14\.*", version["version"]) and version["API_SEQUENCE"] and version["API_VERSION"]


@habit
def a_connector_finds_computers_by_the_domain_and_quarantines_several_joined_by_commas():
    domain = next(one for one in ok(ask("GET", "/domains")).json() if one["name"].lower() == "default")["id"]
    found = pages(f"/computers?domain={domain}", 500)
    assert found and all(isinstance(one["ipAddresses"], list) and one["uniqueId"] for one in found)
    ids = ",".join(one["uniqueId"] for one in found)
    command = ok(ask("POST", f"/command-queue/quarantine?computer_ids={ids}", headers=JSON)).json()["commandID_computer"]
    rows = pages(f"/command-queue/{command}", 500)
    assert len(rows) == len(found)
    assert all(one["stateId"] in range(7) and one["subStateId"] in (-1, 0, 1) and "resultInXML" in one for one in rows)
    undo = ok(ask("POST", f"/command-queue/quarantine?computer_ids={ids}&undo=true")).json()
    assert undo["commandID_computer"]


@habit
def a_connector_keeps_a_fingerprint_list_for_each_group_and_takes_nothing_but_200_for_success():
    name = f"connector_{TOP['id']}"
    missing = ask("GET", "/policy-objects/fingerprints?name=" + name)
    assert missing.json()["errorCode"] == "410" and "do not exist" in missing.json()["errorMessage"]
    body = {"name": name, "domainId": TOP["domain"]["id"], "hashType": "MD5", "description": "d", "data": ["0a" * 16]}
    made = ok(ask("POST", "/policy-objects/fingerprints", json.dumps(body))).json()["id"]
    lockdown = f"/groups/{TOP['id']}/system-lockdown/fingerprints/{made}"
    ok(ask("PUT", lockdown))
    known = ok(ask("GET", "/policy-objects/fingerprints?name=" + name)).json()
    assert known["data"] == ["0A" * 16] and known["id"] == made
    body["data"] = known["data"] + ["0b" * 16]
    assert ok(ask("POST", f"/policy-objects/fingerprints/{made}", json.dumps(body))).json() == ""
    ok(ask("PUT", lockdown))  # it asks again each time
    assert ok(ask("DELETE", f"/policy-objects/fingerprints/{made}")).json() == ""


@habit
def a_platform_goes_on_with_the_list_that_a_refusal_names():
    body = json.dumps({"name": "platform MD5", "hashType": "MD5", "description": "d", "data": ["0C" * 16]})
    made = ok(ask("POST", "/policy-objects/fingerprints", body)).json()["id"]
    again = ask("POST", "/policy-objects/fingerprints", body)
    assert again.status == 409 and again.json()["id"] == made, again.text
    ok(ask("POST", f"/policy-objects/fingerprints/{again.json()['id']}", body))


@habit
def a_platform_sends_a_hash_without_digits_and_blanks_between_hashes():
    body = {"name": "empty", "description": None, "domainId": None, "hashType": "MD5", "data": [""]}
    made = ok(ask("POST", "/policy-objects/fingerprints", json.dumps(body))).json()["id"]
    body["data"] = re.split(r"\s|,", "%s, %s" % ("0D" * 16, "0E" * 16))
    ok(ask("POST", f"/policy-objects/fingerprints/{made}", json.dumps(body)))
    assert ok(ask("GET", f"/policy-objects/fingerprints/{made}?domainId=")).json()["data"] == ["0D" * 16, "0E" * 16]


@habit
def a_platform_asks_for_the_heads_alone_as_a_test_of_itself():
    said = ask("HEAD", "/computers")
    assert (said.status, said.text) == (200, "") and "json" in said.kind


@habit
def a_platform_asks_for_as_many_groups_as_there_are():
    total = ok(ask("GET", "/groups?domains=Default")).json()["totalElements"]
    page = ok(ask("GET", f"/groups?domains=Default&pageSize={total}")).json()
    assert len(page["content"]) == total == page["numberOfElements"] and page["lastPage"]
    assert page["sort"][0]["property"] == "NAME" and page["content"][0]["fullPathName"] == "My Company"


@habit
def a_script_asks_for_ten_thousand_computers_and_counts_pages():
    page = ok(ask("GET", "/computers?pageIndex=1&pageSize=10000")).json()
    assert page["size"] == 10000 and page["totalPages"] == 1 and len(page["content"]) == len(COMPUTERS)


@habit
def a_scan_for_evidence_is_sent_as_xml_that_says_it_is_json_and_its_result_is_parsed():
    one = COMPUTERS[0]["uniqueId"]
    wanted = """<?xml version="1.0" encoding="UTF-8"?>
<EOC creator="x" version="1.0" id="id">
  <DataSource name="name" id="id" version="version"/>
  <ScanType>QUICK_SCAN</ScanType>

  <Threat category="" type="" severity="" time=""><Description>b'words'</Description><Attacker/></Threat>
  <Activity><OS id="0" name="name" version="version"><Process/><Files>
    <File name="" action="create"><Hash name="SHA256" value=""/></File>
    <File name="" action="create"><Hash name="MD5" value="582F9B6E0CC4C1DBBD772AAAF088CB3A"/></File>
  </Files><Registry/><Network/></OS></Activity>
</EOC>"""
    said = ok(ask("POST", f"/command-queue/eoc?computer_ids={one}", wanted, {"content-type": "application/json"}))
    COMMANDS["eoc"] = said.json()["commandID_computer"]
    quotes = "<EOC creator='x' version='1.1' id='1'><DataSource name='n' id='1' version='1.0'/><Activity/></EOC>"
    ok(ask("POST", f"/command-queue/eoc?computer_ids={one}", quotes, {"Content-Type": "application/xml"}))


@habit
def a_module_sends_identifiers_in_quotes_with_commas_that_are_escaped_and_no_length_where_there_is_no_body():
    ids = ",".join(one["uniqueId"] for one in COMPUTERS)
    for query in (urllib.parse.urlencode({"computer_ids": ids}), f'group_ids=""&computer_ids="{ids}"'):
        said = ok(ask("POST", "/command-queue/fullscan?" + query.replace('"', "%22"), say_length=False))
        assert said.json()["commandID_computer"] and "errorCode" not in said.json()
    groups = ",".join(one["id"] for one in GROUPS)
    assert ok(ask("POST", "/command-queue/baseline?" + urllib.parse.urlencode({"group_ids": groups}))).json()["commandID_group"]


@habit
def a_module_reads_every_error_as_json_and_logs_out_with_its_own_header():
    granted = log_in()
    refused = ask("GET", "/groups/7")
    assert refused.status == 400 and json.loads(refused.text)["errorMessage"]
    body = json.dumps({"Authorization": "Bearer " + granted["token"]})
    said = call("POST", API + "/identity/logout", body, JSON, granted["token"])
    assert said.status == 204 and said.text == "" and "json" not in said.kind
    gone = call("GET", API + "/groups", None, JSON, granted["token"])
    assert gone.status == 401 and "Invalid access token" in gone.json()["error_description"]


@habit
def a_library_refreshes_its_token_with_json_that_says_what_the_address_says():
    granted = log_in(domain="Default")
    query = urllib.parse.urlencode(
        {
            "grant_type": "refresh_token",
            "client_id": granted["clientId"],
            "client_secret": granted["clientSecret"],
            "refresh_token": granted["refreshToken"],
        }
    )
    body = json.dumps({"client_id": granted["clientId"], "refresh_token": granted["refreshToken"]})
    fresh = ok(call("POST", "/sepm/oauth/token?" + query, body, JSON, granted["token"])).json()
    assert int(fresh["tokenExpiration"]) > 160
    ok(call("GET", API + "/groups", None, JSON, fresh["access_token"]))
    said = call("POST", API + "/identity/logout", json.dumps({"adminId": granted["adminId"], "token": fresh["access_token"]}), JSON, fresh["access_token"])
    assert said.status == 204


@habit
def a_provisioner_refreshes_its_token_with_get_and_an_address_to_be_sent_to():
    granted = log_in(domain=None)
    query = (
        f"grant_type=refresh_token&client_id={granted['clientId']}&client_secret={granted['clientSecret']}"
        f"&redirect_uri={BASE}/sepm&refresh_token={granted['refreshToken']}"
    )
    fresh = ok(call("GET", "/sepm/oauth/token?" + query)).json()
    assert fresh["access_token"] and fresh["refresh_token"]
    ok(call("GET", API + "/sessions/currentuser", token=fresh["access_token"]))


@habit
def a_playbook_sends_its_query_as_it_is_and_no_content_type():
    said = ok(call("GET", API + "/computers?computerName=*&lastUpdate=0&os=Win10,Win7&pageSize=10&columns=a,b", token=TOKEN))
    one = said.json()["content"][0]
    text = one["operatingSystem"] + " | " + one["osBitness"] + one["deploymentRunningVersion"]
    assert text and len(set(one["macAddresses"])) == 1 and isinstance(one["lastScanTime"], int)
    ok(call("GET", API + "/groups?columns=None", token=TOKEN))
    assert ok(call("GET", API + "/replication/is_replicated", token=TOKEN)).json() is False
    online = {one["status"].lower(): one["clientsCount"] for one in ok(ask("GET", "/stats/client/onlinestatus")).json()["clientCountStatsList"]}
    assert online["online"] + online["offline"] == len(COMPUTERS)
    for event in ok(call("GET", API + "/events/critical", token=TOKEN)).json()["criticalEventsInfoList"]:
        datetime.datetime.strptime(event["eventDateTime"], "%Y-%m-%d %H:%M:%S.0")
    policies = ok(call("GET", API + "/policies/summary", token=TOKEN)).json()["content"]
    assert all(key in one for one in policies for key in ("name", "policytype", "id", "desc", "enabled"))
    location = ok(call("GET", API + f"/groups/{TOP['id']}/locations", token=TOKEN)).json()[0].split("/")[-1]
    firewall = next(one["id"] for one in policies if one["policytype"] == "fw")
    ok(ask("PUT", f"/groups/{TOP['id']}/locations/{location}/policies/fw", json.dumps({"id": firewall})))
    ok(call("POST", API + "/command-queue/updatecontent?computer_ids=" + one_id(), "", token=TOKEN))


@habit
def a_playbook_moves_a_computer_and_reads_the_first_answer():
    body = json.dumps([{"group": {"id": COMPUTERS[0]["group"]["id"]}, "hardwareKey": COMPUTERS[0]["hardwareKey"]}])
    said = ok(ask("PATCH", "/computers?computerName=" + COMPUTERS[0]["computerName"], body), 200, 207)
    assert said.json()[0] == {"responseCode": "200", "responseMessage": "OK"}


@habit
def a_shell_cuts_values_out_of_the_text_with_regular_expressions():
    text = ok(call("GET", API + "/computers?computerName=" + COMPUTERS[0]["computerName"], None, {"Content-Type": "Application/JSON"}, TOKEN)).text
    assert re.search(r'"uniqueId":"(?P<id>[^"]+)"', text)["id"] == COMPUTERS[0]["uniqueId"]
    assert re.match(r'.*"hardwareKey":"(\w+)".*', text)[1] == COMPUTERS[0]["hardwareKey"]
    key = base64.b64decode(COMPUTERS[0]["publicKey"])
    assert len(key) == 276 and key.startswith(base64.b64decode("BgIAAACkAABSU0ExAAgAAAEAAQ=="))


@habit
def a_shell_sends_a_form_and_a_header_of_its_own_and_closes_the_connection():
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Content": "application/json", "Connection": "close", "Expect": "100-continue"}
    said = ok(ask("POST", "/command-queue/activescan", "computer_ids=" + one_id(), headers))
    assert said.json()["commandID_computer"]


@habit
def a_shell_splits_locations_at_colons_and_slashes():
    for named in ok(ask("GET", f"/groups/{TOP['id']}/locations?hasName=True")).json():
        assert named.split(":")[0] and re.fullmatch("[0-9A-F]{32}", named.split("/")[-1])
        settings = ok(ask("GET", f"/groups/{TOP['id']}/locations/{named.split('/')[-1]}/settings")).json()
        assert settings["configuration"]["communication_settings"]["sem_server"]["name"]


@habit
def a_plugin_looks_for_a_name_and_an_address_of_hardware_with_stars_and_lifts_a_quarantine_with_false():
    found = ok(ask("GET", "/computers?computerName=" + COMPUTERS[0]["computerName"] + "&mac=*")).json()["content"]
    assert found[0]["uniqueId"] == COMPUTERS[0]["uniqueId"]
    found = ok(ask("GET", "/computers?computerName=*&mac=" + COMPUTERS[0]["macAddresses"][0])).json()["content"]
    assert found[0]["uniqueId"] == COMPUTERS[0]["uniqueId"]
    said = ok(ask("POST", "/command-queue/quarantine?undo=False&hardware_ids=" + COMPUTERS[0]["hardwareKey"]))
    assert said.json()["commandID_computer"]


@habit
def a_poller_goes_through_ranges_of_pages_with_a_charset():
    page = ok(ask("GET", "/computers?pageIndex=1&pageSize=2", headers=JSON_UTF8)).json()
    for one in page["content"]:
        assert re.fullmatch("[0-9A-F]{12}", "".join(one["macAddresses"][0].split("-"))) and one["ipAddresses"][0]
    said = ok(ask("POST", f"/command-queue/fullscan?group_ids=&computer_ids={one_id()}", headers=JSON_UTF8, say_length=False))
    assert said.json()["commandID_computer"]


@habit
def a_library_deletes_by_an_identifier_in_lower_case_and_keys_what_it_finds():
    assert ask("DELETE", "/computers/" + "0" * 32, headers={}).status == 204
    for path, key in (("/computers", "agentId"), ("/groups", "id"), ("/policies/summary", "id")):
        assert len({one[key] for one in pages(path, 500)}) == len(pages(path, 500))
    assert ok(ask("GET", "/licenses")).json()[0]["serialNumber"]
    domain = ok(ask("GET", "/domains")).json()[0]
    assert (domain["description"], domain["companyName"], domain["contactInfo"]) == (None, "", None)
    version = ok(ask("GET", "/version")).json()["version"]
    assert version.startswith(COMPUTERS[0]["profileVersion"] + ".")
    assert ok(ask("GET", "/admin-users")).json()[0]["loginName"] == "admin"


@habit
def a_shell_reads_a_firewall_policy_and_knows_an_event_that_cannot_be_acknowledged_by_its_words():
    firewall = ok(ask("GET", "/policies/summary/fw")).json()["content"][0]["id"]
    found = ok(ask("GET", f"/policies/firewall/{firewall}")).json()
    configuration = found["configuration"]
    assert isinstance(configuration["enforced_rules"], list) and isinstance(configuration["baseline_rules"], list)
    assert configuration["windows_firewall"] == "NO_ACTION" and configuration["autoblock_duration"] == 600
    refused = ask("POST", "/events/acknowledge/" + "0" * 32)
    assert refused.status == 400 and "Failed to update the event" in refused.text
    acknowledged = ok(ask("GET", "/events/critical")).json()["criticalEventsInfoList"][0]["eventId"]
    assert ok(ask("POST", f"/events/acknowledge/{acknowledged}")).json() == ""


@habit
def addresses_are_glued_together_with_slashes_too_many():
    for path in ("/sepm/api/v1/groups/", "/sepm/api/v1/computers/?pageSize=1"):
        assert ok(call("GET", path, None, JSON, TOKEN)).json()["content"]
    for path in ("/sepm/api/v1//groups", "//sepm/api/v1/computers/?pageSize=1"):
        refused = call("GET", path, None, JSON, TOKEN)
        assert refused.status == 500 and "HTTP Status 500" in refused.text, refused.text
    said = ok(call("POST", "/sepm/api/v1/identity/authenticate/", json.dumps({"username": "admin", "password": "epm-lab"}), JSON))
    assert said.json()["token"]
    assert "HTTP Status 404" in call("GET", "/sepm/ws/v1/ClientService/", token=TOKEN).text


@habit
def requests_are_written_with_bodies_where_nobody_reads_them():
    for body in ("{}", '""', "null"):
        ok(ask("GET", "/groups", body))
    ok(ask("PUT", "/admin-users/" + ok(ask("GET", "/admin-users")).json()[0]["id"]))


def one_id():
    return COMPUTERS[0]["uniqueId"]


COMMANDS = {}
for of in HABITS:
    try:
        of()
        outcome = "ok"
    except Exception as error:
        outcome = f"{type(error).__name__}: {error}"
    print(json.dumps({"habit": of.__name__, "outcome": outcome}), flush=True)

# The test that started this script lets the clients have heartbeats, then writes a line.
print(json.dumps({"ready": True}), flush=True)
sys.stdin.readline()
row = ok(ask("GET", f"/command-queue/{COMMANDS['eoc']}")).json()["content"][0]
matched = xml.etree.ElementTree.fromstring(row["resultInXML"]).findall("Activity/OS/Files/File/Matched") if row["stateId"] == 3 else []
outcome = "ok" if [one.attrib for one in matched] == [{"result": "NO_MATCH"}] * 2 else json.dumps(row)
print(json.dumps({"habit": "the_result_of_a_completed_scan_is_parsed", "outcome": outcome}), flush=True)
