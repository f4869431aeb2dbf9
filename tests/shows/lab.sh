#!/usr/bin/env bash
# Hosts for shows: a bridge and N network namespaces c1..cN with eth0 = 10.78.0.I/24. lab.sh up N | isolate I | heal I | split K N | join N | down. Needs root, iproute2, nftables.
set -euo pipefail
BRIDGE=crl0 NET=10.78.0
case "${1:-}" in
  up)
    "$0" down
    # Snooping with default timers disturbs multicast for half a minute after the bridge is made: short ones (units of 10 ms).
    ip link add "$BRIDGE" type bridge mcast_snooping 1 mcast_querier 1 mcast_query_response_interval 100 \
      mcast_startup_query_interval 100 mcast_startup_query_count 5 mcast_query_interval 1000
    ip link set "$BRIDGE" up
    for i in $(seq 1 "$2"); do
      ip netns add "c$i"
      ip link add "cv$i" type veth peer name eth0 netns "c$i"
      ip link set "cv$i" master "$BRIDGE" up
      ip -n "c$i" addr add "$NET.$i/24" brd + dev eth0
      ip -n "c$i" link set eth0 up
      ip -n "c$i" link set lo up
      ip -n "c$i" route add 224.0.0.0/4 dev eth0
    done ;;
  isolate)
    ip netns exec "c$2" nft -f - <<'N'
table inet cut {
  chain in { type filter hook input priority 0; iif "eth0" drop; }
  chain out { type filter hook output priority 0; oif "eth0" drop; }
}
N
    ;;
  split)
    # 1..K on one side, the rest of N on the other; multicast is dropped by its sender's address.
    for i in $(seq 1 "$3"); do
      there=""
      for j in $(seq 1 "$3"); do { [ "$i" -le "$2" ] && [ "$j" -gt "$2" ]; } || { [ "$i" -gt "$2" ] && [ "$j" -le "$2" ]; } || continue; there+="${there:+, }$NET.$j"; done
      ip netns exec "c$i" nft -f - <<N
table inet cut {
  chain in { type filter hook input priority 0; ip saddr { $there } drop; }
  chain out { type filter hook output priority 0; ip daddr { $there } drop; }
}
N
    done ;;
  join) for i in $(seq 1 "$2"); do ip netns exec "c$i" nft delete table inet cut; done ;;
  heal) ip netns exec "c$2" nft delete table inet cut ;;
  down)
    for i in $(seq 1 16); do ip netns del "c$i" 2>/dev/null || true; ip link del "cv$i" 2>/dev/null || true; done
    ip link del "$BRIDGE" 2>/dev/null || true ;;
  *) sed -n 2p "$0"; exit 2 ;;
esac
