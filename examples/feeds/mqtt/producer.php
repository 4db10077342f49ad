<?php // curl -N 'http://127.0.0.1:8080/v1/topics/sensors/*/temperature' & php producer.php
// Fifty sensors, each with a connection of its own, send a temperature ten times, once a second.
$sensors = [];
for ($n = 1; $n <= 50; $n++) {
    $sensors[$n] = popen("mosquitto_pub -h 127.0.0.1 -q 1 -t sensors/$n/temperature -l", 'w');
}
for ($round = 1; $round <= 10; $round++) {
    foreach ($sensors as $n => $sensor) {
        fwrite($sensor, json_encode(['id' => uniqid("$n-"), 'sensor' => $n, 'celsius' => mt_rand(180, 240) / 10]) . "\n");
        fflush($sensor);
    }
    sleep(1);
}
array_map('pclose', $sensors);
