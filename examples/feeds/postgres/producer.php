<?php // curl -N 'http://127.0.0.1:8080/v1/topics/orders/7' & php producer.php
$db = new PDO('pgsql:host=127.0.0.1;dbname=shop', 'shop', 'shop');
$db->beginTransaction();
// ... the application's own change: readers are told of it if, and only if, it is committed
$db->prepare('INSERT INTO outbox (topic, type, body) VALUES (?, ?, ?)')
    ->execute(['orders/7', 'paid', json_encode(['id' => 7, 'total' => 12.5])]);
$db->commit();
