// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-tc, libbpf dialect: packets at traffic control, where they could be changed. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include "tc.h"
#include "lib/ip.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1024 * 1024);	/* bytes; --buffer changes it */
} rb SEC(".maps");

const volatile bool only_count;	/* --count: no records, only these two */
__u64 packets, bytes;
__u64 lost;	/* records that found the buffer full */

struct event *unused_event __attribute__((unused));	/* for the object's BTF */

SEC("tc")
int handle_packet(struct __sk_buff *skb)
{
	struct event e = { .time_ns = bpf_ktime_get_ns() };
	struct ip_header ip = {};

	if (!load_ip(skb, &ip))
		return TC_ACT_UNSPEC;
	__sync_fetch_and_add(&packets, 1);
	__sync_fetch_and_add(&bytes, skb->len);
	e.length = ip.total_bytes;
	e.protocol = ip.protocol;
	e.ttl = ip.ttl;
	if (!only_count && bpf_ringbuf_output(&rb, &e, sizeof(e), 0))
		__sync_fetch_and_add(&lost, 1);
	/* No opinion: the next program decides. TC_ACT_OK would accept it now. */
	return TC_ACT_UNSPEC;
}
