#!/bin/sh
# Install what is missing: system packages by apt, and .venv for the Python
# side. Called by make; what is there already is left alone.
#
#	tools/setup.sh demo	what running the tools needs
#	tools/setup.sh test	what the tests need besides
#	tools/setup.sh kernels	what virtual machines with other kernels need besides
#	tools/setup.sh check	what lint and types need besides the first
set -eu
cd "$(dirname "$0")/.."

packages="python3 python3-venv python3-bpfcc libbpf1 libbpf-dev clang llvm"
for_tests="man-db gcc libc6-dev musl-tools util-linux procps locales libjemalloc2 systemd"
for_kernels="qemu-system-x86 busybox-static kmod file"
extra=""
case $1 in
test) packages="$packages $for_tests" extra="[test]" ;;
kernels) packages="$packages $for_tests $for_kernels" extra="[test]" ;;
check) extra="[dev]" ;;
esac

as_root=""
[ "$(id -u)" = 0 ] || as_root="sudo"

missing=""
if command -v dpkg-query >/dev/null; then
	for package in $packages; do
		status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
		[ "$status" = installed ] || missing="$missing $package"
	done
elif ! command -v clang >/dev/null || ! command -v llvm-objcopy >/dev/null; then
	missing=" $packages"
fi

if [ -n "$missing" ]; then
	if ! command -v apt-get >/dev/null; then
		echo "This machine has no apt-get. Install what these Debian packages hold, then call make again:" >&2
		echo " $missing" >&2
		exit 69
	fi
	echo "Installing packages${as_root:+, through sudo}:$missing"
	$as_root apt-get update -qq
	$as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends $missing
fi

# A server that tests ask. Unpacked below the cache, not installed: its package would start it.
# With the Python client of the same release, the oldest one that the tools work with.
unpacked=${XDG_CACHE_HOME:-$HOME/.cache}/ebpf-tour/prometheus
if [ "$extra" = "[test]" ] && ! [ -d "$unpacked" ] && command -v dpkg-deb >/dev/null; then
	echo "Unpacking prometheus"
	mkdir -p "$unpacked.new"
	(
		cd "$unpacked.new"
		download="apt-get download -qq prometheus python3-prometheus-client python3-decorator"
		$download 2>/dev/null || { $as_root apt-get update -qq && $download; }
		for file in *.deb; do
			dpkg-deb -x "$file" .
		done
		rm ./*.deb
	)
	mv "$unpacked.new" "$unpacked"
fi
if [ -d "$unpacked" ]; then
	mkdir -p build
	ln -sfn "$unpacked" build/prometheus
fi

# The distribution's Python, whatever else PATH may name: BCC's package is made
# for this one, and the virtual environment has to see it.
if ! [ -x .venv/bin/python ]; then
	echo "Creating .venv"
	/usr/bin/python3 -m venv --system-site-packages .venv
	# It has a hook that Python imports at each start; builds bring their own.
	.venv/bin/pip uninstall -qq --yes setuptools
fi

stamp=".venv/installed$extra"
if [ -z "$(find "$stamp" -newer pyproject.toml -newer setup.py 2>/dev/null)" ]; then
	echo "Installing ebpf-tour$extra into .venv, with its programs compiled: about a minute"
	.venv/bin/pip install --quiet --disable-pip-version-check --editable ".$extra"
	touch "$stamp"
fi

# Someone may have told Python not to keep bytecode; compiling the tools anew at
# each start would double the time that takes.
.venv/bin/python -m compileall -q tools/ebpf_tour
