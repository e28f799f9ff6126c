#!/bin/sh
# Install what is missing: system packages by the distribution's own client, and .venv for
# the Python side. Called by make; what is there already is left alone.
#
#	tools/setup.sh demo	what running the tools needs
#	tools/setup.sh test	what the tests need besides
#	tools/setup.sh kernels	what virtual machines with other kernels need besides
#	tools/setup.sh check	what lint and types need besides the first
#	tools/setup.sh deb	what building a package needs besides the first
#
# tools/ebpf_tour/base/packages.py knows what is needed, and its names.
set -eu
cd "$(dirname "$0")/.."

extra=""
case $1 in
test | kernels) extra="[test]" ;;
check) extra="[dev]" ;;
deb) extra="[sbom]" ;;
esac

as_root=""
[ "$(id -u)" = 0 ] || as_root="sudo"

client=""
for name in apt-get dnf zypper pacman apk; do
	command -v "$name" >/dev/null && client=$name && break
done

install() {
	echo "Installing packages${as_root:+, through sudo}: $*"
	case $client in
	apt-get)
		$as_root apt-get update -qq
		$as_root env DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -qq --no-install-recommends "$@"
		;;
	dnf) $as_root dnf install -y --quiet "$@" ;;
	zypper) $as_root zypper --non-interactive --quiet install "$@" ;;
	pacman) $as_root pacman -S --needed --noconfirm --quiet "$@" ;;
	apk) $as_root apk add --quiet "$@" ;;
	esac
}

# The distribution's Python, whatever else PATH may name: BCC's package is made
# for this one, and the virtual environment has to see it.
python=/usr/bin/python3
if ! [ -x $python ] && [ -n "$client" ]; then
	if [ "$client" = pacman ]; then install python; else install python3; fi
fi
missing=$($python -I tools/ebpf_tour/base/packages.py "$1" "$client")
case $client,$missing in
*,) ;;
,* | *"("*)
	echo "Install what is missing, then call make again; in brackets, Debian's names:" >&2
	echo "  $missing" >&2
	exit 69
	;;
*) install $missing ;;
esac

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
if [ -d "$unpacked" ] && ! [ -e build/prometheus ]; then
	mkdir -p build
	ln -sfn "$unpacked" build/prometheus
fi

if ! [ -x .venv/bin/python ]; then
	echo "Creating .venv"
	$python -m venv --system-site-packages .venv
	# It has a hook that Python imports at each start; builds bring their own.
	.venv/bin/pip uninstall -qq --yes setuptools
fi

stamp=".venv/installed$extra"
# Each extra brings what demo needs, so each stamp serves for demo. A test calls make install
# while others run the commands: pip would take these away for a moment.
if [ -z "$(find "$stamp"* -newer pyproject.toml -newer setup.py 2>/dev/null)" ]; then
	echo "Installing ebpf-tour$extra into .venv, with its programs compiled: about a minute"
	.venv/bin/pip install --quiet --disable-pip-version-check --editable ".$extra"
	touch "$stamp"
fi

# Someone may have told Python not to keep bytecode; compiling the tools anew at
# each start would double the time that takes.
.venv/bin/python -m compileall -q tools/ebpf_tour
