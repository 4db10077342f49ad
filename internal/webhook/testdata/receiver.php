<?php
require __DIR__ . '/weir.php';
$events = weir_events(getenv('SECRET'), $_SERVER, file_get_contents('php://input'));
if ($events === null) {
    http_response_code(401);
    exit;
}
$lines = '';
foreach ($events as $event) {
    $lines .= $event['event'] . ' ' . $event['topic'] . ' ' . ($event['user'] ?? '') . ($event['data'] ?? '') . "\n";
}
file_put_contents(getenv('OUT'), $lines, FILE_APPEND);
http_response_code(204);
