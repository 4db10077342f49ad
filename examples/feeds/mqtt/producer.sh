#!/bin/sh
# curl -N 'http://127.0.0.1:8080/v1/topics/sensors/*/temperature' & sh producer.sh
# Fifty sensors, each with a connection of its own, send a temperature ten times, once a second.
sensor() {
	for i in $(seq 10); do
		echo "{\"id\":\"$1-$$-$i\",\"sensor\":$1,\"celsius\":$((18 + ($1 + i) % 6)).$(($1 * i % 10))}"
		sleep 1
	done
}
for n in $(seq 50); do
	sensor "$n" | mosquitto_pub -h 127.0.0.1 -q 1 -t "sensors/$n/temperature" -l &
done
wait
