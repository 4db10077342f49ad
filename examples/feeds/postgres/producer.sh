#!/bin/sh
# curl -N 'http://127.0.0.1:8080/v1/topics/orders/7' & sh producer.sh
psql postgres://shop:shop@127.0.0.1/shop -qc "INSERT INTO outbox (topic, type, body) VALUES ('orders/7', 'packed', '{\"id\":7}')"
