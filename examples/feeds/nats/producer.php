<?php // curl -N 'http://127.0.0.1:8080/v1/topics/shop/orders/*' & php producer.php
// Ten orders go to the stream, which answers when it has them on its disk. The protocol is text.
$nats = stream_socket_client('tcp://' . (getenv('NATS') ?: '127.0.0.1:4222')) or exit(1);
fgets($nats); // INFO
$inbox = '_INBOX.' . bin2hex(random_bytes(8));
fwrite($nats, "CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\nSUB $inbox 1\r\n");
for ($n = 1; $n <= 10; $n++) {
    $data = json_encode(['order' => $n, 'total' => mt_rand(100, 9999) / 100]);
    $headers = "NATS/1.0\r\nNats-Msg-Id: " . bin2hex(random_bytes(8)) . "\r\nType: created\r\n\r\n"; // the ID makes it safe to send it again
    fwrite($nats, sprintf("HPUB orders.%d %s %d %d\r\n%s\r\n", $n, $inbox, strlen($headers), strlen($headers . $data), $headers . $data));
    do {
        $line = fgets($nats);
        if ($line === "PING\r\n") {
            fwrite($nats, "PONG\r\n");
        }
    } while ($line === "PING\r\n");
    if (!is_string($line) || !str_starts_with($line, 'MSG ')) { // HMSG: there is no such stream
        exit("not stored: $line\n");
    }
    echo fgets($nats); // {"stream":"ORDERS","seq":1}, or an error
}
