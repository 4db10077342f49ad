#!/bin/sh
# curl -N 'http://127.0.0.1:8080/v1/topics/orders/*' & sh producer.sh
# Three orders, each of which is placed, paid and sent. What is before the colon is the key: the order of an order's records is kept.
for type in placed paid sent; do
	for id in 7 8 9; do
		echo "$id:{\"id\":$id,\"status\":\"$type\"}"
	done | kcat -P -b 127.0.0.1:9092 -t orders -K: -H "type=$type"
	sleep 1
done
