#!/bin/sh
# Run a command on another kernel: a virtual machine boots a Debian kernel over
# this machine's own files, so Python, BCC and libbpf stay and the kernel
# changes. Nothing is installed: packages are unpacked below ~/.cache.
#
#	tests/machines/kernels.sh fetch VERSION...
#	tests/machines/kernels.sh run VERSION -- COMMAND [ARGUMENT...]
#	tests/machines/kernels.sh clean
#
# VERSION is 5.10, 6.1, 6.12 or 7.2, or one of those that arm64.sh boots:
# 6.1-arm64, 6.12-arm64, 6.12-arm64-16k. Behind a plus it may have a parameter for the
# kernel's command line: 6.1+lockdown=integrity. COMMAND runs as root in the current
# directory, which is the only one that it can change. What it prints is shown
# at its end, and its exit status is the one of this script; a guest that dies
# without one, or takes longer than KERNELS_TIMEOUT (3600 s), is a failure.
# Needs qemu-system-x86, busybox-static, python3-venv, kmod and file.
set -eu
here=$(dirname "$0")
. "$here/debian.sh"

vng=$cache/vng

fetch() {
	version=${1%%+*}
	kernel=$cache/kernels/$version
	case $version in *-arm64*)
		"$here/arm64.sh" fetch "$version"
		return
		;;
	esac
	[ -e "$kernel/complete" ] && return

	suite=$(suite_of "$version") arch=amd64
	rm -rf "$kernel"
	update_apt
	download_kernel "$version" amd64 "$kernel/packages"
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
		"$vng/bin/pip" install --quiet --disable-pip-version-check virtme-ng==1.42
	fi
	# A guest sees this machine's files through 9p, and vng has it read them
	# anew each time, BCC's 100 MB of libraries at each start. It may keep
	# what it has read: nobody installs anything meanwhile. The version is pinned, since
	# one of its files is edited.
	script=$(echo "$vng"/lib/python3*/site-packages/virtme/mkinitramfs.py)
	grep -q cache=loose "$script" ||
		sed -i 's/access=any,msize=[0-9]*/&,cache=loose/' "$script"
}

run() {
	[ "$2" = -- ] || usage
	case $1 in *-arm64*) exec "$here/arm64.sh" run "$@" ;; esac
	parameter=$(parameter_of "$1")
	version=${1%%+*}
	shift 2
	for need in qemu-system-x86_64 busybox file depmod; do
		command -v "$need" >/dev/null || fail "there is no $need" \
			"apt install qemu-system-x86 busybox-static file kmod"
	done
	fetch "$version"
	install_vng

	# vng has no output without a terminal: it goes through the box.
	open_box "$@"

	# --verbose: the console has what the kernel says when it dies. Then the guest ends
	# at once (panic=-1). thread=single: both CPUs run in one thread of QEMU. With two,
	# one may run an instruction that the other one is just changing, and 7.2 died of
	# that in __schedule(), where perf_event_open(2) turns a static key on.
	# no_timer_check: at boot the kernel waits ten ticks for four of the timer, and panics
	# without them. On a busy machine the emulated timer may be later than that.
	PATH="$vng/bin:$PATH" timeout "${KERNELS_TIMEOUT:-3600}" \
		vng --run "$cache/kernels/$version/vmlinuz" --verbose --user root --disable-kvm \
		--memory 3G --cpus 2 --rwdir="$box" --rwdir="$PWD" \
		--append "lsm=lockdown,capability,bpf oops=panic panic=-1 no_timer_check $parameter" \
		--qemu-opts="-cpu Nehalem -accel tcg,thread=single" \
		-- sh "$box/command" </dev/null >"$box/console" 2>&1 || true
	end_as_box
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
clean)
	rm -rf "$cache/kernels" "$cache/arm64" "$cache/apt" "$vng" "$cache/suites"
	;;
*) usage ;;
esac
