<?php // curl -N 'http://127.0.0.1:8080/v1/topics/machine/disk?since=start'
// weir runs this, and runs it again when it has ended. Each line is a message. The newest is the state of its topic, with which a reader begins.
while (true) {
    echo json_encode(['free' => disk_free_space('.'), 'total' => disk_total_space('.')]), "\n";
    sleep(1);
}
