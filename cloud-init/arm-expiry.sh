# Run at every boot, before anything else: whatever happens later, the node ends itself when its lifetime is over.
set -eu
left=$(( $(date --date="$1" +%s) - $(date +%s) ))
[ "$left" -gt 0 ] || left=1
# Without default dependencies it would wait for the end of the very stage that this runs in.
systemd-run --no-block --unit=liftoff-expiry --on-active="${left}s" --timer-property=AccuracySec=1s \
    --timer-property=DefaultDependencies=no --property=DefaultDependencies=no sh -c "$2"
