#!/bin/sh
# researcher.sh ROUND WARD...: calls a round and prints what each ward uploaded for it.
set -eu
round=$1
shift
mosquitto_pub -h "$MQTT_BROKER" -p "$MQTT_BROKER_PORT" -i researcher -t rounds -m "$round"
for ward; do
  tries=0
  until curl -sS --fail --max-time 5 "http://$UPLOADS:$UPLOADS_PORT/$round/$ward" 2>/dev/null; do
    tries=$((tries + 1))
    [ $tries -lt 30 ] || { echo "$ward: nothing"; break; }
    sleep 0.1
  done
done
