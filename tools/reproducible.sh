#!/bin/sh
# Build what is handed out twice, from clones of the last commit in two directories, with
# other modes, time zone and locale, and compare it byte by byte.
set -eu
cd "$(dirname "$0")/.."
export PYTHON="$PWD/.venv/bin/python"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

# build DIRECTORY VARIABLE=VALUE...: leaves the checksums in DIRECTORY.sums
build() {
	git clone --quiet . "$scratch/$1"
	env "$2" "$3" "$scratch/$1/tools/package.sh" "$scratch/$1/dist" >/dev/null
	mkdir "$scratch/$1/unpacked"
	/usr/bin/python3 -m zipfile -e "$scratch/$1"/dist/*.whl "$scratch/$1/unpacked"
	(cd "$scratch/$1/dist" && sha256sum *) >"$scratch/$1.sums"
}

echo "Building twice: two minutes or three"
build one TZ=UTC LC_ALL=C.UTF-8
umask 077
build another-place TZ=Pacific/Kiritimati LC_ALL=C

cat "$scratch/one.sums"
if ! cmp -s "$scratch/one.sums" "$scratch/another-place.sums"; then
	echo "In another directory, it is" >&2
	cat "$scratch/another-place.sums" >&2
	diff -rq "$scratch/one/unpacked" "$scratch/another-place/unpacked" >&2 || true
	exit 1
fi
objects=$(find "$scratch/one/unpacked" -name '*.bpf.o' | wc -l)
echo "The same in two directories, with $objects objects in the wheel"
