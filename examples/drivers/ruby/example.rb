# Syncs two tables through the gem sqlite3 (gem install sqlite3, or Debian's ruby-sqlite3).
#
# usage: ruby example.rb [FILE]    without FILE, in a temporary one
# environment: SYNCSCOPE_LIBRARY, the built library; SYNCSCOPE_BACKEND, the URL of its sync endpoint

require 'sqlite3'
require 'tmpdir'

SCHEMA = <<~SQL
  CREATE TABLE IF NOT EXISTS airlines (carrier TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS planes (tailnum TEXT PRIMARY KEY NOT NULL, manufacturer TEXT, model TEXT, seats INTEGER);
SQL

def connect(file)
  db = SQLite3::Database.new(file)
  db.enable_load_extension(true)
  db.load_extension(ENV.fetch('SYNCSCOPE_LIBRARY'))
  db.enable_load_extension(false)
  # A background sync writes through a connection of its own: wait for it rather than fail.
  db.busy_timeout = 5000
  db
end

def example(file)
  db = connect(file)
  # get_first_value gives the first column of the first row.
  puts "syncscope #{db.get_first_value('SELECT sync_version()')}, " \
       "SQLite #{db.get_first_value('SELECT sqlite_version()')}, sqlite3 #{SQLite3::VERSION} of Ruby #{RUBY_VERSION}"

  db.execute_batch(SCHEMA)
  db.get_first_value("SELECT sync_provider('airline-api', json_object('kind', 'watermelon', 'url', ?))",
                     [ENV.fetch('SYNCSCOPE_BACKEND')])
  db.get_first_value("SELECT sync_track('airlines')")
  db.get_first_value("SELECT sync_track('planes')")

  # The first sync runs in the background; the tables show its progress.
  db.get_first_value(%q(SELECT sync_start_scope('startup', '["reference-data"]')))
  state = db.get_first_value(<<~SQL)
    SELECT sync_entities('reference-data', 'airline-api', '["airlines","planes"]', '{"background":true}')->>'state'
  SQL
  puts "first sync: #{state}"
  sleep 0.05 while db.get_first_value("SELECT state FROM _syncScope WHERE id = 'startup'") == 'syncing'
  state, synced, failed = db.get_first_row("SELECT state, synced, failed FROM _syncScope WHERE id = 'startup'")
  puts "scope startup: #{state}, #{synced} synced, #{failed} failed"
  db.execute('SELECT entity, state, error FROM _syncStatus ORDER BY entity') do |entity, is, error|
    puts "status #{entity}: #{error || is}"
  end
  raise 'the first sync failed' unless state == 'synced'

  puts "rows: #{db.get_first_value('SELECT count(*) FROM airlines')} airlines, " \
       "#{db.get_first_value('SELECT count(*) FROM planes')} planes"

  # An edit is captured by itself; the next sync takes it to the backend and waits for the answer.
  db.execute('UPDATE planes SET seats = seats + 1 WHERE tailnum = ?', ['N10156'])
  db.execute('SELECT "table", key, changed FROM sync_pending') do |table, key, changed|
    puts "edited: #{table} #{key} #{changed}"
  end
  pushed = db.get_first_value(<<~SQL)
    SELECT sync_entities('reference-data', 'airline-api', '["airlines","planes"]')->>'pushed'
  SQL
  pending = db.get_first_value('SELECT count(*) FROM sync_pending')
  puts "second sync: #{pushed} pushed, #{pending} pending"
  raise 'the second sync failed' unless pending.zero?

  # A call that is wrong is an exception. (A sync that fails is not: see _syncStatus.error.)
  begin
    db.get_first_value(%q(SELECT sync_entities('reference-data', 'nope', '["planes"]')))
  rescue SQLite3::Exception => e
    puts "refused: #{e.message}"
  end

  # Closing stops a sync that is under way; the next sync makes up for it.
  db.get_first_value(<<~SQL)
    SELECT sync_entities('reference-data', 'airline-api', '["airlines","planes"]', '{"background":true}')
  SQL
  db.close
  puts 'closed'
end

if ARGV.empty?
  Dir.mktmpdir { |folder| example(File.join(folder, 'app.db')) }
else
  example(ARGV[0])
end
