// Syncs two tables through JDBC (org.xerial:sqlite-jdbc, see pom.xml).
//
// usage: java -cp sqlite-jdbc.jar Example.java [FILE]    without FILE, in a temporary one
// environment: SYNCSCOPE_LIBRARY, the built library; SYNCSCOPE_BACKEND, the URL of its sync endpoint

import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import org.sqlite.SQLiteConfig;
import org.sqlite.SQLiteConnection;

public class Example {
    private static final String[] SCHEMA = {
        "CREATE TABLE IF NOT EXISTS airlines (carrier TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL)",
        "CREATE TABLE IF NOT EXISTS planes"
            + " (tailnum TEXT PRIMARY KEY NOT NULL, manufacturer TEXT, model TEXT, seats INTEGER)",
    };

    private static Connection connect(String file) throws SQLException {
        var config = new SQLiteConfig();
        config.enableLoadExtension(true);
        var db = DriverManager.getConnection("jdbc:sqlite:" + file, config.toProperties());
        one(db, "SELECT load_extension(?)", System.getenv("SYNCSCOPE_LIBRARY"));
        db.unwrap(SQLiteConnection.class).getDatabase().enable_load_extension(false);
        return db;
    }

    /** The first column of the first row, as text. */
    private static String one(Connection db, String sql, String... parameters) throws SQLException {
        try (var statement = db.prepareStatement(sql)) {
            for (int i = 0; i < parameters.length; i++) {
                statement.setString(i + 1, parameters[i]);
            }
            try (var rows = statement.executeQuery()) {
                return rows.next() ? rows.getString(1) : null;
            }
        }
    }

    private static void example(String file) throws SQLException, InterruptedException {
        try (var db = connect(file)) {
            System.out.printf("syncscope %s, SQLite %s, sqlite-jdbc %s in Java %s%n", one(db, "SELECT sync_version()"),
                one(db, "SELECT sqlite_version()"), db.getMetaData().getDriverVersion(),
                System.getProperty("java.version"));
            try (var statement = db.createStatement()) {
                for (var table : SCHEMA) {
                    statement.executeUpdate(table);
                }
            }
            one(db, "SELECT sync_provider('airline-api', json_object('kind', 'watermelon', 'url', ?))",
                System.getenv("SYNCSCOPE_BACKEND"));
            one(db, "SELECT sync_track('airlines')");
            one(db, "SELECT sync_track('planes')");
            firstSync(db);
            secondSync(db);

            // A call that is wrong is an exception. (A sync that fails is not: see _syncStatus.error.)
            try {
                one(db, "SELECT sync_entities('reference-data', 'nope', '[\"planes\"]')");
            } catch (SQLException error) {
                System.out.println("refused: " + error.getMessage());
            }

            // Closing stops a sync that is under way; the next sync makes up for it.
            one(db, """
                SELECT sync_entities('reference-data', 'airline-api', '["airlines","planes"]', '{"background":true}')
                """);
        }
        System.out.println("closed");
    }

    /** In the background; the tables show its progress. */
    private static void firstSync(Connection db) throws SQLException, InterruptedException {
        one(db, "SELECT sync_start_scope('startup', '[\"reference-data\"]')");
        System.out.println("first sync: " + one(db, """
            SELECT sync_entities('reference-data', 'airline-api', '["airlines","planes"]',
                                 '{"background":true}')->>'state'
            """));
        while ("syncing".equals(one(db, "SELECT state FROM _syncScope WHERE id = 'startup'"))) {
            Thread.sleep(50);
        }
        String state;
        try (var statement = db.createStatement()) {
            try (var scope = statement.executeQuery(
                    "SELECT state, synced, failed FROM _syncScope WHERE id = 'startup'")) {
                scope.next();
                state = scope.getString(1);
                System.out.printf("scope startup: %s, %d synced, %d failed%n", state, scope.getInt(2), scope.getInt(3));
            }
            try (var rows = statement.executeQuery(
                    "SELECT entity, coalesce(error, state) FROM _syncStatus ORDER BY entity")) {
                while (rows.next()) {
                    System.out.printf("status %s: %s%n", rows.getString(1), rows.getString(2));
                }
            }
        }
        if (!state.equals("synced")) {
            throw new IllegalStateException("the first sync failed");
        }
        System.out.printf("rows: %s airlines, %s planes%n", one(db, "SELECT count(*) FROM airlines"),
            one(db, "SELECT count(*) FROM planes"));
    }

    /** An edit is captured by itself; the next sync takes it to the backend and waits for the answer. */
    private static void secondSync(Connection db) throws SQLException {
        try (var edit = db.prepareStatement("UPDATE planes SET seats = seats + 1 WHERE tailnum = ?")) {
            edit.setString(1, "N10156");
            edit.executeUpdate();
        }
        try (var statement = db.createStatement();
                var rows = statement.executeQuery("SELECT \"table\", key, changed FROM sync_pending")) {
            while (rows.next()) {
                System.out.printf("edited: %s %s %s%n", rows.getString(1), rows.getString(2), rows.getString(3));
            }
        }
        var pushed = one(db, """
            SELECT sync_entities('reference-data', 'airline-api', '["airlines","planes"]')->>'pushed'
            """);
        var pending = one(db, "SELECT count(*) FROM sync_pending");
        System.out.printf("second sync: %s pushed, %s pending%n", pushed, pending);
        if (!pending.equals("0")) {
            throw new IllegalStateException("the second sync failed");
        }
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments.length > 0) {
            example(arguments[0]);
            return;
        }
        var file = Files.createTempFile("syncscope-", ".db");
        try {
            example(file.toString());
        } finally {
            Files.delete(file);
        }
    }
}
