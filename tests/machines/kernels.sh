#!/bin/sh
# Run a command on another kernel: a virtual machine boots a Debian kernel over
# this machine's own files, so Python, BCC and libbpf stay and the kernel
# changes. Nothing is installed: packages are unpacked below ~/.cache.
#
#	tests/machines/kernels.sh fetch VERSION...
#	tests/machines/kernels.sh run VERSION -- COMMAND [ARGUMENT...]
#	tests/machines/kernels.sh clean
#
# VERSION is 5.10, 6.1, 6.12 or 7.2. COMMAND runs as root in the current
# directory, which is the only one that it can change. What it prints is shown
# at its end, and its exit status is the one of this script; a guest that dies
# without one, or takes longer than KERNELS_TIMEOUT (3600 s), is a failure.
# Needs qemu-system-x86, busybox-static, python3-venv, kmod and file.
set -eu
. "$(dirname "$0")/debian.sh"

apt=$cache/apt
vng=$cache/vng

# The Debian release that has the kernel.
suite_of() {
	case $1 in
	5.10) echo bullseye ;;
	6.1) echo bookworm ;;
	6.12) echo trixie ;;
	7.2) echo sid ;;
	*) usage ;;
	esac
}

# apt-get and apt-cache with a sources list and package lists of their own,
# so that the machine's stay as they are.
apt() {
	command=$1
	shift
	"$command" -qq -o Dir::Etc::SourceList="$apt/$suite.list" \
		-o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists="$apt/$suite" \
		-o Dir::Cache="$apt" -o APT::Architecture=amd64 \
		-o APT::Sandbox::User=root "$@"
}

fetch() {
	version=$1
	suite=$(suite_of "$version")
	kernel=$cache/kernels/$version
	[ -e "$kernel/complete" ] && return

	uri=$(mirror)
	mkdir -p "$apt/$suite/partial" "$apt/archives/partial"
	echo "deb [signed-by=$keys] $uri $suite main" >"$apt/$suite.list"
	apt apt-get update

	# Up to 6.12 there is one package, linux-image-RELEASE. Later ones are
	# two, linux-binary-RELEASE and linux-modules-RELEASE.
	release=$(apt apt-cache pkgnames linux- |
		sed -nE "s/^linux-(image|binary)-($version\..*-amd64)$/\2/p" |
		grep -Ev 'cloud|rt-' | sort -V | tail -n 1)
	[ -n "$release" ] || fail "$suite has no kernel $version" \
		"its newest kernel may be another one by now: change suite_of()"
	packages=$(apt apt-cache pkgnames linux- |
		grep -Fx -e "linux-image-$release" -e "linux-binary-$release" \
			-e "linux-modules-$release" -e "linux-headers-$release" \
			-e "linux-headers-${release%-amd64}-common")

	echo "Fetching $release from $suite" >&2
	rm -rf "$kernel"
	mkdir -p "$kernel/packages"
	(cd "$kernel/packages" && apt apt-get download $packages)
	for package in "$kernel"/packages/*.deb; do
		dpkg-deb -x "$package" "$kernel"
	done
	rm -r "$kernel/packages"
	# Newer packages have /lib merged into /usr/lib already.
	[ -e "$kernel/lib" ] || ln -s usr/lib "$kernel/lib"
	ln -s "$(cd "$kernel" && find . -name 'vmlinuz*' | head -n 1)" "$kernel/vmlinuz"
	# The packages' own links lead to the /usr/src of who installs them.
	ln -sfn "$kernel/usr/src/linux-headers-$release" "$kernel/lib/modules/$release/build"
	ln -sfn "$kernel/usr/src/linux-headers-${release%-amd64}-common" \
		"$kernel/lib/modules/$release/source"
	touch "$kernel/complete"
}

install_vng() {
	if ! [ -x "$vng/bin/vng" ]; then
		python3 -m venv "$vng"
		"$vng/bin/pip" install --quiet --disable-pip-version-check virtme-ng
	fi
	# A guest sees this machine's files through 9p, and vng has it read them
	# anew each time, BCC's 100 MB of libraries at each start. It may keep
	# what it has read: nobody installs anything meanwhile.
	script=$(echo "$vng"/lib/python3*/site-packages/virtme/mkinitramfs.py)
	grep -q cache=loose "$script" ||
		sed -i 's/access=any,msize=[0-9]*/&,cache=loose/' "$script"
}

run() {
	version=$1
	[ "$2" = -- ] || usage
	shift 2
	for need in qemu-system-x86_64 busybox file depmod; do
		command -v "$need" >/dev/null || fail "there is no $need" \
			"apt install qemu-system-x86 busybox-static file kmod"
	done
	fetch "$version"
	install_vng

	# The command goes in, and what it printed and its exit status come out,
	# through this directory: vng has no output without a terminal.
	box=$(mktemp -d "$cache/guest.XXXXXX")
	trap 'rm -rf "$box"' EXIT
	trap 'exit 130' INT TERM
	{
		echo "exec </dev/null >$(quote "$box/stdout") 2>$(quote "$box/stderr")"
		echo "cd $(quote "$PWD") &&"
		for word in "$@"; do quote "$word"; done
		echo
		echo "echo \$? >$(quote "$box/status")"
	} >"$box/command"

	# --verbose: the console has what the kernel says when it dies. Then the guest ends
	# at once (panic=-1). thread=single: both CPUs run in one thread of QEMU. With two,
	# one may run an instruction that the other one is just changing, and 7.2 died of
	# that in __schedule(), where perf_event_open(2) turns a static key on.
	# no_timer_check: at boot the kernel waits ten ticks for four of the timer, and panics
	# without them. On a busy machine the emulated timer may be later than that.
	PATH="$vng/bin:$PATH" timeout "${KERNELS_TIMEOUT:-3600}" \
		vng --run "$cache/kernels/$version/vmlinuz" --verbose --user root --disable-kvm \
		--memory 3G --cpus 2 --rwdir="$box" --rwdir="$PWD" \
		--append "lsm=lockdown,capability,bpf oops=panic panic=-1 no_timer_check" \
		--qemu-opts="-cpu Nehalem -accel tcg,thread=single" \
		-- sh "$box/command" </dev/null >"$box/console" 2>&1 || true
	# Neither is there if the guest has not come as far as the command.
	cat "$box/stdout" 2>/dev/null || true
	cat "$box/stderr" >&2 2>/dev/null || true
	if ! [ -s "$box/status" ]; then
		cat "$box/console" >&2
		fail "the guest with $version ended without a result" \
			"see what it printed above"
	fi
	exit "$(cat "$box/status")"
}

quote() {
	printf "'%s' " "$(printf %s "$1" | sed "s/'/'\\\\''/g")"
}

case ${1-} in
fetch)
	shift
	[ $# -gt 0 ] || usage
	install_vng
	for version in "$@"; do fetch "$version"; done
	;;
run)
	[ $# -ge 4 ] || usage
	shift
	run "$@"
	;;
clean) rm -rf "$cache/kernels" "$apt" "$vng" "$cache/suites" ;;
*) usage ;;
esac
