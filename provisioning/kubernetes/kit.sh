# Lays the kit of the secret onto the volume SITE, once; a renewed one in its place, with what must outlive it: the
# ledgers, without which an old job could run again, the deny list, who is disabled, jobs that wait for a yes. OWN has a hospital's own file.
umask 077
cd "$SITE"
new=$(sha256sum "$SECRET/kit.zip" 2>/dev/null | cut -d ' ' -f 1)
if [ -n "$new" ] && [ "$new" != "$(cat kit.sha256 2>/dev/null || true)" ]; then
  rm -rf new
  python3 -m zipfile -e "$SECRET/kit.zip" new
  top=$(echo new/*)
  chmod 700 "$top"/startup/*.sh
  if [ -f "$SECRET/client.key" ]; then # of a hospital that made its own
    cat "$SECRET/client.key" >"$top/startup/client.key"
  fi
  for before in old kit; do # old alone, where this was broken off
    for kept in fedefm-outbox.jsonl fedefm-jobs.jsonl fedefm-revoked.json fedefm-peers.json disabled_clients.json \
      audit.log local/fedefm_server.json; do
      for file in "$before/$kept" "$before/$kept".0* "$before/$kept".head; do
        [ ! -f "$file" ] || cp -p "$file" "$top/$(dirname "$kept")/"
      done
    done
    [ ! -d "$before/fedefm-waiting" ] || cp -Rp "$before/fedefm-waiting" "$top/"
  done
  if [ -d kit ]; then
    rm -rf old
    mv kit old
  fi
  mv "$top" kit
  rmdir new
  echo "$new" >kit.sha256
fi
mkdir -p cache storage
if [ -n "${OWN:-}" ]; then
  cat "$OWN/fedefm_site.json" >kit/local/fedefm_site.json
fi
