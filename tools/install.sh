#!/bin/sh
# Put the commands, manual pages and shell completions below PREFIX, or take
# them away again:
#
#	tools/install.sh install PREFIX WHEEL
#	tools/install.sh uninstall PREFIX
#
# The tools live in PREFIX/lib/ebpf-tour, a virtual environment of their own.
# bin/ gets links into it, share/ copies: mandb does not look through links.
set -eu

prefix=$2
home="$prefix/lib/ebpf-tour"

if [ "$(id -u)" != 0 ] && ! [ -w "$prefix" ]; then
	echo "Through sudo, to write below $prefix"
	exec sudo "$0" "$@"
fi

# Make a directory, and note which ones are new: uninstall removes those.
make_directory() {
	[ -d "$1" ] && return
	make_directory "$(dirname "$1")"
	mkdir "$1"
	made="$made$1
"
}

# Put files into a directory with "ln -s" or "cp", and note which.
put() {
	how=$1
	directory=$2
	shift 2
	make_directory "$directory"
	for file in "$@"; do
		target=$directory/$(basename "$file")
		rm -f "$target"
		$how "$file" "$target"
		files="$files$target
"
	done
	echo "Installed $# in $directory"
}

# What the last install has noted; its last line ends, too.
noted() {
	cat "$home/$1" 2>/dev/null && echo x || true
}

made=$(noted directories)
made=${made%x}
files=$(noted files)
printf %s "${files%x}" | while read -r file; do rm -f "$file"; done
files=""
rm -rf "$home"
if [ "$1" = install ]; then
	make_directory "$prefix/lib"
	/usr/bin/python3 -m venv --system-site-packages "$home"
	# It has a hook that Python imports at each start; builds bring their own.
	"$home/bin/pip" uninstall -qq --yes setuptools
	"$home/bin/pip" install --quiet --disable-pip-version-check "$3"
	put "ln -s" "$prefix/bin" "$home"/bin/ebpf-*
	for part in man/man7 man/man8 bash-completion/completions zsh/site-functions \
		fish/vendor_completions.d; do
		put cp "$prefix/share/$part" "$home/share/$part"/*
	done
	printf %s "$made" >"$home/directories"
	printf %s "$files" >"$home/files"
else
	printf %s "$made" | sort -r | while read -r directory; do
		rmdir "$directory" 2>/dev/null || true # somebody else uses it now
	done
	echo "Removed what make install had put below $prefix"
fi
# For apropos and whatis, where man looks by itself. Elsewhere, mandb would put
# a file of its own beside the pages. Debian knows the directory by two names,
# since /usr/local/man leads to it, and asks the database of the first one.
manpath -gq 2>/dev/null | tr : '\n' | while read -r pages; do
	if [ "$pages" -ef "$prefix/share/man" ]; then
		mandb --quiet "$pages" >/dev/null 2>&1 || true
	fi
done
