#!/bin/sh
# Run a command on an arm64 kernel, on a machine of any architecture: QEMU
# emulates the processor, and Debian's own kernel boots over an arm64 userland
# of the same Debian release as this machine's, so that .venv fits: it is pure
# Python, but for Hypothesis. Nothing is installed, and no maintainer script is run: packages
# are unpacked below ~/.cache. kernels.sh calls this, and says more.
#
#	tests/machines/arm64.sh fetch VERSION
#	tests/machines/arm64.sh run VERSION -- COMMAND [ARGUMENT...]
#
# VERSION is 6.1-arm64, 6.12-arm64 or, with pages of 16 KiB, 6.12-arm64-16k.
# Needs qemu-system-arm, e2fsprogs, kmod, cpio and xz-utils.
set -eu
. "$(dirname "$0")/debian.sh"

arch=arm64
userland=$cache/arm64/userland

# What the tests need; pytest is in .venv. `mount` is not an essential package.
packages="?essential python3 python3-bpfcc python3-hypothesis libbpf1 libbpf-dev clang llvm gcc libc6-dev
	musl-tools libjemalloc2 util-linux mount procps kmod busybox-static iproute2 file"

fetch() {
	for need in qemu-system-aarch64 mke2fs depmod cpio xz; do
		command -v "$need" >/dev/null || fail "there is no $need" \
			"apt install qemu-system-arm e2fsprogs kmod cpio xz-utils"
	done
	version=${1%%+*}
	kernel=$cache/kernels/$version
	[ -e "$userland/complete" ] || fetch_userland
	[ -e "$kernel/complete" ] || fetch_kernel
}

fetch_userland() {
	suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
	echo "Fetching an arm64 userland of $suite" >&2
	rm -rf "$userland"
	mkdir -p "$userland/packages/partial"
	update_apt
	apt apt-get install --no-install-recommends --download-only -y \
		-o Dir::Cache::archives="$userland/packages" $packages >/dev/null
	tree=$userland/tree
	unpack "$userland/packages" "$tree"
	# What maintainer scripts would have done.
	cp "$tree/usr/share/base-passwd/passwd.master" "$tree/etc/passwd"
	cp "$tree/usr/share/base-passwd/group.master" "$tree/etc/group"
	ln -sf mawk "$tree/usr/bin/awk"
	mkdir -p "$tree/proc" "$tree/sys" "$tree/dev" "$tree/run" "$tree/tmp" "$tree/root"
	rm -rf "$tree/usr/share/doc" "$tree/usr/share/man" "$tree/usr/share/locale"
	# Bytecode is the same on every machine, and slow to make in an emulated one.
	/usr/bin/python3 -m compileall -q -s "$tree" -p / "$tree/usr/lib/python3" \
		"$tree"/usr/lib/python3.*/ || true
	cp "$tree/bin/busybox" "$userland/busybox"
	make_image "$tree" "$userland/image"
	rm -r "$tree"
	touch "$userland/complete"
}

fetch_kernel() {
	suite=$(suite_of "${version%%-*}")
	rm -rf "$kernel"
	update_apt
	download_kernel "${version%%-*}" "${version#*-}" "$kernel/packages"
	tree=$kernel/tree
	unpack "$kernel/packages" "$tree"
	depmod -b "$tree" "$release"
	mv "$tree/boot/vmlinuz-$release" "$kernel/vmlinuz"
	make_initrd
	# The guest sees its files beside the userland's: configuration, modules, headers.
	make_image "$tree" "$kernel/image"
	rm -r "$tree"
	touch "$kernel/complete"
}

# unpack PACKAGES DIRECTORY: unpack packages where /bin, /sbin and /lib are links.
unpack() {
	mkdir -p "$2/usr/bin" "$2/usr/sbin" "$2/usr/lib"
	for name in bin sbin lib; do ln -s "usr/$name" "$2/$name"; done
	for package in "$1"/*.deb; do
		dpkg-deb --fsys-tarfile "$package" | tar -x -C "$2" --keep-directory-symlink
	done
	rm -r "$1"
}

# make_image DIRECTORY FILE: a file system with what the directory has.
make_image() {
	mke2fs -q -t ext4 -O ^has_journal -E root_owner=0:0 -i 4096 -d "$1" "$2" \
		"$(($(du -sm "$1" | cut -f 1) * 13 / 10 + 64))M" >/dev/null
}

# The file system that the kernel starts with: the modules that it needs to get
# at the other ones, in the order in which to insert them.
make_initrd() {
	initrd=$kernel/initrd.tree
	mkdir -p "$initrd/bin" "$initrd/modules" "$initrd/proc" "$initrd/sys" "$initrd/dev" \
		"$initrd/userland" "$initrd/kernel" "$initrd/over" "$initrd/new"
	cp "$userland/busybox" "$initrd/bin/"
	for module in virtio_mmio virtio_blk 9p 9pnet_virtio ext4 overlay; do
		modprobe -d "$tree" -S "$release" --show-depends "$module" |
			sed -n 's/^insmod \([^ ]*\).*/\1/p'
	done | awk '!seen[$0]++' | while read -r module; do
		name=$(basename "$module" .xz)
		case $module in
		*.xz) xz -dc "$module" >"$initrd/modules/$name" ;;
		*) cp "$module" "$initrd/modules/$name" ;;
		esac
		echo "$name" >>"$initrd/modules/order"
	done
	init >"$initrd/init"
	chmod +x "$initrd/init"
	(cd "$initrd" && find . | cpio --quiet -o -H newc -R 0:0) | gzip -1 >"$kernel/initrd"
	rm -r "$initrd"
}

