#!/usr/bin/env bash
# The simulator's long campaign: 1,000 seeds with every guarantee judged, then each deliberate bug until a seed finds it: 200 plain ones at
# most, then 200 with services. Prints the totals, and a table of the bugs with the seed that found each. Two processes; most of the time
# goes to the bugs that take long to find. Ends with 1 if a seed failed, or a bug was not found.
#   campaign.sh [SEEDS [BUG...]]     other numbers of seeds (0: none), only these bugs
set -euo pipefail
cd "$(dirname "$0")/../.."
export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1
seeds=${1:-1000}
shift || true
most=200
failed=0

build() { dotnet build src/Carillon.Simulator -c Release -nodeReuse:false -v quiet -nologo -p:RunAnalyzers=false "$@"; }

if [ "$seeds" -gt 0 ]; then
  build
  artifacts/bin/Carillon.Simulator/release/Carillon.Simulator --seeds "$seeds" --jobs 2 || failed=1
fi

build -p:SeededBugs=true
simulator=$PWD/artifacts/seeded-bugs/bin/Carillon.Simulator/release/Carillon.Simulator
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
bugs=("$@")
[ ${#bugs[@]} -gt 0 ] || mapfile -t bugs < <("$simulator" --list-bugs)
printf '%s\n' "${bugs[@]}" |
  xargs -P 2 -I{} sh -c '
    for more in "" --services; do
      "$1" --seeds "$3" --bug {} $more >"$2/{}" 2>&1 || true
      if grep -q "^{} is found" "$2/{}"; then echo "$more" >"$2/{}.more"; break; fi
    done' sh "$simulator" "$folder" "$most"

found=0
printf '| bug | seed | by |\n| --- | --- | --- |\n'
for bug in "${bugs[@]}"; do
  seed=$(sed -n "s/^$bug is found by seed \([0-9]*\),.*/\1/p" "$folder/$bug")
  rule=$(sed -n 's/^FAIL seed [0-9]* [A-Za-z]* \([^:]*\):.*/\1/p' "$folder/$bug" | head -n 1)
  more=$(cat "$folder/$bug.more" 2>/dev/null || true)
  printf '| %s | %s | %s |\n' "$bug" "${seed:-not within $most}${more:+ with services}" "${rule:--}"
  [ -z "$seed" ] || found=$((found + 1))
done
echo "$found of ${#bugs[@]} deliberate bugs found within $most seeds"
[ "$found" -eq ${#bugs[@]} ] && [ "$failed" -eq 0 ]
