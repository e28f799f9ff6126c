"""The flood, as BCC's documentation would write it: it counts the records."""

import sys

from bcc import BPF

b = BPF(
    text="""
struct data_t {
    u64 time_ns;
    u32 pid;
    u32 cpu;
};

BPF_RINGBUF_OUTPUT(rb, 4096);

TRACEPOINT_PROBE(syscalls, sys_enter_getppid)
{
    struct data_t data = {};

    data.time_ns = bpf_ktime_get_ns();
    data.pid = bpf_get_current_pid_tgid() >> 32;
    data.cpu = bpf_get_smp_processor_id();
    rb.ringbuf_output(&data, sizeof(data), 0);
    return 0;
}
"""
)
seen = 0


def count_event(cpu, data, size):
    global seen
    event = b["rb"].event(data)
    if event.pid:
        seen += 1


b["rb"].open_ring_buffer(count_event)
sys.stderr.write("Tracing... Ctrl-C to end.\n")
while True:
    try:
        b.ring_buffer_poll()
    except KeyboardInterrupt:
        b.ring_buffer_consume()
        sys.stderr.write("%d events\n" % seen)
        break
