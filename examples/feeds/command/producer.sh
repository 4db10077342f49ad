#!/bin/sh
# curl -N 'http://127.0.0.1:8080/v1/topics/machine/load?since=start'
# weir runs this, and runs it again when it has ended. Each line is a message. The newest is the state of its topic, with which a reader begins.
while read -r one five fifteen _ </proc/loadavg; do
	echo "{\"load\":[$one,$five,$fifteen]}"
	sleep 1
done
