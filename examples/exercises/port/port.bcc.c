#include <uapi/linux/bpf.h>
#include <uapi/linux/if_packet.h>
#include "lib/ip.bcc.h"
#include "port.h"

/* port.py passes only_port to the compiler, as a number: -Donly_port=62001 */

BPF_RINGBUF_OUTPUT(rb, 16);
BPF_ARRAY(lost, u64, 1);

int handle_packet(struct __sk_buff *skb)
{
	int first = 0, wanted = only_port;
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

	/* TODO: go on only if the packet is for wanted */

	__builtin_memcpy(e.source, ip.source, sizeof(e.source));
	if (rb.ringbuf_output(&e, sizeof(e), 0))
		lost.atomic_increment(first);
	return 0;
}
