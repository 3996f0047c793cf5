#!/usr/bin/env bash
# Replaces the certificate of one manager. It knows the REST API and the console, and nothing of the lab's clock.
#
# Usage: rotate.sh sleep|poll|careless READY
#   sleep     sleeps for three heartbeat intervals where clients need heartbeats
#   poll      asks the REST API there until every client has the policy of its group
#   careless  does neither, and takes half a second for each step
set -euo pipefail
way=$1 ready=$2
control=$(jq -r .control_api "$ready")
api=$(jq -r '.managers[0].rest' "$ready")/sepm/api/v1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

console() { # METHOD PATH [JSON]: what the product has in its console
  curl -sSf -X "$1" -H 'content-type: application/json' ${3:+-d "$3"} "$control$2"
}

log_in() { # by the certificate that the console shows now
  console GET /v1/managers/sepm-1/certificate | jq -r .stores.console.pem > "$work/ca.pem"
  token=$(curl -sSf --cacert "$work/ca.pem" -H 'content-type: application/json' \
    -d '{"username":"admin","password":"epm-lab","domain":""}' "$api/identity/authenticate" | jq -r .token)
}

rest() { # METHOD PATH [JSON]
  curl -sSf --cacert "$work/ca.pem" -X "$1" -H "authorization: Bearer $token" -H 'content-type: application/json' \
    ${3:+-d "$3"} "$api$2"
}

stepped() { if [ "$way" = careless ]; then sleep 0.5; fi; }

is_current() {
  rest GET '/groups?pageSize=500' > "$work/groups"
  rest GET '/computers?pageSize=500' > "$work/computers"
  jq -es '(.[0].content | map({(.id): .policySerialNumber}) | add) as $serial
    | [.[1].content[] | select(.profileSerialNo != $serial[.group.id])] == []' "$work/groups" "$work/computers" > /dev/null
}

waited() {
  case $way in
    sleep) sleep 3 ;;
    poll)
      for _ in $(seq 100); do
        if is_current; then return; fi
        sleep 0.3
      done
      echo "some clients are not current" >&2
      exit 1
      ;;
  esac
}

set_all() { # on|off: the list and the switch of every location
  while read -r group location list secure; do
    if [ "$1" = off ]; then list="$list copy" secure=false; fi
    rest PATCH "/groups/$group/locations/$location/settings" "$(jq -nc --arg list "${list//+/ }" --argjson secure "$secure" \
      '{configuration: {communication_settings: {sem_server: {name: $list}},
        general_settings: {security_settings: {secure_communications: $secure}}}}')" > "$work/out"
    stepped
  done < "$work/places"
}

log_in
rest GET '/groups?pageSize=500' | jq -r '.content[] | select(.policyInheritanceEnabled | not) | .id' | while read -r group; do
  rest GET "/groups/$group/locations" | jq -r '.[] | split("/") | last' | while read -r location; do
    rest GET "/groups/$group/locations/$location/settings" | jq -r --arg place "$group $location" '.configuration
      | "\($place) \(.communication_settings.sem_server.name | gsub(" "; "+")) \(.general_settings.security_settings.secure_communications)"'
  done
done > "$work/places"
cut -d' ' -f3 "$work/places" | sort -u | while read -r list; do
  list=${list//+/ }
  console PUT "/v1/lists/$(jq -rn --arg name "$list copy" '$name | @uri')" \
    "$(jq -nc --arg from "$list" '{copy_of: $from, protocol: "http"}')" > "$work/out"
  stepped
done
set_all off
waited
console PUT /v1/managers/sepm-1/certificate/rotation '{}' > "$work/out"
stepped
log_in
waited
set_all on
waited
