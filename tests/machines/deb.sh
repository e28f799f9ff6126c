#!/bin/sh
# Install the Debian package in a fresh Debian release, use it, check it with lintian, and
# remove it: nothing may be left. On the running kernel.
#
#	tests/machines/deb.sh SUITE PACKAGE
#
# SUITE is bookworm, trixie or a later one. Needs root and debootstrap. The release is
# unpacked below ~/.cache, and entered through an overlay that is gone afterwards, so that
# it is fresh each time. `tests/machines/kernels.sh clean` removes it.
set -eu
suite=$1
package=$(realpath "$2")
cd "$(dirname "$0")/../.."
. tests/machines/debian.sh

tree=$cache/suites/$suite-fresh

# What the man page, the search in it, and the completion are shown by.
unpack_release "$suite" "$tree" man-db bash-completion

overlay=$(mktemp -d "$cache/overlay.XXXXXX")
trap 'rm -rf "$overlay"' EXIT
trap 'exit 130' INT TERM
mkdir "$overlay/upper" "$overlay/work" "$overlay/root"

# In a mount namespace of its own: when the command ends, the mounts are gone.
unshare --mount --propagation private sh -euc '
	tree=$1 overlay=$2 package=$3 script=$4
	root=$overlay/root
	mount -t overlay -o "lowerdir=$tree,upperdir=$overlay/upper,workdir=$overlay/work" \
		overlay "$root"
	mount -t proc proc "$root/proc"
	mount --rbind /sys "$root/sys"
	mount --rbind /dev "$root/dev"
	mount -t tmpfs tmpfs "$root/tmp"
	cp /etc/resolv.conf "$root/etc/resolv.conf"
	cp "$package" "$script" "$root/tmp"
	exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
		http_proxy="${http_proxy-}" DEBIAN_FRONTEND=noninteractive \
		bash "/tmp/${script##*/}" "/tmp/${package##*/}"
' sh "$tree" "$overlay" "$package" "$PWD/tests/machines/deb_inside.sh"
