#!/bin/sh
# Run a command as root, with tracefs in its place:
#
#	tools/as_root.sh COMMAND [ARGUMENT...]
#
# Where tracefs is not mounted (systemd does that at boot, a minimal system may
# not), it is mounted in a mount namespace of the command's own, so that the
# machine stays as it was.
set -eu

if [ "$(id -u)" != 0 ]; then
	echo "Through sudo, since BPF programs need root: $*" >&2
	exec sudo env "PATH=$PATH" ${CI:+"CI=$CI"} "$0" "$@"
fi

if [ -d /sys/kernel/tracing/events ] || [ -d /sys/kernel/debug/tracing/events ]; then
	exec "$@"
fi
# A kernel that booted with lockdown=confidentiality has one without anything in it.
if grep -q ' /sys/kernel/tracing tracefs ' /proc/self/mounts; then
	exec "$@"
fi
echo "tracefs is not mounted: mounting it for this command only." >&2
# Only /sys is made private: in a chroot, / may be no mount that one could change.
exec unshare --mount --propagation unchanged sh -c \
	'mount --make-rprivate /sys && mount -t tracefs tracefs /sys/kernel/tracing && exec "$@"' \
	sh "$@"
