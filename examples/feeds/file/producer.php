<?php // curl -N 'http://127.0.0.1:8080/v1/topics/logs/*' & php producer.php
// A shop writes ten lines to its log, one a second, as the JsonFormatter of Monolog does.
for ($n = 1; $n <= 10; $n++) {
    $line = json_encode(['message' => "order $n was paid", 'level_name' => 'INFO', 'channel' => 'shop', 'datetime' => date(DATE_RFC3339_EXTENDED)]);
    file_put_contents('app.log', "$line\n", FILE_APPEND | LOCK_EX);
    sleep(1);
}
