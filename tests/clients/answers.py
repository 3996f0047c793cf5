"""Checks answers of the control API against the schemas of its own description.

Reads from standard input an object with the description and the answers, and prints a line for each violation.
"""

import json
import sys

import jsonschema_rs

asked = json.load(sys.stdin)
api = asked["api"]
for answer in asked["answers"]:
    operation = api["paths"][answer["path"]][answer["method"]]
    responses = operation["responses"]
    response = responses.get(str(answer["status"])) or responses["default"]
    schema = response["content"][answer["type"]]["schema"]
    # The definitions that the schema refers to are in the description.
    schema = {**schema, "components": api.get("components", {})}
    for error in jsonschema_rs.Draft202012Validator(schema).iter_errors(answer["body"]):
        where = "/".join(str(part) for part in error.instance_path)
        print(f"{answer['method']} {answer['path']} {answer['status']} at {where}: {error.message}")
