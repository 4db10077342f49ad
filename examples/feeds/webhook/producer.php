<?php // curl -N 'http://127.0.0.1:8080/v1/topics/shop/**' & php producer.php paid 17
// TYPE ORDER [ID]: what an order is now, signed as Standard Webhooks says. Sent again with the same ID it is published once.
[, $type, $order] = $argv;
$id = $argv[3] ?? 'msg_' . bin2hex(random_bytes(12));
$body = json_encode(['type' => $type, 'order' => $order]);
$key = base64_decode(substr(trim(file_get_contents('hook.secret')), strlen('whsec_')));
for ($attempt = 1; $attempt <= 5; $attempt++, sleep($attempt)) {
    $time = time();
    $signature = base64_encode(hash_hmac('sha256', "$id.$time.$body", $key, true));
    $curl = curl_init((getenv('WEIR') ?: 'http://127.0.0.1:8080') . '/v1/hooks/shop');
    curl_setopt_array($curl, [CURLOPT_POSTFIELDS => $body, CURLOPT_RETURNTRANSFER => true, CURLOPT_TIMEOUT => 15, CURLOPT_HTTPHEADER => [
        'Content-Type: application/json', "webhook-id: $id", "webhook-timestamp: $time", "webhook-signature: v1,$signature",
    ]]);
    $answer = curl_exec($curl);
    $status = curl_getinfo($curl, CURLINFO_RESPONSE_CODE); // 0: there was no answer
    if ($status !== 0 && $status !== 429 && $status < 500) {
        break; // it is published, or never will be
    }
}
printf("%d %s\n", $status, trim((string) $answer));
exit($status === 200 ? 0 : 1);
