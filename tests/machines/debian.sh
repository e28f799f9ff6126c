# What kernels.sh, arm64.sh, bcc.sh and deb.sh share, read by them with the dot command:
# a cache, Debian's packages from the mirror that this machine uses anyway, and how a
# command gets into a guest and its result out of it.
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

# What is behind the plus of VERSION+PARAMETER.
parameter_of() {
	case $1 in *+*) echo "${1#*+}" ;; esac
}

# apt-get and apt-cache for the release $suite and the architecture $arch, with
# a sources list and package lists of their own, so that the machine's stay as
# they are. Nothing counts as installed.
apt() {
	command=$1
	shift
	"$command" -qq -o APT::Architecture="$arch" -o APT::Architectures="$arch" \
		-o Dir::Etc::SourceList="$cache/apt/$suite-$arch/sources" \
		-o Dir::Etc::SourceParts=/dev/null -o Dir::State::status=/dev/null \
		-o Dir::State::Lists="$cache/apt/$suite-$arch/lists" \
		-o Dir::Cache="$cache/apt/$suite-$arch/cache" -o APT::Sandbox::User=root "$@"
}

update_apt() {
	uri=$(mirror)
	mkdir -p "$cache/apt/$suite-$arch/lists/partial" \
		"$cache/apt/$suite-$arch/cache/archives/partial"
	echo "deb [signed-by=$keys] $uri $suite main" >"$cache/apt/$suite-$arch/sources"
	apt apt-get update
}

# download_kernel VERSION FLAVOUR DIRECTORY: the packages of the newest such
# kernel of $suite. Sets $release.
download_kernel() {
	# Up to 6.12 there is one package, linux-image-RELEASE. Later ones are
	# two, linux-binary-RELEASE and linux-modules-RELEASE.
	release=$(apt apt-cache pkgnames linux- |
		sed -nE "s/^linux-(image|binary)-($1\..*-$2)$/\2/p" |
		grep -Ev 'cloud|rt-' | sort -V | tail -n 1)
	[ -n "$release" ] || fail "$suite has no kernel $1 for $2" \
		"its newest kernel may be another one by now: change suite_of()"
	packages=$(apt apt-cache pkgnames linux- |
		grep -Fx -e "linux-image-$release" -e "linux-binary-$release" \
			-e "linux-modules-$release" -e "linux-headers-$release" \
			-e "linux-headers-${release%-"$2"}-common")
	echo "Fetching $release from $suite" >&2
	mkdir -p "$3"
	(cd "$3" && apt apt-get download $packages)
}

# unpack_release SUITE DIRECTORY PACKAGE...: a Debian release with some packages, unless it
# is there.
unpack_release() {
	suite=$1 tree=$2
	shift 2
	[ -e "$tree/complete" ] && return
	command -v debootstrap >/dev/null || fail "there is no debootstrap" \
		"apt install debootstrap"
	uri=$(mirror)
	echo "Unpacking $suite"
	rm -rf "$tree"
	mkdir -p "$tree"
	debootstrap --variant=minbase --keyring="$keys" --include="$(echo "$@" | tr ' ' ,)" \
		"$suite" "$tree" "$uri" >"$tree.log" 2>&1 ||
		fail "debootstrap of $suite failed" "see $tree.log"
	rm -f "$tree"/var/cache/apt/archives/*.deb
	touch "$tree/complete"
}

# open_box WORD...: make $box, the directory through which the command goes into
# a guest, and what it printed and its exit status come out.
open_box() {
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
}

# Print what the command in $box printed, and exit as it did.
end_as_box() {
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
