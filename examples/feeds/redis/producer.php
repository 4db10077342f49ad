<?php // curl -N 'http://127.0.0.1:8080/v1/topics/live/**' & php producer.php
// Ten times, once a second: an entry of the stream, an element of the list, a message to a channel. Redis is the class of php-redis.
$redis = new Redis();
$redis->connect('127.0.0.1');
for ($n = 1; $n <= 10; $n++) {
    $redis->xAdd('notices', '*', ['user' => 7, 'type' => 'unread', 'data' => json_encode(['unread' => $n])], 100000, true); // keeps about the newest 100,000
    $redis->rPush('live-jobs', json_encode(['id' => uniqid(), 'job' => 'export', 'percent' => 10 * $n]));
    $redis->publish('chat.lobby', "line $n, grüß dich");
    sleep(1);
}
