# shellcheck shell=bash disable=SC2034,SC2154
# For each driver: ready_NAME says whether it can be run, and how ($run); missing_NAME is what enables it.
# install_missing brings what is missing, for CI. Nothing here writes into the repository.

names='python_sqlite3 apsw better_sqlite3 node_sqlite go java ruby php perl tcl rusqlite'

missing_python_sqlite3="a python3 whose sqlite3 module can load extensions, e.g. Debian's"
ready_python_sqlite3() {
  local python
  for python in python3 /usr/bin/python3; do
    "$python" -c 'import sqlite3; sqlite3.Connection.enable_load_extension' 2>/dev/null || continue
    run=("$python" "$drivers/python/with_sqlite3.py")
    return
  done
  return 1
}

missing_apsw='python3 and: pip install apsw'
ready_apsw() {
  run=(env "PYTHONPATH=$downloads/python" python3)
  "${run[@]}" -c 'import apsw' 2>/dev/null && run+=("$drivers/python/with_apsw.py")
}

# Sets $node to a Node that has node:sqlite.
ready_node() {
  for node in node "$downloads/node/node_modules/.bin/node"; do
    "$node" -e 'require("node:sqlite")' 2>/dev/null && return
  done
  return 1
}

missing_better_sqlite3='Node 22.13 or newer and: cd examples/drivers/node && npm install'
ready_better_sqlite3() {
  ready_node || return
  run=(env "NODE_PATH=$drivers/node/node_modules:$downloads/node/node_modules" "$node")
  "${run[@]}" -e 'new (require("better-sqlite3"))(":memory:")' 2>/dev/null &&
    run+=("$drivers/node/with_better_sqlite3.js")
}

missing_node_sqlite='Node 22.13 or newer'
ready_node_sqlite() {
  ready_node && run=("$node" "$drivers/node/with_node_sqlite.js")
}

missing_go='Go 1.21 or newer, a C compiler and: cd examples/drivers/go && go mod download'
ready_go() {
  # SQLite without optimisation: it is compiled in a third of the time.
  (cd "$drivers/go" && GOPROXY=off CGO_ENABLED=1 CGO_CFLAGS='-O0' \
    go build -buildvcs=false -o "$work/go-example" .) 2>"$work/go.err" && run=("$work/go-example")
}

missing_java='a JDK of 17 or newer, Maven and: cd examples/drivers/java && mvn dependency:copy-dependencies'
ready_java() {
  copy_jar -o && javac -cp "$work/java/*" -d "$work/java" "$drivers/java/Example.java" 2>"$work/java.err" &&
    run=(java -cp "$work/java:$work/java/*" Example)
}
# copy_jar [OPTION]: the driver into $work/java.
copy_jar() {
  bounded 120 mvn -q -B "$@" -f "$drivers/java/pom.xml" dependency:copy-dependencies \
    -DoutputDirectory="$work/java" >"$work/maven.out" 2>&1
}

missing_ruby="Ruby and: gem install sqlite3, or Debian's ruby-sqlite3"
ready_ruby() {
  ruby -e 'require "sqlite3"; SQLite3::Database.instance_method(:load_extension)' 2>/dev/null &&
    run=(ruby "$drivers/ruby/example.rb")
}

missing_php="PHP with the class SQLite3, e.g. Debian's php-cli and php-sqlite3"
ready_php() {
  php -r 'exit(method_exists("SQLite3", "loadExtension") ? 0 : 1);' >/dev/null 2>&1 &&
    run=(php -d "sqlite3.extension_dir=$(dirname "$LIBRARY")" "$drivers/php/example.php")
}

missing_perl="Perl and: cpan DBD::SQLite, or Debian's libdbd-sqlite3-perl"
ready_perl() {
  perl -MDBD::SQLite -e 1 2>/dev/null && run=(perl "$drivers/perl/example.pl")
}

missing_tcl="Tcl 8.6 or newer with its package sqlite3, e.g. Debian's tcl and libsqlite3-tcl"
ready_tcl() {
  [ -n "$(echo 'puts [package require sqlite3]' | tclsh 2>/dev/null)" ] && run=(tclsh "$drivers/tcl/example.tcl")
}

missing_rusqlite='cargo build --example rusqlite'
ready_rusqlite() {
  [ -x "${RUSQLITE:-}" ] && run=("$RUSQLITE")
}

bounded() { # bounded SECONDS COMMAND ...
  if command -v timeout >/dev/null; then timeout -k 5 "$@"; else shift && "$@"; fi
}

# Debian's packages by apt-get, the rest by its own client into $downloads. What can't be had is skipped, which
# is a failure there; the client has said why.
install_missing() {
  local packages=
  ready_python_sqlite3 || packages="$packages python3"
  ready_ruby || packages="$packages ruby-sqlite3"
  ready_php || packages="$packages php-cli php-sqlite3"
  ready_perl || packages="$packages libdbd-sqlite3-perl"
  ready_tcl || packages="$packages tcl libsqlite3-tcl"
  python3 -m pip --version >/dev/null 2>&1 || packages="$packages python3-pip"
  command -v npm >/dev/null || packages="$packages npm"
  command -v go >/dev/null || packages="$packages golang-go"
  command -v javac >/dev/null || packages="$packages default-jdk-headless"
  command -v mvn >/dev/null || packages="$packages maven"
  # shellcheck disable=SC2086 # the packages are words
  [ -z "$packages" ] || apt_install $packages || true

  ready_apsw || bounded 120 python3 -m pip install -q --target "$downloads/python" apsw==3.54.1.0 || true
  mkdir -p "$downloads/node"
  cp "$drivers/node/package.json" "$downloads/node/"
  ready_better_sqlite3 || npm_install || true
  ready_node || npm_install --no-save node@24.21.0 || true
  ready_go || (cd "$drivers/go" && bounded 120 go mod download) || true
  ready_java || copy_jar || cat "$work/maven.out"
}

apt_install() {
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq)
  [ "$(id -u)" = 0 ] || apt=(sudo "${apt[@]}")
  echo "installing $*"
  { bounded 120 "${apt[@]}" update && bounded 300 "${apt[@]}" install -y "$@"; } >"$work/apt.out" 2>&1 && return
  tail -n 20 "$work/apt.out"
  return 1
}

npm_install() {
  bounded 180 npm install --prefix "$downloads/node" --no-audit --no-fund --no-package-lock --loglevel=error "$@" >/dev/null
}
