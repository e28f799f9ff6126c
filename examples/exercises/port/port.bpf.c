#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include "lib/ip.bpf.h"
#include "port.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} rb SEC(".maps");

struct event *layout __attribute__((unused));	/* for Python to read */
__u64 lost;

const volatile int only_port;	/* port.py sets it before the program is loaded */

SEC("socket")
int handle_packet(struct __sk_buff *skb)
{
	struct ip_header ip = {};
	struct event e = {};
	__be16 ports[2];

	if (skb->pkt_type != PACKET_HOST || !load_ip(skb, &ip))
		return 0;
	if (ip.protocol != IPPROTO_UDP || ip.later_fragment)
		return 0;
	if (bpf_skb_load_bytes_relative(skb, ip.bytes, ports, sizeof(ports),
					BPF_HDR_START_NET))
		return 0;	/* the packet is too short */
	e.port = bpf_ntohs(ports[1]);	/* the first one is the sender's */

	/* TODO: go on only if the packet is for only_port */

	__builtin_memcpy(e.source, ip.source, sizeof(e.source));
	if (bpf_ringbuf_output(&rb, &e, sizeof(e), 0))
		__sync_fetch_and_add(&lost, 1);
	return 0;
}
