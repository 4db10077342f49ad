<?php // curl -N 'http://127.0.0.1:8080/v1/topics/orders/7' & php producer.php
// A courier's position, once a second. kcat stays connected; each line is a record, its key before the tab.
$kafka = popen("kcat -P -b 127.0.0.1:9092 -t orders -K '\t' -H type=position -X linger.ms=5", 'w');
for ($i = 0; $i < 10; $i++) {
    fwrite($kafka, "7\t" . json_encode(['id' => 7, 'lat' => 52.52 + $i / 1000, 'lon' => 13.4]) . "\n");
    fflush($kafka);
    sleep(1);
}
exit(pclose($kafka)); // 0: the brokers have all of it
