<?php
// Syncs two tables through PHP's class SQLite3.
//
// usage: php -d sqlite3.extension_dir=FOLDER example.php [FILE]    without FILE, in a temporary one
// FOLDER is the one the built library lies in: PHP loads from nowhere else, and it can't be set later.
// environment: SYNCSCOPE_LIBRARY, the built library; SYNCSCOPE_BACKEND, the URL of its sync endpoint

const SCHEMA = <<<'SQL'
    CREATE TABLE IF NOT EXISTS airlines (carrier TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS planes (tailnum TEXT PRIMARY KEY NOT NULL, manufacturer TEXT, model TEXT, seats INTEGER);
    SQL;

function example(string $file): void
{
    $db = new SQLite3($file);
    $db->enableExceptions(true);
    $db->loadExtension(basename(getenv('SYNCSCOPE_LIBRARY')));
    // A background sync writes through a connection of its own: wait for it rather than fail.
    $db->busyTimeout(5000);
    // querySingle gives the first column of the first row. query() with fetchArray() runs a SELECT twice.
    printf("syncscope %s, SQLite %s, SQLite3 of PHP %s\n",
        $db->querySingle('SELECT sync_version()'), SQLite3::version()['versionString'], PHP_VERSION);

    $db->exec(SCHEMA);
    $url = SQLite3::escapeString(getenv('SYNCSCOPE_BACKEND'));
    $db->querySingle("SELECT sync_provider('airline-api', json_object('kind', 'watermelon', 'url', '$url'))");
    $db->querySingle("SELECT sync_track('airlines')");
    $db->querySingle("SELECT sync_track('planes')");

    // The first sync runs in the background; the tables show its progress.
    $db->querySingle("SELECT sync_start_scope('startup', '[\"reference-data\"]')");
    $state = $db->querySingle(<<<'SQL'
        SELECT sync_entities('reference-data', 'airline-api', '["airlines","planes"]', '{"background":true}')->>'state'
        SQL);
    echo "first sync: $state\n";
    while ($db->querySingle("SELECT state FROM _syncScope WHERE id = 'startup'") === 'syncing') {
        usleep(50_000);
    }
    $scope = $db->querySingle("SELECT state, synced, failed FROM _syncScope WHERE id = 'startup'", true);
    echo "scope startup: {$scope['state']}, {$scope['synced']} synced, {$scope['failed']} failed\n";
    $statuses = $db->query('SELECT entity, state, error FROM _syncStatus ORDER BY entity');
    while ($status = $statuses->fetchArray(SQLITE3_ASSOC)) {
        echo "status {$status['entity']}: ", $status['error'] ?? $status['state'], "\n";
    }
    $statuses->finalize();
    if ($scope['state'] !== 'synced') {
        throw new RuntimeException('the first sync failed');
    }
    printf("rows: %d airlines, %d planes\n",
        $db->querySingle('SELECT count(*) FROM airlines'), $db->querySingle('SELECT count(*) FROM planes'));

    // An edit is captured by itself; the next sync takes it to the backend and waits for the answer.
    $edit = $db->prepare('UPDATE planes SET seats = seats + 1 WHERE tailnum = ?');
    $edit->bindValue(1, 'N10156');
    $edit->execute()->finalize();
    $edit->close();
    $rows = $db->query('SELECT "table", key, changed FROM sync_pending');
    while ($row = $rows->fetchArray(SQLITE3_ASSOC)) {
        echo "edited: {$row['table']} {$row['key']} {$row['changed']}\n";
    }
    $rows->finalize();
    $pushed = $db->querySingle(<<<'SQL'
        SELECT sync_entities('reference-data', 'airline-api', '["airlines","planes"]')->>'pushed'
        SQL);
    $pending = $db->querySingle('SELECT count(*) FROM sync_pending');
    echo "second sync: $pushed pushed, $pending pending\n";
    if ($pending !== 0) {
        throw new RuntimeException('the second sync failed');
    }

    // A call that is wrong is an exception. (A sync that fails is not: see _syncStatus.error.)
    try {
        $db->querySingle("SELECT sync_entities('reference-data', 'nope', '[\"planes\"]')");
    } catch (Exception $error) {
        echo "refused: {$error->getMessage()}\n";
    }

    // Closing stops a sync that is under way; the next sync makes up for it.
    $db->querySingle(<<<'SQL'
        SELECT sync_entities('reference-data', 'airline-api', '["airlines","planes"]', '{"background":true}')
        SQL);
    $db->close();
    echo "closed\n";
}

if (isset($argv[1])) {
    example($argv[1]);
} else {
    $file = tempnam(sys_get_temp_dir(), 'syncscope-');
    try {
        example($file);
    } finally {
        unlink($file);
    }
}
