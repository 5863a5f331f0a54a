# home.sh - what a quickstart home holds beside keys and database: configuration, users, env. Needs say.sh, postgres.sh,
# ASSAY_TOP, ASSAY_HOME, ASSAY_BUILD, PORT, assay-merge in PATH. Files are rewritten only when their content changes;
# assay.json and profiles are the operator's to change: made/ keeps them as quickstart made them last.

HOME_MODULE=/usr/lib/softhsm/libsofthsm2.so

home_write() { # file, mode: standard input becomes the file, atomically; HOME_CHANGED=1 if that changed anything
	local file=$1 mode=$2
	(umask 077 && cat >"$file.new")
	if cmp -s "$file.new" "$file"; then
		rm "$file.new"
	else
		chmod "$mode" "$file.new"
		mv "$file.new" "$file"
		HOME_CHANGED=1
	fi
}

# file (from the home), mode, keys that stay quickstart's: standard input is how it would be made now. What somebody has
# changed since it was made stays (assay-merge). Homes of before made/ was: the file is set aside.
home_made() {
	local name=$1 mode=$2 file=$ASSAY_HOME/$1 made=$ASSAY_HOME/made/$1 notes line
	shift 2
	mkdir -p "${made%/*}"
	(umask 077 && cat >"$made.new")
	if [ -e "$file" ] && [ ! -e "$made" ] && ! cmp -s "$file" "$made.new"; then
		cp -p "$file" "$file.before"
		say_note "$name was of an earlier version and is made anew; as it was: $name.before"
	fi
	if [ ! -e "$file" ] || [ ! -e "$made" ] || cmp -s "$file" "$made"; then
		home_write "$file" "$mode" <"$made.new"
	else
		notes=$(umask 077 && assay-merge "$made" "$file" "$made.new" "$@" 2>&1 >"$made.merged") || die "$notes"
		[ -z "$notes" ] || while read -r line; do say_note "$line"; done <<<"$notes"
		home_write "$file" "$mode" <"$made.merged"
		rm "$made.merged"
	fi
	mv "$made.new" "$made"
}

# What one role alone may read lies in a folder of its own, so that Landlock can open the folder and a file in it can be
# replaced by renaming. Earlier homes had these elsewhere.
home_apart() {
	if [ -e "$ASSAY_HOME/tls/admin.key" ]; then
		mkdir -p "$ASSAY_HOME/tls-admin"
		mv "$ASSAY_HOME/tls/admin.pem" "$ASSAY_HOME/tls/admin.key" "$ASSAY_HOME/tls-admin"
		HOME_CHANGED=1
	fi
	if [ -e "$ASSAY_HOME/users.json" ]; then
		mv "$ASSAY_HOME/users.json" "$ASSAY_HOME/users/users.json"
		HOME_CHANGED=1
	fi
}

home_folders() {
	local folder
	mkdir -p "$ASSAY_HOME"
	chmod 755 "$ASSAY_HOME" # the user postgres has to pass; what is secret has modes of its own
	for folder in log run state profiles users; do
		mkdir -p "$ASSAY_HOME/$folder"
	done
	home_apart
	mkdir -p -m 700 "$ASSAY_HOME/secrets" "$ASSAY_HOME/token"
	home_write "$ASSAY_HOME/softhsm2.conf" 644 <<-END
		directories.tokendir = $ASSAY_HOME/token
		objectstore.backend = file
		log.level = ERROR
		slots.removable = false
	END
}

# Sockets of the roles: a path short enough for sockaddr_un, whatever the home's.
home_run_dir() {
	if [ "$(printf %s "$ASSAY_HOME/run" | wc -c)" -le 80 ]; then
		printf %s "$ASSAY_HOME/run"
	else
		local dir
		dir=/tmp/assay-run-$(id -u)-$(pg_hash)
		mkdir -p -m 700 "$dir"
		[ -O "$dir" ] || die "$dir belongs to somebody else; use a shorter ASSAY_HOME than $ASSAY_HOME"
		printf %s "$dir"
	fi
}

home_config() {
	local config
	config=$(home_config_text)
	home_made assay.json 600 est.listeners.est.port admin.port status.port <<<"$config"
}

