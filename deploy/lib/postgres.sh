# postgres.sh - the private PostgreSQL cluster of one home. Needs say.sh and ASSAY_HOME.
#
# It listens on a Unix socket only and asks everybody for a password; passwords are random and live in
# secrets/<role>.pgpass (0600). PostgreSQL refuses to run as root: started by root, the cluster belongs to the system
# user postgres that Debian's package made.

PG_BIN=/usr/lib/postgresql/15/bin
PG_ROLES='postgres assay_owner assay_ca assay_read'
PG_SOCKET_MAX=107 # bytes in sockaddr_un

pg_as() { # run as the user that owns the cluster
	if [ "$(id -u)" = 0 ]; then
		(cd / && runuser -u postgres -- "$@")
	else
		(cd / && "$@")
	fi
}

pg_hash() { printf %s "$ASSAY_HOME" | sha256sum | cut -c1-12; }

# Sets PG_BASE (data/, run/, postgres.log), PG_DATA, PG_SOCKET.
pg_locate() {
	PG_BASE=$ASSAY_HOME/postgres
	if [ -L "$PG_BASE" ]; then
		PG_BASE=$(readlink "$PG_BASE")
	elif [ ! -e "$PG_BASE" ] && [ "$(id -u)" = 0 ] && id -u postgres >/dev/null 2>&1 && ! pg_as test -x "$ASSAY_HOME"; then
		PG_BASE=/var/lib/assay-$(pg_hash)
	fi
	PG_DATA=$PG_BASE/data
	PG_SOCKET=$PG_BASE/run
	if [ "$(printf %s "$PG_SOCKET/.s.PGSQL.5432" | wc -c)" -gt "$PG_SOCKET_MAX" ]; then
		PG_SOCKET=/tmp/assay-$(id -u)-$(pg_hash)
	fi
}

pg_conninfo() { # role: for libpq and for assay.json
	printf "host='%s' port=5432 dbname=assay user=%s passfile='%s'" "$PG_SOCKET" "$1" "$ASSAY_HOME/secrets/$1.pgpass"
}

pg_url_escape() { printf %s "$1" | sed 's/%/%25/g; s/ /%20/g; s/?/%3F/g; s/#/%23/g; s/&/%26/g; s/+/%2B/g; s,/,%2F,g'; }

pg_url() { # role: for psql
	printf 'postgresql://%s@/assay?host=%s&port=5432&passfile=%s' "$1" "$(pg_url_escape "$PG_SOCKET")" \
		"$(pg_url_escape "$ASSAY_HOME/secrets/$1.pgpass")"
}

pg_running() { [ -f "$PG_DATA/PG_VERSION" ] && pg_as "$PG_BIN/pg_ctl" -D "$PG_DATA" status >/dev/null 2>&1; }

pg_password() { cut -d: -f5 "$ASSAY_HOME/secrets/$1.pgpass"; }

pg_passwords() { # one file a role, kept once made
	local role file
	for role in $PG_ROLES; do
		file=$ASSAY_HOME/secrets/$role.pgpass
		[ -s "$file" ] || (umask 077 && printf '*:*:*:%s:%s\n' "$role" "$(openssl rand -hex 16)" >"$file.new" && mv "$file.new" "$file")
	done
}

pg_folders() {
	mkdir -p "$PG_BASE" "$PG_SOCKET"
	if [ "$PG_BASE" != "$ASSAY_HOME/postgres" ]; then
		[ -L "$ASSAY_HOME/postgres" ] || ln -s "$PG_BASE" "$ASSAY_HOME/postgres"
		say_note "the user postgres cannot reach $ASSAY_HOME: the cluster lives in $PG_BASE"
	fi
	if [ "$(id -u)" = 0 ]; then
		chown postgres: "$PG_BASE" "$PG_SOCKET"
	fi
	chmod 755 "$PG_BASE" "$PG_SOCKET" # the socket asks for a password
}

pg_settings() {
	cat <<-END
		# Written by deploy/quickstart: durable always, few checkpoints, no network.
		listen_addresses = ''
		unix_socket_directories = '"$PG_SOCKET"'
		port = 5432
		fsync = on
		synchronous_commit = on
		full_page_writes = on
		wal_compression = lz4
		max_wal_size = 2GB
		min_wal_size = 2GB  # what was made once is used again, after a quiet night too
		checkpoint_timeout = 15min
		password_encryption = scram-sha-256
		timezone = 'UTC'
		lc_messages = 'C'
	END
}

# Into a folder of its own that is renamed when whole, so that an interrupted run leaves nothing to trip over.
pg_init() { # log
	local pwfile=$PG_BASE/pwfile
	[ -f "$PG_DATA/PG_VERSION" ] && return 0
	pg_as rm -rf "$PG_BASE/data.new" "$pwfile"
	(umask 077 && pg_password postgres | pg_as sh -c 'umask 077; cat >"$1"' sh "$pwfile")
	run_logged "$1" "initdb" pg_as "$PG_BIN/initdb" -D "$PG_BASE/data.new" -U postgres --pwfile="$pwfile" \
		--auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --data-checksums
	pg_as rm -f "$pwfile"
	pg_settings | pg_as sh -c 'cat >>"$1"' sh "$PG_BASE/data.new/postgresql.conf"
	echo 'local all all scram-sha-256' | pg_as sh -c 'cat >"$1"' sh "$PG_BASE/data.new/pg_hba.conf"
	pg_as mv "$PG_BASE/data.new" "$PG_DATA"
}

pg_start() { # log
	pg_running && return 0
	run_logged "$1" "starting PostgreSQL (see $PG_BASE/postgres.log)" pg_as "$PG_BIN/pg_ctl" -D "$PG_DATA" -l "$PG_BASE/postgres.log" -w -t 60 start 9>&-
}

pg_stop() {
	pg_running || return 0
	pg_as "$PG_BIN/pg_ctl" -D "$PG_DATA" -m fast -w -t 60 stop >/dev/null
}

pg_sql() { # role, database, psql arguments; SQL on standard input
	local role=$1 database=$2
	shift 2
	PGPASSFILE=$ASSAY_HOME/secrets/$role.pgpass psql -X -q -A -t -v ON_ERROR_STOP=1 \
		-h "$PG_SOCKET" -p 5432 -U "$role" -d "$database" "$@"
}

# Roles and the database; passwords go over standard input, so that no process list shows them.
pg_roles() { # log
	local role
	for role in assay_owner assay_ca assay_read; do
		cat <<-END
			SELECT 'CREATE ROLE $role LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '$role') \\gexec
			ALTER ROLE $role PASSWORD '$(pg_password "$role")';
		END
	done | pg_sql postgres postgres >>"$1" 2>&1 || die "making the database roles failed; see $1"
	pg_sql postgres postgres >>"$1" 2>&1 <<-'END' || die "making the database failed; see $1"
		SELECT 'CREATE DATABASE assay OWNER assay_owner' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'assay') \gexec
	END
}
