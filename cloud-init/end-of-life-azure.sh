# The end of a node at Azure: shut down from inside, a machine stays allocated and billed, so it deletes itself.
# http is the metadata service's own protocol, and never leaves the host:
# https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service
set -u
metadata() { curl --fail --silent --show-error --noproxy '*' --retry 5 -H Metadata:true "http://169.254.169.254/metadata/$1"; }
machine=$(metadata 'instance/compute/resourceId?api-version=2021-02-01&format=text')
token=$(metadata 'identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com%2F' |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["access_token"])')
# The token goes through standard input: a list of processes would show it.
printf 'header = "Authorization: Bearer %s"\n' "$token" | curl --config - --fail --silent --show-error --retry 5 \
    --request DELETE "https://management.azure.com$machine?api-version=2024-07-01&forceDeletion=true"
systemctl poweroff
