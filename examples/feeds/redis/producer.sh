#!/bin/sh
# curl -N 'http://127.0.0.1:8080/v1/topics/live/**' & sh producer.sh
# Ten times, once a second: an entry of the stream, an element of the list, a message to a channel.
for n in $(seq 10); do
	redis-cli XADD notices MAXLEN '~' 100000 '*' user 7 type unread data "{\"unread\":$n}"
	redis-cli RPUSH live-jobs "{\"id\":\"$$-$n\",\"job\":\"export\",\"percent\":${n}0}"
	redis-cli PUBLISH chat.lobby "line $n, grüß dich"
	sleep 1
done
