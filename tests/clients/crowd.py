"""Crowds at the REST API: groups deep below each other, many side by side, and many clients that change one at once.

Usage: crowd.py BASE CA TOKEN WIDE ALREADY, where ALREADY groups called "crowd .." exist already. Prints a line for each error, and a line of JSON with the results.
"""

import http.client
import json
import ssl
import sys
import threading

BASE, CA, TOKEN = sys.argv[1:4]
WIDE, ALREADY = int(sys.argv[4]), int(sys.argv[5])
TRUST = ssl.create_default_context(cafile=CA)
HEADERS = {"Authorization": "Bearer " + TOKEN, "Content-Type": "application/json"}
local = threading.local()


def call(method, path, body=None):
    if not hasattr(local, "connection"):
        local.connection = http.client.HTTPSConnection(BASE.removeprefix("https://"), context=TRUST, timeout=60)
    local.connection.request(method, "/sepm/api/v1" + path, None if body is None else json.dumps(body), HEADERS)
    response = local.connection.getresponse()
    text = response.read()
    return response.status, json.loads(text) if text else None


def wrong(what, *found):
    print(what, *found, flush=True)


def is_refused(status, said):
    return status < 500 and said["errorCode"] == str(status) and said["errorMessage"]


def in_threads(count, work):
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


top = call("GET", "/groups?fullPathName=My%20Company")[1]["content"][0]

# Deep: each below the last, until one is refused; nothing is left of a refused group.
deep, below = 0, top["id"]
for level in range(10_000):
    status, said = call("POST", f"/groups/{below}", {"name": f"level {level}", "inherits": True})
    if status != 201:
        if not is_refused(status, said):
            wrong("deep", status, said)
        break
    deep, below = deep + 1, said["id"]
if call("GET", f"/groups/{below}")[1]["fullPathName"].count("\\") != deep:
    wrong("the deepest group is not where it was made")
if call("GET", "/groups")[1]["totalElements"] != deep + ALREADY + 2:
    wrong("what was refused is there", deep)

# Wide: side by side, made by several at once.
MAKERS = 4
refused = []


def make(number):
    for at in range(number, WIDE, MAKERS):
        status, said = call("POST", f"/groups/{top['id']}", {"name": f"wide {at:05}", "inherits": at % 2 == 0})
        if status != 201:
            refused.append((status, said))


in_threads(MAKERS, make)
for status, said in refused:
    if not is_refused(status, said):
        wrong("wide", status, said)
wide = WIDE - len(refused)
page = call("GET", "/groups?pageSize=20000")[1]
if page["totalElements"] != deep + wide + ALREADY + 2 or len({one["id"] for one in page["content"]}) != len(page["content"]):
    wrong("wide", page["totalElements"], deep, wide)
tree = call("GET", "/groups?mode=tree")[1]["content"][0]
if len(tree["childGroups"]) != wide + ALREADY + 2:
    wrong("the tree", len(tree["childGroups"]))
some = next(one for one in page["content"] if one["name"] == "wide 00001")
if call("PATCH", f"/groups/{some['id']}", {"name": "renamed"})[1]["fullPathName"] != "My Company\\renamed":
    wrong("a rename in a crowd")
if call("DELETE", f"/groups/{some['id']}")[0] != 204 or call("GET", f"/groups/{some['id']}")[0] != 410:
    wrong("a removal in a crowd")
# A change of the top group reaches those below that inherit, and no other.
location = call("GET", f"/groups/{top['id']}/locations")[1][0].rsplit("/", 1)[1]
settings = f"/groups/{top['id']}/locations/{location}/settings"
call("PATCH", settings, {"configuration": {"communication_settings": {"pull_mode_heartbeat_freq_in_seconds": 77}}})
dates = {one["name"]: one["policyDate"] for one in call("GET", "/groups?pageSize=20000")[1]["content"]}
top_date = dates["My Company"]
for name, date in dates.items():
    inherits = not name.startswith(("wide", "crowd")) or name.startswith("wide") and int(name[5:]) % 2 == 0
    if (date == top_date) != inherits:
        wrong("inherits or not", name, date, top_date)
        break

# Many clients change one group at once while another reads it: no change is lost, and the serial always advances.
CLIENTS, CHANGES = 8, 5
begun = top_date
serials, done = [], threading.Event()


def change(number):
    for at in range(CHANGES):
        status, _ = call("PATCH", settings, {"configuration": {"live_update_content_settings": {f"field {number}": at}}})
        if status != 200:
            wrong("a change", status)


def look():
    while not done.is_set():
        serials.append(call("GET", f"/groups/{top['id']}")[1]["policyDate"])


looker = threading.Thread(target=look)
looker.start()
in_threads(CLIENTS, change)
done.set()
looker.join()
kept = call("GET", settings)[1]["configuration"]["live_update_content_settings"]
if any(kept.get(f"field {number}") != CHANGES - 1 for number in range(CLIENTS)):
    wrong("a change was lost", kept)
if serials != sorted(serials):
    wrong("a serial went back", serials)
ended = call("GET", f"/groups/{top['id']}")[1]["policyDate"]
if ended - begun < CLIENTS * CHANGES:
    wrong("changes without a serial of their own", ended - begun)
print(json.dumps({"deep": deep, "wide": wide}), flush=True)
