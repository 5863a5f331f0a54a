# daemon.sh - assayd of one home in the background. Needs say.sh, ASSAY_HOME, ASSAY_BUILD, PORT.

daemon_pid() { # prints the pid of this home's assayd, fails if it does not run
	local pid
	pid=$(cat "$ASSAY_HOME/assayd.pid" 2>/dev/null) || return 1
	{ tr '\0' '\n' <"/proc/$pid/cmdline"; } 2>/dev/null | grep -qxF "$ASSAY_HOME/assay.json" && echo "$pid"
}

daemon_ready() {
	[ "$(curl -s -o /dev/null -w '%{http_code}' --max-time 5 --noproxy '*' --cacert "$ASSAY_HOME/ca/root.pem" \
		--cert "$ASSAY_HOME/operator/operator.pem" --key "$ASSAY_HOME/operator/operator.key" \
		"https://127.0.0.1:$((PORT + 1))/readyz")" = 200 ]
}

daemon_start() {
	local log=$ASSAY_HOME/log/assayd.log pid deadline=$((SECONDS + 60))
	daemon_pid >/dev/null && return 0
	setsid "$ASSAY_BUILD/server/assayd" --config "$ASSAY_HOME/assay.json" </dev/null >>"$log" 2>&1 9>&- & # 9: the home's lock
	pid=$!
	echo "$pid" >"$ASSAY_HOME/assayd.pid"
	until daemon_ready; do
		kill -0 "$pid" 2>/dev/null || { tail -n 15 "$log" >&2; die "assayd ended while starting; its log: $log"; }
		[ "$SECONDS" -lt "$deadline" ] || { tail -n 15 "$log" >&2; die "assayd is not ready after 60 s; its log: $log"; }
		sleep 0.1
	done
}

daemon_stop() {
	local pid deadline=$((SECONDS + 40))
	pid=$(daemon_pid) || { rm -f "$ASSAY_HOME/assayd.pid"; return 0; }
	kill -TERM "$pid" 2>/dev/null || true
	# not kill -0: where nobody reaps (a container without an init), the process stays as a zombie
	while daemon_pid >/dev/null; do
		[ "$SECONDS" -lt "$deadline" ] || die "assayd (pid $pid) has not stopped after 40 s; its log: $ASSAY_HOME/log/assayd.log"
		sleep 0.05
	done
	rm -f "$ASSAY_HOME/assayd.pid"
}

port_taken() { # somebody answers there
	(exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

ports_free() { # before anything is made
	local port
	for port in "$PORT" $((PORT + 1)) $((PORT + 2)); do
		if port_taken "$port"; then
			die "port $port is taken; choose three free ports in a row with ASSAY_PORT_BASE, for example: ASSAY_PORT_BASE=18443 $0"
		fi
	done
}
