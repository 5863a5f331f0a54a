#!/bin/sh
# postgres.sh: private PostgreSQL clusters for tests; unix socket only, fsync on, gone with their directory.
#
#   postgres.sh start [DIR]        makes (or starts again) a cluster; prints its directory
#   postgres.sh stop DIR           stops it; `stop -m immediate DIR` as a crash would
#   postgres.sh destroy DIR        stops it and removes the directory
#   postgres.sh conninfo DIR ROLE  prints how to connect (ROLE: postgres, assay_owner, assay_ca, assay_read)
#   postgres.sh ledger [VERSION]   start, then a new database "assay", migrated; prints the directory
#   postgres.sh migrate [-t VERSION] DIR   goes on to that version of the schema, by default the newest
#
# PostgreSQL refuses to run as root: root runs it as the user postgres (or ASSAY_TEST_USER).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
user=${ASSAY_TEST_USER:-postgres}
for bin in ${PG_BINDIR:-} /usr/lib/postgresql/*/bin; do
	[ ! -x "$bin/initdb" ] || break
done
[ -x "$bin/initdb" ] || { echo "postgres.sh: no initdb in /usr/lib/postgresql/*/bin: install postgresql, or set PG_BINDIR" >&2; exit 1; }

as_user() {
	if [ "$(id -u)" -eq 0 ]; then
		setpriv --reuid "$user" --regid "$user" --init-groups "$@"
	else
		"$@"
	fi
}

start() {
	dir=$1
	if [ ! -d "$dir/data" ]; then
		as_user "$bin/initdb" -D "$dir/data" -U postgres --auth=trust -E UTF8 --locale=C.UTF-8 >"$dir/initdb.log" 2>&1 ||
			{ cat "$dir/initdb.log" >&2; exit 1; }
		cat >>"$dir/data/postgresql.conf" <<-CONF
			listen_addresses = ''
			unix_socket_directories = '$dir'
			max_connections = 40
			shared_buffers = 128MB
			log_min_messages = warning
		CONF
	fi
	(cd / && as_user "$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -w -s start) >/dev/null || { cat "$dir/log" >&2; exit 1; }
}

stop() {
	[ ! -f "$1/data/postmaster.pid" ] || (cd / && as_user "$bin/pg_ctl" -D "$1/data" -w -s -m "$2" stop)
}

# A migrate of an earlier day is the same program with fewer files beside it.
migrate() { # DIR VERSION ("": the newest)
	top=$here/../../sql
	if [ -n "$2" ]; then
		top=$(mktemp -d)
		mkdir "$top/migrations"
		cp "$here/../../sql/migrate" "$top"
		for file in "$here"/../../sql/migrations/*.sql; do
			number=${file##*/}
			[ "$(expr "${number%%_*}" + 0)" -gt "$2" ] || cp "$file" "$top/migrations"
		done
	fi
	"$top/migrate" "host=$1 dbname=assay user=postgres" >&2
	[ -z "$2" ] || rm -r "$top"
}

new_dir() {
	dir=$(mktemp -d "${TMPDIR:-/tmp}/assay-pg.XXXXXX")
	chmod 755 "$dir"
	[ "$(id -u)" -ne 0 ] || chown "$user" "$dir"
	echo "$dir"
}

case "${1:-}" in
start)
	dir=${2:-$(new_dir)}
	start "$dir"
	echo "$dir"
	;;
stop)
	mode=fast
	[ "$2" != -m ] || { mode=$3; shift 2; }
	stop "$2" "$mode"
	;;
destroy)
	[ -d "$2/data" ] || { echo "postgres.sh: $2 holds no cluster" >&2; exit 1; }
	stop "$2" immediate
	rm -rf "$2"
	;;
conninfo)
	echo "host=$2 dbname=assay user=$3"
	;;
ledger)
	dir=$(new_dir)
	start "$dir"
	psql -X -q -d "host=$dir dbname=postgres user=postgres" -c 'create database assay'
	migrate "$dir" "${2:-}"
	echo "$dir"
	;;
migrate)
	version=
	[ "$2" != -t ] || { version=$3; shift 2; }
	migrate "$2" "$version"
	;;
*)
	sed -n '2,11p' "$0" >&2
	exit 2
	;;
esac