# The guest's first program. The two images have no file in common, so it does
# not matter which of them is which. What is written to them is in memory only.
init() {
	cat <<-'EOF'
	#!/bin/busybox sh
	/bin/busybox --install -s /bin
	export PATH=/bin
	mount -t proc proc /proc
	mount -t sysfs sysfs /sys
	mount -t devtmpfs dev /dev
	while read -r module; do insmod "/modules/$module"; done </modules/order
	mount -t ext4 -o ro /dev/vda /userland
	mount -t ext4 -o ro /dev/vdb /kernel
	mount -t tmpfs over /over
	mkdir /over/up /over/work
	mount -t overlay -o lowerdir=/userland:/kernel,upperdir=/over/up,workdir=/over/work root /new
	mount -t tmpfs -o mode=1777 tmp /new/tmp
	mount -t tmpfs run /new/run
	share() { # TAG PATH CACHE
		mkdir -p "/new$2"
		mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,access=any,cache=$3 "$1" "/new$2"
	}
	box=$(sed 's/.* box=\([^ ]*\).*/\1/' /proc/cmdline)
	here=$(sed 's/.* here=\([^ ]*\).*/\1/' /proc/cmdline)
	share box "$box" none
	share here "$here" loose
	# Who watches a log outside sees what was written, and not what the guest keeps.
	[ ! -d "/new$here/build" ] || share build "$here/build" none
	# The Hypothesis of .venv is compiled for another processor. The release has one, too.
	for name in hypothesis _hypothesis_pytestplugin.py; do
		for place in "/new$here"/.venv/lib/python3*/site-packages/$name; do
			[ ! -e "$place" ] || mount -o bind "/new/usr/lib/python3/dist-packages/$name" "$place"
		done
	done
	cd /new
	mount -t proc proc proc
	mount -t sysfs sysfs sys
	mount -t devtmpfs dev dev
	mkdir -p dev/pts dev/shm
	mount -t devpts devpts dev/pts
	mount -t tmpfs shm dev/shm
	ln -s /proc/self/fd dev/fd
	mount -t tracefs tracefs sys/kernel/tracing
	mount -t debugfs debugfs sys/kernel/debug
	mount -t securityfs securityfs sys/kernel/security
	mount -t bpf bpf sys/fs/bpf
	mount -t cgroup2 cgroup2 sys/fs/cgroup
	ifconfig lo 127.0.0.1 up
	exec switch_root /new /bin/sh -c '
		export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
		setsid sh "$0/command"
		sync
		busybox poweroff -f' "$box"
	EOF
}

run() {
	[ "$2" = -- ] || usage
	parameter=$(parameter_of "$1")
	fetch "$1"
	shift 2
	open_box "$@"
	build=$PWD/build
	[ -d "$build" ] || build=$PWD

	# `virtme` is what tests/support.py looks for. pauth-impdef: with the architecture's
	# own pointer authentication, an emulated kernel takes three times as long to boot.
	timeout "${KERNELS_TIMEOUT:-3600}" \
		qemu-system-aarch64 -M virt,gic-version=3 -cpu max,pauth-impdef=on \
		-accel tcg,thread=multi,tb-size=512 -smp 2 -m 3G \
		-kernel "$kernel/vmlinuz" -initrd "$kernel/initrd" \
		-append "console=ttyAMA0 quiet oops=panic panic=-1 mitigations=off audit=0 \
lsm=lockdown,capability,bpf $parameter virtme box=$box here=$PWD" \
		-drive "if=none,id=userland,file=$userland/image,format=raw,readonly=on" \
		-drive "if=none,id=kernel,file=$kernel/image,format=raw,readonly=on" \
		-device virtio-blk-device,drive=userland -device virtio-blk-device,drive=kernel \
		-fsdev "local,id=box,path=$box,security_model=none,multidevs=remap" \
		-fsdev "local,id=here,path=$PWD,security_model=none,multidevs=remap" \
		-fsdev "local,id=build,path=$build,security_model=none,multidevs=remap" \
		-device virtio-9p-device,fsdev=box,mount_tag=box \
		-device virtio-9p-device,fsdev=here,mount_tag=here \
		-device virtio-9p-device,fsdev=build,mount_tag=build \
		-nodefaults -display none -serial stdio -no-reboot \
		</dev/null >"$box/console" 2>&1 || true
	end_as_box
}

case ${1-} in
fetch)
	[ $# -eq 2 ] || usage
	fetch "$2"
	;;
run)
	[ $# -ge 4 ] || usage
	shift
	run "$@"
	;;
*) usage ;;
esac
