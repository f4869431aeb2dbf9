#!/bin/sh
# A job that runs once in EVERY seconds, on exactly one server of a cluster. When it ran last is in the checkpoint file, so that whoever takes over
# neither runs it again too soon nor leaves it out.
EVERY=${EVERY:-86400}
trap 'exit 0' TERM

report() {
  echo "report of $(date -u +%FT%TZ), made on $CARILLON_NODE in epoch $CARILLON_EPOCH"
  df -h . | tail -1
}

while :; do
  last=$(cat last-run 2>/dev/null || echo 0)
  now=$(date +%s)
  if [ "$now" -ge $((last + EVERY)) ]; then
    report > report.txt
    if carillon put report.txt "reports/nightly/$now.txt" --fence "service=$CARILLON_SERVICE,epoch=$CARILLON_EPOCH" -q; then
      echo "$now" > last-run.new && mv last-run.new last-run
      echo "the report is put"
    elif [ $? = 5 ]; then
      echo "fenced: a newer primary is at work"
      exit 1
    fi
  fi
  # In the background, so that SIGTERM is heeded at once.
  sleep 1 & wait $!
done
