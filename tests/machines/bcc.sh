#!/bin/sh
# Run the core tests with the BCC, LLVM, libbpf and Python of another Debian
# release, on the running kernel. The release is unpacked below ~/.cache and
# entered by chroot; nothing of it is installed on this machine.
#
#	tests/machines/bcc.sh SUITE [PYTEST-ARGUMENT...]
#
# SUITE is trixie (BCC 0.31), sid, or another that has BCC. Needs root and
# debootstrap. `tests/machines/kernels.sh clean` removes it.
set -eu
cd "$(dirname "$0")/../.."
. tests/machines/debian.sh

[ $# -gt 0 ] || usage
suite=$1
shift
tree=$cache/suites/$suite

# What the tests need: all from the release itself, so that pip fetches nothing.
packages="python3-venv python3-setuptools python3-bpfcc python3-tabulate python3-wcwidth
	python3-hypothesis python3-prometheus-client python3-pytest python3-pytest-timeout
	python3-pytest-xdist libbpf1 libbpf-dev clang llvm gcc libc6-dev musl-tools util-linux procps
	iproute2 locales"

unpack_release "$suite" "$tree" $packages

# A copy of the checkout as it is, without what was built for this release.
rm -rf "$tree/ebpf-tour"
mkdir "$tree/ebpf-tour"
tar -c --exclude=./.venv --exclude=./.git --exclude=./build --exclude=*.bpf.o . |
	tar -x -C "$tree/ebpf-tour"

# In a mount namespace of its own: when the command ends, the mounts are gone.
# /dev is bound for /dev/null and terminals, /run stays empty.
exec unshare --mount --propagation private sh -euc '
	tree=$1
	shift
	mount --bind "$tree" "$tree"
	mount -t proc proc "$tree/proc"
	mount --rbind /sys "$tree/sys"
	mount --rbind /dev "$tree/dev"
	mount -t tmpfs tmpfs "$tree/tmp"
	exec chroot "$tree" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
		CI="${CI-}" PYTHONDONTWRITEBYTECODE=1 sh -euc "
		cd /ebpf-tour
		python3 -m venv --system-site-packages .venv
		.venv/bin/pip install -q --no-index --no-deps --no-build-isolation -e .
		python3 -c \"import bcc; print(\\\"BCC\\\", bcc.__version__)\"
		exec tools/as_root.sh .venv/bin/python -m pytest -p no:cacheprovider \"\$@\"
		" sh "$@"
' sh "$tree" -n3 --maxschedchunk=1 -m "kernel and core" "$@"
