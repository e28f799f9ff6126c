# What deb.sh runs in the fresh release, as root: deb_inside.sh PACKAGE.
set -euo pipefail
cd /root
package=$1

step() {
	echo "== $*"
}

# wanted TEXT COMMAND...: run it, and demand that it says so
wanted() {
	local text=$1 said
	shift
	said=$("$@" 2>&1) || { echo "$said" && echo "FAILED: $*" && exit 1; }
	if ! grep -qF -e "$text" <<<"$said"; then
		echo "$said"
		echo "FAILED: $* does not say: $text"
		exit 1
	fi
	echo "ok: $*"
}

files() {
	# Not what apt, dpkg and the indexes of other packages note. Nor /etc/hosts, which
	# netbase makes and leaves.
	find / -xdev \( -path /tmp -o -path /proc -o -path /sys -o -path /dev \
		-o -path /var/lib/apt -o -path /var/lib/dpkg -o -path /var/cache -o -path /var/log \
		-o -path /etc/hosts \
		\) -prune -o -print | sort
}

apt() {
	apt-get -qq -o Dpkg::Use-Pty=0 "$@" >/tmp/apt.log 2>&1 || { cat /tmp/apt.log && exit 1; }
}

packages() {
	dpkg-query --show --showformat='${Package}\n' | sort
}

apt update
packages >/tmp/packages
files >/tmp/before

step install
apt install -y "$package"
commands=$(dpkg -L ebpf-tour | sed -n 's|^/usr/bin/||p')

step use
dpkg --verify ebpf-tour
for command in $commands; do
	"$command" --version >/dev/null
	man -w 8 "$command" >/dev/null
	whatis "$command" >/dev/null
done
echo "ok: --version, man page and whatis of $(wc -w <<<"$commands") commands"
wanted "ebpf-minimal --demo" man ebpf-minimal
wanted "ebpf-minimal (8)" apropos ebpf
wanted "/usr/share/doc/ebpf-tour/examples/README.md" ebpf-tour
test -s /usr/share/doc/ebpf-tour/examples/README.md
complete_command() {
	# As bash does at the first Tab.
	. /usr/share/bash-completion/bash_completion
	$(complete -p -D | sed 's/.*-F \([^ ]*\).*/\1/') "$1" || true
	COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
	$(complete -p "$1" | sed 's/.*-F \([^ ]*\).*/\1/')
	echo "${COMPREPLY[@]}"
}
set +u
wanted "--transport" complete_command ebpf-bootstrap --tr
set -u
wanted "BPF triggered from PID" ebpf-minimal --demo
wanted "BPF triggered from PID" ebpf-minimal --engine libbpf --demo
wanted "BPF triggered from PID" ebpf-minimal --engine bcc --demo
# A report without rows, from whatever tabulate the release has.
wanted "COUNT" ebpf-syscount -s swapoff -d 1
python3 -m ebpf_tour.new mytool --like minimal >/dev/null
test -s mytool.bpf.c

step "use without what is only recommended"
apt purge -y --autoremove python3-bpfcc
wanted "BPF triggered from PID" ebpf-minimal --demo
wanted "apt install python3-bpfcc" bash -c "! ebpf-minimal --engine bcc --demo"

step remove
rm -r /root/*
apt purge -y ebpf-tour
# With all that it has brought, or files of those would be among what is compared.
packages | comm -13 /tmp/packages - | xargs -r apt-get -qq purge -y >/tmp/apt.log
files >/tmp/after
if ! diff /tmp/before /tmp/after; then
	echo "FAILED: the above is left"
	exit 1
fi
echo "ok: nothing is left"

step lintian
apt install -y --no-install-recommends lintian
lintian --version
lintian --allow-root --tag-display-limit 0 --display-info --pedantic --fail-on error,warning,info,pedantic "$package"
echo "ok: no tags but those that are explained"
