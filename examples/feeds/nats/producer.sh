#!/bin/bash
# curl -N 'http://127.0.0.1:8080/v1/topics/chat/**' & bash producer.sh
# Ten lines of a chat.
export LC_ALL=C # lengths are in bytes
address=${NATS:-127.0.0.1:4222}
exec 3<>"/dev/tcp/${address%:*}/${address#*:}"
read -r _ <&3 # INFO
printf 'CONNECT {"verbose":false}\r\n' >&3
for n in {1..10}; do
	line="line $n, grüß dich"
	printf 'PUB chat.lobby %d\r\n%s\r\n' "${#line}" "$line" >&3
done
printf 'PING\r\n' >&3
read -r answer <&3
[ "$answer" = $'PONG\r' ] # else it says what is wrong
