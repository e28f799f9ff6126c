#!/bin/sh
# Build what is handed out, into a directory: the wheel, its bill of materials, and the
# Debian package made of it.
#
#	tools/package.sh DIRECTORY
#
# The same sources give the same bytes, with the same clang, libbpf-dev and setuptools,
# wherever they are and whoever builds: it works on a copy without anything that was
# built before, with modes, times, locale and time zone of its own.
set -eu
cd "$(dirname "$0")/.."
umask 022
export LC_ALL=C.UTF-8 TZ=UTC

python=${PYTHON:-$PWD/.venv/bin/python}
mkdir -p "$1"
target=$(cd "$1" && pwd)

# The time of the last commit; in a release without git, that of CHANGELOG.md.
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
	SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)
fi
export SOURCE_DATE_EPOCH

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
mkdir "$scratch/sources"
tar -c --mode=u+rwX,go=rX --exclude=./.venv --exclude=./.git --exclude=./build --exclude=./dist \
	--exclude=__pycache__ --exclude=*.egg-info --exclude=*.bpf.o . |
	tar -x -C "$scratch/sources"

echo "Building the wheel, with its programs compiled: about a minute"
rm -f "$target"/ebpf_tour-* "$target"/ebpf-tour_*
"$python" -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$target" \
	"$scratch/sources"
wheel=$(echo "$target"/ebpf_tour-*.whl)
"$python" tools/sbom.py "$wheel" "${wheel%-py3-*}.cdx.json"
/usr/bin/python3 tools/deb.py "$wheel" "$target" >/dev/null
cd "$target"
sha256sum ebpf_tour-* ebpf-tour_*
