# say.sh - how the scripts talk: numbered steps, notes, and one clear line when something cannot go on.

if [ -t 1 ]; then
	SAY_BOLD=$'\e[1m' SAY_RED=$'\e[31m' SAY_OFF=$'\e[0m'
else
	SAY_BOLD='' SAY_RED='' SAY_OFF=''
fi
SAY_STEP=0
SAY_STEPS=0

say_step() { # text: the next of SAY_STEPS steps begins
	SAY_STEP=$((SAY_STEP + 1))
	printf '%s[%d/%d]%s %s\n' "$SAY_BOLD" "$SAY_STEP" "$SAY_STEPS" "$SAY_OFF" "$1"
}

say_note() { printf '      %s\n' "$*"; }

die() { # one line on standard error, exit 1
	printf '%s%s:%s %s\n' "$SAY_RED" "${0##*/}" "$SAY_OFF" "$*" >&2
	exit 1
}

# run_logged LOG WHAT command...: output goes to LOG; on failure its tail is shown and the script ends.
run_logged() {
	local log=$1 what=$2
	shift 2
	if ! "$@" >>"$log" 2>&1 </dev/null; then
		tail -n 25 "$log" >&2
		die "$what failed; the whole log: $log"
	fi
}
