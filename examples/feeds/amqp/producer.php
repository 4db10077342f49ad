<?php // curl -N 'http://127.0.0.1:8080/v1/topics/exports/7' & php producer.php
// An export says how far it is, once a second. Until weir has created the exchange there is nowhere to send to.
require 'PhpAmqpLib/autoload.php'; // of Debian's php-amqplib; with Composer vendor/autoload.php
use PhpAmqpLib\Message\AMQPMessage;

$connection = new PhpAmqpLib\Connection\AMQPStreamConnection('127.0.0.1', 5672, 'guest', 'guest');
$channel = $connection->channel();
$channel->confirm_select();
for ($percent = 10; $percent <= 100; $percent += 10) {
    $channel->basic_publish(new AMQPMessage(json_encode(['id' => 7, 'percent' => $percent]), [
        'message_id' => bin2hex(random_bytes(16)), // so that it arrives once
        'delivery_mode' => AMQPMessage::DELIVERY_MODE_PERSISTENT,
    ]), 'exports', $percent < 100 ? 'progress' : 'done');
    $channel->wait_for_pending_acks(10); // the server has it
    sleep(1);
}
$connection->close();
