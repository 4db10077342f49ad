#!/bin/sh
# curl -N 'http://127.0.0.1:8080/v1/topics/exports/*' & sh producer.sh
# Three exports, each of which is begun, halfway and done.
for type in begun halfway done; do
	for id in 7 8 9; do
		amqp-publish --url amqp://guest:guest@127.0.0.1 --exchange exports --routing-key "$type" --persistent --body "{\"id\":$id}"
	done
	sleep 1
done
