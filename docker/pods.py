"""Prints the Pods that the manifests in kubernetes describe, for an engine that knows no StatefulSets, Jobs and Services.

    pods.py SUBNET [NAME..]    the Pods of these names, or a list of all: each name with its address, as the engine is to give it

Each Pod finds the others at the names that Services would give them, by its hosts file. Volumes are those of the Pod alone.
"""

import base64
import copy
import ipaddress
import pathlib
import sys

import yaml

HERE = pathlib.Path(__file__).parent / "kubernetes"


def expand(container, metadata):
    """Puts the values of variables into the environment and the arguments."""
    for one in container.get("env", []):
        path = one.pop("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
        if path:
            key = path.removeprefix("metadata.")
            one["value"] = metadata["name"] if key == "name" else metadata["annotations"][key[len("annotations['") : -2]]
        container["args"] = [each.replace(f"$({one['name']})", one["value"]) for each in container.get("args", [])]


def pods():
    """The Pods of each workload, by name, and the other manifests."""
    found, others = {}, []
    for path in sorted(HERE.glob("*.yaml")):
        for one in yaml.safe_load_all(path.read_text()):
            kind, spec = one["kind"], one.get("spec", {})
            if kind not in ("StatefulSet", "Job"):
                others.append(one)
                continue
            name = one["metadata"]["name"]
            for index in range(spec["replicas"] if kind == "StatefulSet" else spec["completions"]):
                pod = copy.deepcopy(spec["template"])
                pod.update(apiVersion="v1", kind="Pod")
                # The engine gives a Pod's containers the volumes of its claims anew; a Job's index is an annotation.
                claims = [{"name": claim["metadata"]["name"], "emptyDir": {}} for claim in spec.get("volumeClaimTemplates", [])]
                pod["spec"].setdefault("volumes", []).extend(claims)
                # Podman 4.3 starts init containers anew as well, where all others are.
                pod["spec"]["restartPolicy"] = "OnFailure"
                for volume in pod["spec"]["volumes"]:
                    # The default; podman 4.3 breaks down where it is left out.
                    volume.get("secret", {}).setdefault("optional", False)
                for container in pod["spec"]["containers"]:
                    container.pop("ports", None)  # The engine would open them on the machine's addresses.
                pod["metadata"]["name"] = f"{name}-{index}"
                if kind == "Job":
                    pod["metadata"]["annotations"] = {"batch.kubernetes.io/job-completion-index": str(index)}
                for container in pod["spec"]["containers"]:
                    expand(container, pod["metadata"])
                found[f"{name}-{index}"] = pod
    return found, others


def main(subnet, *chosen):
    found, others = pods()
    hosts = list(ipaddress.ip_network(subnet).hosts())[9:]
    addresses = dict(zip(found, map(str, hosts)))
    if not chosen:
        for name, address in addresses.items():
            print(name, address)
        return
    aliases = []
    for service in (one for one in others if one["kind"] == "Service"):
        name, wanted = service["metadata"]["name"], service["spec"]["selector"].items()
        behind = [pod for pod, one in found.items() if wanted <= one["metadata"]["labels"].items()]
        # A name has one address in a hosts file: that of the first Pod.
        aliases += [(name, behind[0])] + [(f"{pod}.{name}", pod) for pod in behind]
    for name in chosen:
        found[name]["spec"]["hostAliases"] = [{"ip": addresses[pod], "hostnames": [alias]} for alias, pod in aliases]
    secrets = [one for one in others if one["kind"] == "Secret"]
    for secret in secrets:
        values = secret.pop("stringData").items()  # As a cluster keeps them.
        secret["data"] = {key: base64.b64encode(value.encode()).decode() for key, value in values}
    print(yaml.safe_dump_all(secrets + [found[name] for name in chosen]))


if __name__ == "__main__":
    main(*sys.argv[1:])
