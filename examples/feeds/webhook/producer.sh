#!/bin/sh
# curl -N 'http://127.0.0.1:8080/v1/topics/shop/**' & sh producer.sh push weir
# EVENT REPOSITORY [ID]: what has happened in a repository, signed as GitHub does. curl sends it again while there is no answer, or 429 or 503.
body=$(printf '{"repository":"%s"}' "$2")
sum=$(printf %s "$body" | openssl dgst -sha256 -hmac "$(cat hook.secret)" -r | cut -d ' ' -f 1)
curl --silent --show-error --fail-with-body --retry 5 --retry-connrefused --max-time 15 --data-raw "$body" \
  -H 'Content-Type: application/json' -H "X-GitHub-Event: $1" -H "X-GitHub-Delivery: ${3:-$(openssl rand -hex 16)}" \
  -H "X-Hub-Signature-256: sha256=$sum" "${WEIR:-http://127.0.0.1:8080}/v1/hooks/repositories"
