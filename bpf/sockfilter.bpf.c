// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-sockfilter, libbpf dialect: what a socket would get from an interface. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include "sockfilter.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1024 * 1024);	/* bytes; --buffer changes it */
} rb SEC(".maps");

__u64 lost;	/* records that found the buffer full */

/* Never used: it makes clang describe struct event in the object's BTF, where
 * the Python side reads its layout.
 */
struct event *unused_event __attribute__((unused));

#include "sockfilter_packet.bpf.h"	/* load_packet() fills in the record */

/* The filter of a socket. It returns how many bytes of the packet the socket gets. */
SEC("socket")
int handle_packet(struct __sk_buff *skb)
{
	struct event e = { .time_ns = bpf_ktime_get_ns(), .bytes = skb->len };

	/* The socket would also see what this machine sends. */
	if (skb->pkt_type != PACKET_HOST || !load_packet(skb, &e))
		return 0;
	if (bpf_ringbuf_output(&rb, &e, sizeof(e), 0))
		__sync_fetch_and_add(&lost, 1);
	return 0;	/* nobody reads from the socket */
}
