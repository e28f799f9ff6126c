#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "histogram.h"
#include "lib/maps.bpf.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, struct key);
	__type(value, __u64);
} counts SEC(".maps");

__u64 lost;	/* calls that found the map full */

static __always_inline int slot_of(__u64 size)
{
	int slot = 0;

	/* The verifier has to see that the loop ends. */
	for (; slot < 63 && size > 1; slot++)
		size /= 2;
	return slot;
}

SEC("tp/syscalls/sys_enter_pwrite64")
int handle_write(struct trace_event_raw_sys_enter *ctx)
{
	struct key key = { .slot = slot_of(ctx->args[2]) };
	__u64 *counter, zero = 0;

	bpf_get_current_comm(&key.comm, sizeof(key.comm));
	counter = bpf_map_lookup_or_try_init(&counts, &key, &zero);
	if (counter)
		__sync_fetch_and_add(counter, 1);
	else
		__sync_fetch_and_add(&lost, 1);
	return 0;
}
