#!/usr/bin/env bash
# Draws the README's pictures anew, offline: the real program, over a demo of one seed.
# Usage: [TOLLGATE=PROGRAM] docs/pictures/draw.sh [SECONDS OF DEMO]
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds="${1:-75}"
program="${TOLLGATE:-}"
if [ -z "$program" ]; then
  cargo build --release --locked -p tollgate-tui
  program=target/release/tollgate
fi
data="$(mktemp -d)"
log="$data/demo.log"
"$program" demo --headless --seed 42 --rate 14 --duration "$((seconds + 40))s" --data-dir "$data/demo" >/dev/null 2>"$log" &
demo=$!
trap 'kill "$demo" 2>/dev/null || true; rm -rf "$data"' EXIT
# The ports stand in the demo's first lines; a fixed one may be taken.
for _ in $(seq 100); do grep -q 'ready ' "$log" && break; sleep 0.2; done
read -r router gateway events < <(sed -n 's/.*ready router=\([^ ]*\) gateway=\([^ ]*\) events=\([^ ]*\).*/\1 \2 \3/p' "$log" | head -1)
where=(--router "http://$router" --gateway "http://$gateway" --events "ws://$events/events")
sleep "$seconds"
for screen in dashboard runs providers receipts alerts reports; do
  "$program" shot "${where[@]}" --screen "$screen" --size 120x40 --svg >"docs/pictures/$screen.svg"
done
"$program" shot "${where[@]}" --theme light --size 120x40 --svg >docs/pictures/light.svg
"$program" shot "${where[@]}" --size 120x40 --key j --key + --svg >docs/pictures/budget.svg
echo "drawn: $(ls docs/pictures/*.svg | wc -l) pictures"
