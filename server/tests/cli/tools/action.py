"""Runs the steps of a composite action as a runner of GitHub does: python3 action.py ACTION.YML [INPUT=VALUE]...

What a job would find is in the folder `job` of the working directory. The last line of the output has the action's outputs as JSON.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

action = yaml.safe_load(Path(sys.argv[1]).read_text(encoding="utf-8"))
given = dict(argument.split("=", 1) for argument in sys.argv[2:])
job = Path("job").absolute()
(job / "temp").mkdir(parents=True)
unknown = set(given) - set(action["inputs"])
assert not unknown, f"the action has no inputs {unknown}"
for name, one in action["inputs"].items():
    assert one["description"], name
    assert name in given or "default" in one or not one.get("required"), f"the input {name} is required"
values = {f"inputs.{name}": given.get(name, one.get("default", "")) for name, one in action["inputs"].items()}
values["runner.temp"] = str(job / "temp")
failed = False


def substituted(text):
    """The text with its expressions replaced; what a step has not set is empty, as it is there."""
    replaced = re.sub(r"\$\{\{ ([a-z0-9.-]+) \}\}", lambda found: known(found[1]), str(text))
    assert replaced != text or "${{" not in text, f"unknown expression: {text}"
    return replaced


def known(name):
    assert name in values or name.startswith("steps."), f"unknown: {name}"
    return values.get(name, "")


def is_due(condition):
    """Whether a step with this condition runs: the conditions that the action has, not the whole language."""
    condition = condition.removeprefix("${{ ").removesuffix(" }}")
    if condition == "always()":
        return True
    if condition == "success()":
        return not failed
    found = re.fullmatch(r"!cancelled\(\) && (steps\.\w+\.outcome) == '(\w+)'", condition)
    assert found, f"unknown condition: {condition}"
    return values.get(found[1], "skipped") == found[2]


environment = {**os.environ, "GITHUB_STEP_SUMMARY": str(job / "summary.md"), "RUNNER_TEMP": values["runner.temp"]}
assert action["runs"]["using"] == "composite"
for number, step in enumerate(action["runs"]["steps"]):
    if not is_due(str(step.get("if", "success()"))):
        print("skipped:", step["name"], flush=True)
        continue
    print("step:", step["name"], flush=True)
    assert step["shell"] == "bash", step
    assert "${{" not in step["run"], f"an expression in a script can be read as a part of it: {step['run']}"
    files = {name: job / f"{name.lower()}-{number}" for name in ("GITHUB_PATH", "GITHUB_OUTPUT", "GITHUB_ENV")}
    for file in files.values():
        file.touch()
    own = {name: substituted(value) for name, value in step.get("env", {}).items()}
    script = job / f"step-{number}.sh"
    script.write_text(step["run"], encoding="utf-8")
    bash = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)]
    files_of_step = {name: str(file) for name, file in files.items()}
    ended = subprocess.run(bash, env={**environment, **files_of_step, **own}, check=False)
    failed |= ended.returncode != 0
    for folder in files["GITHUB_PATH"].read_text().splitlines():
        environment["PATH"] = f"{folder}:{environment['PATH']}"
    assert not files["GITHUB_ENV"].read_text(), "an action that sets variables of the job changes other steps"
    if "id" in step:
        values[f"steps.{step['id']}.outcome"] = "failure" if ended.returncode else "success"
        for line in files["GITHUB_OUTPUT"].read_text().splitlines():
            name, value = line.split("=", 1)
            values[f"steps.{step['id']}.outputs.{name}"] = value
print(json.dumps({name: substituted(one["value"]) for name, one in action["outputs"].items()}))
sys.exit(failed)
