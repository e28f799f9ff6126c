#!/bin/sh
# Put the commands and manual pages below PREFIX, or take them away again:
#
#	tools/install.sh install PREFIX WHEEL
#	tools/install.sh uninstall PREFIX
#
# The tools live in PREFIX/lib/ebpf-tour, a virtual environment of their own;
# bin/ and share/man/ get links into it.
set -eu

prefix=$2
home="$prefix/lib/ebpf-tour"

if [ "$(id -u)" != 0 ] && ! [ -w "$prefix" ]; then
	echo "Through sudo, to write below $prefix"
	exec sudo "$0" "$@"
fi

remove_links() {
	for directory in "$prefix/bin" "$prefix"/share/man/man?; do
		[ -d "$directory" ] || continue
		find "$directory" -maxdepth 1 -type l -lname "$home/*" -print -delete
	done
}

link() {
	mkdir -p "$2"
	for file in $1; do
		ln -s "$file" "$2/"
		echo "$2/$(basename "$file")"
	done
}

remove_links >/dev/null
rm -rf "$home"
if [ "$1" = install ]; then
	/usr/bin/python3 -m venv --system-site-packages "$home"
	"$home/bin/pip" install --quiet --disable-pip-version-check "$3"
	link "$home/bin/ebpf-*" "$prefix/bin"
	link "$home/share/man/man8/*.8" "$prefix/share/man/man8"
else
	rmdir "$prefix/share/man/man8" 2>/dev/null || true
	echo "Removed what make install had put below $prefix"
fi
# For apropos and whatis.
if command -v mandb >/dev/null; then
	mandb --quiet "$prefix/share/man" >/dev/null 2>&1 || true
fi
