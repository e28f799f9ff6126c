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

# Make a directory, and note which ones are new: uninstall removes those.
make_directory() {
	[ -d "$1" ] && return
	make_directory "$(dirname "$1")"
	mkdir "$1"
	made="$made$1
"
}

link() {
	make_directory "$2"
	for file in $1; do
		ln -s "$file" "$2/"
		echo "$2/$(basename "$file")"
	done
}

made=$(cat "$home/directories" 2>/dev/null && echo x || true) # by the last install
made=${made%x}
remove_links >/dev/null
rm -rf "$home"
if [ "$1" = install ]; then
	make_directory "$prefix/lib"
	/usr/bin/python3 -m venv --system-site-packages "$home"
	# It has a hook that Python imports at each start; builds bring their own.
	"$home/bin/pip" uninstall --quiet --yes setuptools
	"$home/bin/pip" install --quiet --disable-pip-version-check "$3"
	link "$home/bin/ebpf-*" "$prefix/bin"
	link "$home/share/man/man8/*.8" "$prefix/share/man/man8"
	printf %s "$made" >"$home/directories"
else
	printf %s "$made" | sort -r | while read -r directory; do
		rmdir "$directory" 2>/dev/null || true # somebody else uses it now
	done
	echo "Removed what make install had put below $prefix"
fi
# For apropos and whatis, where man looks by itself. Elsewhere, mandb would put
# a file of its own beside the pages.
case ":$(manpath -gq 2>/dev/null || true):" in
*":$prefix/share/man:"*) mandb --quiet "$prefix/share/man" >/dev/null 2>&1 || true ;;
esac
