#!/usr/bin/env bash
# The units of deploy/systemd are what systemd understands, and stay strict: no systemd needs to run for that.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
# What is started is judged by its place only; it need not be installed.
for unit in deploy/systemd/*.service; do sed 's:/usr/bin/sallyport:/bin/true:' "$unit" >"$dir/$(basename "$unit")"; done
bad=0
# limit UNIT EXPOSURE: systemd's own score, 0 (nothing may be done) to 100.
limit() { systemd-analyze security --offline=true --no-pager --threshold="$2" "$dir/$1" >"$dir/score" || { tail -n 1 "$dir/score"; bad=1; }; }
said=$(systemd-analyze verify --man=no "$dir"/*.service 2>&1) || bad=1
# A key that systemd does not know is only warned about.
[ -z "$said" ] || { printf '%s\n' "$said"; bad=1; }
limit sallyport-notary.service 10
limit sallyport-witness.service 20
limit sallyport.service 20
for unit in "$dir"/*.service; do
  for key in NoNewPrivileges=yes ProtectSystem=strict PrivateTmp=yes MemoryDenyWriteExecute=yes LimitCORE=0 UMask=0077; do
    grep -qx "$key" "$unit" || { echo "$(basename "$unit"): $key is missing"; bad=1; }
  done
done
grep -qx 'RestrictAddressFamilies=AF_UNIX' "$dir/sallyport-notary.service" || { echo "the notary needs no network"; bad=1; }
exit $bad
