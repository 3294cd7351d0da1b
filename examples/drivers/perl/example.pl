#!/usr/bin/perl
# Syncs two tables through DBI and DBD::SQLite (cpan DBD::SQLite, or Debian's libdbd-sqlite3-perl).
#
# usage: perl example.pl [FILE]    without FILE, in a temporary one
# environment: SYNCSCOPE_LIBRARY, the built library; SYNCSCOPE_BACKEND, the URL of its sync endpoint

use strict;
use warnings;
use DBI;
use File::Temp;
use Time::HiRes qw(sleep);

my @schema = (
    'CREATE TABLE IF NOT EXISTS airlines (carrier TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL)',
    'CREATE TABLE IF NOT EXISTS planes (tailnum TEXT PRIMARY KEY NOT NULL, manufacturer TEXT, model TEXT, seats INTEGER)',
);

sub connect_to {
    my ($file) = @_;
    # AutoCommit: a sync refuses to wait inside a transaction.
    my $db = DBI->connect("dbi:SQLite:dbname=$file", '', '', { AutoCommit => 1, RaiseError => 1, PrintError => 0 });
    $db->sqlite_enable_load_extension(1);
    $db->sqlite_load_extension($ENV{SYNCSCOPE_LIBRARY});
    $db->sqlite_enable_load_extension(0);
    return $db;
}

sub example {
    my ($file) = @_;
    my $db = connect_to($file);
    # The first column of the only row.
    my $one = sub { my ($sql, @values) = @_; return ($db->selectrow_array($sql, undef, @values))[0] };
    printf "syncscope %s, SQLite %s, DBD::SQLite %s of Perl %vd\n",
        $one->('SELECT sync_version()'), $db->{sqlite_version}, $DBD::SQLite::VERSION, $^V;

    $db->do($_) for @schema;
    $one->(q{SELECT sync_provider('airline-api', json_object('kind', 'watermelon', 'url', ?))},
        $ENV{SYNCSCOPE_BACKEND});
    $one->(q{SELECT sync_track('airlines')});
    $one->(q{SELECT sync_track('planes')});

    # The first sync runs in the background; the tables show its progress.
    $one->(q{SELECT sync_start_scope('startup', '["reference-data"]')});
    my $first = $one->(q{SELECT sync_entities('reference-data', 'airline-api', '["airlines","planes"]',
                                              '{"background":true}')->>'state'});
    print "first sync: $first\n";
    sleep 0.05 while $one->(q{SELECT state FROM _syncScope WHERE id = 'startup'}) eq 'syncing';
    my ($state, $synced, $failed) =
        $db->selectrow_array(q{SELECT state, synced, failed FROM _syncScope WHERE id = 'startup'});
    print "scope startup: $state, $synced synced, $failed failed\n";
    for my $row (@{ $db->selectall_arrayref('SELECT entity, state, error FROM _syncStatus ORDER BY entity') }) {
        my ($entity, $is, $error) = @$row;
        print "status $entity: ", $error // $is, "\n";
    }
    die "the first sync failed\n" if $state ne 'synced';
    print 'rows: ', $one->('SELECT count(*) FROM airlines'), ' airlines, ',
        $one->('SELECT count(*) FROM planes'), " planes\n";

    # An edit is captured by itself; the next sync takes it to the backend and waits for the answer.
    $db->do('UPDATE planes SET seats = seats + 1 WHERE tailnum = ?', undef, 'N10156');
    for my $row (@{ $db->selectall_arrayref('SELECT "table", key, changed FROM sync_pending') }) {
        print "edited: @$row\n";
    }
    my $pushed = $one->(q{SELECT sync_entities('reference-data', 'airline-api', '["airlines","planes"]')->>'pushed'});
    my $pending = $one->('SELECT count(*) FROM sync_pending');
    print "second sync: $pushed pushed, $pending pending\n";
    die "the second sync failed\n" if $pending;

    # A call that is wrong is an exception. (A sync that fails is not: see _syncStatus.error.)
    eval { $one->(q{SELECT sync_entities('reference-data', 'nope', '["planes"]')}); 1 }
        or print "refused: $@";

    # Closing stops a sync that is under way; the next sync makes up for it.
    $one->(q{SELECT sync_entities('reference-data', 'airline-api', '["airlines","planes"]', '{"background":true}')});
    $db->disconnect;
    print "closed\n";
    return;
}

# The folder is removed with the object.
my $folder = File::Temp->newdir;
example($ARGV[0] // "$folder/app.db");
