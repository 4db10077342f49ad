<?php
/** The events of a request, or null if it was not signed with $secret in the last five minutes. */
function weir_events(string $secret, array $server, string $body): ?array
{
    $id = $server['HTTP_WEBHOOK_ID'] ?? '';
    $time = $server['HTTP_WEBHOOK_TIMESTAMP'] ?? '';
    if (abs(time() - (int) $time) > 300) {
        return null;
    }
    $key = str_starts_with($secret, 'whsec_') ? base64_decode(substr($secret, 6)) : $secret;
    $want = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$time.$body", $key, true));
    foreach (explode(' ', $server['HTTP_WEBHOOK_SIGNATURE'] ?? '') as $signature) {
        if (hash_equals($want, $signature)) {
            return json_decode($body, true)['events'];
        }
    }
    return null;
}
