# ActiveRecord: most changes copy the table to another one and back (`alter_table`), columns are renamed directly.
require 'active_record'
require 'json'
require 'sqlite3'

FILE = 'active_record.db'
LIBRARY = ENV.fetch('SYNCSCOPE_LIBRARY')

def opened
  db = SQLite3::Database.new(FILE)
  db.enable_load_extension(true)
  db.load_extension(LIBRARY)
  db.enable_load_extension(false)
  db
end

def waiting(db)
  rows = db.execute('SELECT key, op, changed FROM sync_pending ORDER BY key')
  rows.map { |key, op, changed| [key, op, JSON.parse(changed || '[]').sort] }
end

def run(what, renamed: {}, gone: [], around: false)
  File.delete(FILE) if File.exist?(FILE)
  ActiveRecord::Base.establish_connection(adapter: 'sqlite3', database: FILE)
  connection = ActiveRecord::Base.connection
  connection.create_table(:task, id: :text) do |table|
    table.text :title, null: false
    table.text :note
    table.integer :done, null: false, default: 0
  end
  connection.disconnect!
  db = opened
  %w[a b c d e].each { |key| db.execute('INSERT INTO task VALUES (?, ?, NULL, 0)', [key, "title #{key}"]) }
  db.execute(%q(SELECT sync_track('task', '{"existing":"skip"}')))
  db.execute("UPDATE task SET title = 'edited' WHERE id = 'a'")
  db.execute("UPDATE task SET done = 1, note = 'x' WHERE id = 'b'")
  db.execute("DELETE FROM task WHERE id = 'c'")
  db.execute("INSERT INTO task VALUES ('n', 'new', NULL, 0)")
  db.execute('SELECT sync_capture_off()') if around
  db.close
  connection.reconnect!
  yield connection
  connection.disconnect!
  db = opened
  db.execute('SELECT sync_capture_on()') if around
  columns = ->(*names) { (names - gone).map { |name| renamed.fetch(name, name) }.sort }
  expected = [['a', 'updated', columns.('title')], ['b', 'updated', columns.('done', 'note')],
              ['c', 'deleted', []], ['n', 'created', []]]
  2.times do
    found = waiting(db)
    raise "#{what}: #{found} waits, not #{expected}" unless found == expected
    db.execute("SELECT sync_track('task')")
  end
  title = renamed.fetch('title', 'title')
  db.execute("UPDATE task SET #{title} = 'later' WHERE id = 'd'")
  raise "#{what}: later edits are not captured" unless waiting(db).include?(['d', 'updated', [title]])
  db.close
  puts "ok   ActiveRecord, #{what}"
end

run('a new column') { |connection| connection.add_column(:task, :extra, :text) }
run("a column's type") { |connection| connection.change_column(:task, :done, :text) }
run('null or not') { |connection| connection.change_column_null(:task, :title, true) }
run('a default') { |connection| connection.change_column_default(:task, :done, 7) }
run("a column's new name", renamed: { 'title' => 'heading' }) { |connection| connection.rename_column(:task, :title, :heading) }
run('an index') { |connection| connection.add_index(:task, :title) }
run('a column that goes, with capture off and on', gone: ['note'], around: true) do |connection|
  connection.remove_column(:task, :note)
end