home_config_text() {
	cat <<-END
		{
		  "node": "quickstart",
		  "home": "quickstart",
		  "state_dir": "state",
		  "run_dir": "$(home_run_dir)",
		  "log_level": "info",
		  "est": {
		    "listeners": [ { "name": "est", "address": "127.0.0.1", "port": $PORT, "connections": 6000, "idle_s": 60,
		      "per_address": 0, "handshakes_s": 0 } ],
		    "certificate": "tls/est.pem",
		    "key": "tls/est.key",
		    "default_label": "line",
		    "realm": "assay",
		    "nonce_key": "secrets/nonce.key"
		  },
		  "admin": { "address": "127.0.0.1", "port": $((PORT + 1)), "certificate": "tls-admin/admin.pem", "key": "tls-admin/admin.key",
		             "clients": "trust/operators.pem" },
		  "status": { "address": "127.0.0.1", "port": $((PORT + 2)), "url": "http://127.0.0.1:$((PORT + 2))",
		              "responder": "ocsp" },
		  "heads": { "key": "heads", "interval": "5s", "file": "state/heads.jsonl" },
		  "trust": { "rigs": "trust/rigs.pem" },
		  "evidence": [
		    { "format": "assay.1.1", "name": "quickstart software vendor", "roots": "vendor/root.pem", "software": true }
		  ],
		  "profiles": "profiles",
		  "users": "users/users.json",
		  "root": "ca/root.pem",
		  "issuers": [
		    { "name": "attested", "certificate": "ca/attested.pem", "key": "attested",
		      "level_min": "vouched", "level_max": "native", "validity_max": "10y", "crl_shards": 4 },
		    { "name": "unattested", "certificate": "ca/unattested.pem", "key": "unattested",
		      "level_min": "none", "level_max": "none", "validity_max": "10y" },
		    { "name": "idevid", "certificate": "ca/idevid.pem", "key": "idevid",
		      "level_min": "native", "level_max": "native", "validity_max": "none" },
		    { "name": "rigs", "certificate": "ca/rigs.pem", "key": "rigs", "for": "rigs",
		      "level_min": "none", "level_max": "none" },
		    { "name": "services", "certificate": "ca/services.pem", "key": "services", "for": "services",
		      "level_min": "none", "level_max": "none" }
		  ],
		  "token": { "module": "$HOME_MODULE", "label": "assay", "pin_file": "secrets/pin", "sessions": 4, "session_keys": true },
		  "ledger": {
		    "writer": "$(pg_conninfo assay_ca)",
		    "reader": "$(pg_conninfo assay_read)",
		    "retry_window": "7d"
		  }
		}
	END
}

home_profiles() {
	local file name
	for file in "$ASSAY_TOP"/deploy/profiles/*.json; do
		name=profiles/${file##*/}
		if [ -e "$ASSAY_HOME/made/$name" ] && [ ! -e "$ASSAY_HOME/$name" ]; then
			say_note "$name was taken away and stays so; to have it back: cp $file $ASSAY_HOME/profiles/"
		else
			home_made "$name" 644 <"$file"
		fi
	done
}

# The password is random, kept in the clear (0600) for ASSAY_USERPASS only; the daemon sees its hash.
home_users() {
	local secret=$ASSAY_HOME/secrets/legacy.password hash
	[ -s "$ASSAY_HOME/users/users.json" ] && [ -s "$secret" ] && return 0
	(umask 077 && openssl rand -hex 12 >"$secret")
	hash=$(assayd --hash-password <"$secret") || die "assayd --hash-password failed"
	home_write "$ASSAY_HOME/users/users.json" 600 <<-END
		[
		  { "user": "legacy", "hash": "$hash", "names": "legacy-*", "labels": ["unattested"] }
		]
	END
}

home_env_line() { printf 'export %s=%q\n' "$1" "$2"; }

home_env() {
	echo "# Source this: . $ASSAY_HOME/env"
	home_env_line ASSAY_HOME "$ASSAY_HOME"
	home_env_line ASSAY_EST_URL "https://127.0.0.1:$PORT"
	home_env_line ASSAY_ADMIN_URL "https://127.0.0.1:$((PORT + 1))"
	home_env_line ASSAY_STATUS_URL "http://127.0.0.1:$((PORT + 2))"
	home_env_line ASSAY_CACERT "$ASSAY_HOME/ca/root.pem"
	home_env_line ASSAY_RIG_CERT "$ASSAY_HOME/rig/rig.pem"
	home_env_line ASSAY_RIG_KEY "$ASSAY_HOME/rig/rig.key"
	home_env_line ASSAY_OPERATOR_CERT "$ASSAY_HOME/operator/operator.pem"
	home_env_line ASSAY_OPERATOR_KEY "$ASSAY_HOME/operator/operator.key"
	home_env_line ASSAY_AUDITOR_CERT "$ASSAY_HOME/operator/auditor.pem"
	home_env_line ASSAY_AUDITOR_KEY "$ASSAY_HOME/operator/auditor.key"
	home_env_line ASSAY_DATABASE_URL "$(pg_url assay_read)"
	home_env_line ASSAY_USERPASS "legacy:$(cat "$ASSAY_HOME/secrets/legacy.password")"
	home_env_line ASSAY_VENDOR_DIR "$ASSAY_HOME/vendor"
	home_env_line ASSAY_CONFIG "$ASSAY_HOME/assay.json"
	home_env_line PKCS11_MODULE "$HOME_MODULE"
	home_env_line SOFTHSM2_CONF "$ASSAY_HOME/softhsm2.conf"
	printf 'export PATH=%q:"$PATH"\n' "$ASSAY_BUILD/server:$ASSAY_BUILD:$ASSAY_BUILD/deploy"
}
