#!/usr/bin/env bash
# The simulator's long campaign: 1,000 seeds with every guarantee judged, then each deliberate bug until a seed finds it: 200 plain ones at
# most, then 200 with services and 200 with changes of the configuration; one that none of them finds is to fail a test of the cores, the
# stores or the node, where what it takes can be set up.
# Prints the totals, and a table of the bugs with what found each. Two processes; most of the time goes to the bugs that take long to find.
# Ends with 1 if a seed failed, or a bug was not found.
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
for tests in Protocols.Tests Storage.Tests Node.Tests; do
  dotnet build "tests/$tests" -c Release -nodeReuse:false -v quiet -nologo -p:RunAnalyzers=false -p:SeededBugs=true
done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
bugs=("$@")
[ ${#bugs[@]} -gt 0 ] || mapfile -t bugs < <("$simulator" --list-bugs)
printf '%s\n' "${bugs[@]}" |
  xargs -P 2 -I{} sh -c '
    for more in "" --services --changes; do
      "$1" --seeds "$3" --bug {} $more >"$2/{}" 2>&1 || true
      if grep -q "^{} is found" "$2/{}"; then echo "${more:+ $more}" >"$2/{}.more"; exit 0; fi
    done
    for tests in Protocols.Tests Storage.Tests Node.Tests; do
      CARILLON_SEEDED_BUG={} timeout 300 "artifacts/seeded-bugs/bin/$tests/release/$tests" --no-progress --no-ansi >>"$2/{}.tests" 2>&1 || true
    done' sh "$simulator" "$folder" "$most"

found=0
printf '| bug | seed | by |\n| --- | --- | --- |\n'
for bug in "${bugs[@]}"; do
  seed=$(sed -n "s/^$bug is found by seed \([0-9]*\),.*/\1/p" "$folder/$bug")
  if [ -n "$seed" ]; then
    rule=$(sed -n 's/^FAIL seed [0-9]* [A-Za-z]* \([^:]*\):.*/\1/p' "$folder/$bug" | head -n 1)
    printf '| %s | %s%s | %s |\n' "$bug" "$seed" "$(cat "$folder/$bug.more")" "$rule"
    found=$((found + 1))
  else
    # "failed Namespace.Class.Method(arguments) (time)"
    test=$(sed -n 's/^failed [A-Za-z.]*\.\([A-Za-z]*\.[A-Za-z0-9_]*\).*/\1/p' "$folder/$bug.tests" | sort | head -n 1)
    printf '| %s | none | %s |\n' "$bug" "${test:-nothing}"
    [ -z "$test" ] || found=$((found + 1))
  fi
done
echo "$found of ${#bugs[@]} deliberate bugs found"
[ "$found" -eq ${#bugs[@]} ] && [ "$failed" -eq 0 ]
