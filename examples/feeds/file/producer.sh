#!/bin/sh
# curl -N 'http://127.0.0.1:8080/v1/topics/logs/*' & sh producer.sh
# A backup writes ten lines, one a second. Halfway the log is rotated: no line is lost.
for n in $(seq 10); do
	echo "{\"message\":\"table $n is saved\",\"level_name\":\"NOTICE\",\"channel\":\"backup\"}" >>app.log
	if [ "$n" = 5 ]; then
		mv app.log app.log.1
	fi
	sleep 1
done
