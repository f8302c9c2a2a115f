# Run at every boot, before anything else: whatever happens later, the node ends itself when its lifetime is over.
set -eu
left=$(( $(date --date="$1" +%s) - $(date +%s) ))
[ "$left" -gt 0 ] || left=1
systemd-run --unit=liftoff-expiry --on-active="${left}s" --timer-property=AccuracySec=1s systemctl poweroff
