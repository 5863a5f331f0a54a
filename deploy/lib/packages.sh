# packages.sh - install what deploy/packages lists and this machine lacks. Needs say.sh; nothing is done when all is there.

packages_of() { # group...: the package names
	local groups=" $* "
	awk -v groups="$groups" '/^[a-z]/ && index(groups, " " $1 " ") { print $2 }' "$ASSAY_TOP/deploy/packages"
}

packages_missing() { # group...: those not installed, one a line
	local name
	for name in $(packages_of "$@"); do
		dpkg-query -W -f='${db:Status-Status}\n' "$name" 2>/dev/null | grep -qx installed || echo "$name"
	done
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		sudo -- "$@"
	fi
}

packages_apt() { # log, apt-get arguments: apt-get that never asks
	local log=$1
	shift
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120 "$@" \
		>>"$log" 2>&1 </dev/null
}

# Debian's package starts a cluster of its own on port 5432, which Assay has no use for: not on a machine without one.
packages_no_main_cluster() { # log
	local conf=/etc/postgresql-common/createcluster.conf
	[ -e /etc/postgresql ] && [ -n "$(ls -A /etc/postgresql)" ] && return 0
	packages_apt "$1" install --no-install-recommends postgresql-common || return 1
	as_root sed -i 's/^#\? *create_main_cluster *=.*/create_main_cluster = false/' "$conf"
}

# packages_install group...: ends the script with one line when it cannot; what apt-get said is kept then.
packages_install() {
	local log missing
	missing=$(packages_missing "$@")
	[ -n "$missing" ] || return 0
	missing=$(echo $missing)
	command -v apt-get >/dev/null || die "this is not Debian; install the equivalents of: $missing"
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null || die "packages are missing and there is no sudo; as root: apt-get install $missing"
		sudo -n true 2>/dev/null || { [ -t 0 ] && sudo -v; } ||
			die "packages are missing and sudo refused; as root: apt-get install $missing"
	fi
	say_note "installing: $missing" | fold -s -w 110
	log=$(mktemp -t assay-apt-XXXXXX.log)
	packages_apt "$log" update || die "apt-get update failed (network? sources?); see $log"
	case " $missing " in
	*" postgresql-15 "*) packages_no_main_cluster "$log" || packages_failed "$log" "$missing" ;;
	esac
	# word splitting is meant: one argument a package
	# shellcheck disable=SC2086
	packages_apt "$log" install --no-install-recommends $missing || packages_failed "$log" "$missing"
	rm -f "$log"
}

packages_failed() { # log, names
	local why
	why=$(grep '^E: ' "$1" | tail -n 1 || true)
	die "apt-get could not install what is missing (${why:-see the log}); log: $1; wanted: $2"
}
