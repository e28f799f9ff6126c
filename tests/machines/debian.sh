# What kernels.sh and bcc.sh share, read by them with the dot command: a
# cache, and the Debian mirror that this machine uses anyway.
PATH=$PATH:/usr/sbin:/sbin
cache=${XDG_CACHE_HOME:-$HOME/.cache}/ebpf-tour
keys=/usr/share/keyrings/debian-archive-keyring.gpg

usage() {
	sed -n 's/^#\t/usage: /p' "$0" >&2
	exit 2
}

fail() {
	echo "${0##*/}: error: $1" >&2
	echo "hint: $2" >&2
	exit 1
}

# The mirror that this machine takes its own Debian packages from.
mirror() {
	uri=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' \
		'Created-By: Packages' | sed -n 's/^Debian Debian //p' | head -n 1)}
	[ -n "$uri" ] || fail "this machine's apt knows no Debian mirror" \
		"name one: DEBIAN_MIRROR=URI $0 ..."
	echo "$uri"
}
