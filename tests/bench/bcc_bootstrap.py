"""What ebpf-bootstrap does, as BCC's documentation would write it. Needs kernel headers."""

import json
import sys
import time

from bcc import BPF

b = BPF(
    text="""
#include <linux/sched.h>

struct data_t {
    u64 duration_ns;
    u32 kind;
    u32 pid;
    u32 ppid;
    u32 exit_code;
    char comm[TASK_COMM_LEN];
    char filename[128];
};

BPF_HASH(start, u32, u64, 8192);
BPF_PERF_OUTPUT(events);

static void fill(struct data_t *data, struct task_struct *task)
{
    data->pid = bpf_get_current_pid_tgid() >> 32;
    data->ppid = task->real_parent->tgid;
    bpf_get_current_comm(&data->comm, sizeof(data->comm));
}

TRACEPOINT_PROBE(sched, sched_process_exec)
{
    struct task_struct *task = (struct task_struct *)bpf_get_current_task();
    struct data_t data = {};
    u64 now = bpf_ktime_get_ns();

    fill(&data, task);
    start.update(&data.pid, &now);
    TP_DATA_LOC_READ_STR(&data.filename, filename, sizeof(data.filename));
    events.perf_submit(args, &data, sizeof(data));
    return 0;
}

TRACEPOINT_PROBE(sched, sched_process_exit)
{
    struct task_struct *task = (struct task_struct *)bpf_get_current_task();
    u64 id = bpf_get_current_pid_tgid();
    struct data_t data = {.kind = 1};
    u64 *began;

    if (id >> 32 != (u32)id)
        return 0;
    fill(&data, task);
    data.exit_code = task->exit_code;
    began = start.lookup(&data.pid);
    if (began)
        data.duration_ns = bpf_ktime_get_ns() - *began;
    start.delete(&data.pid);
    events.perf_submit(args, &data, sizeof(data));
    return 0;
}
"""
)
seen = 0


def print_event(cpu, data, size):
    global seen
    seen += 1
    event = b["events"].event(data)
    comm = event.comm.decode("utf-8", "replace")
    if event.kind == 0:
        what = event.filename.decode("utf-8", "replace")
        print("%-5s %-16s %-7d %-7d %s" % ("EXEC", comm, event.pid, event.ppid, what))
    else:
        ms = event.duration_ns // 1000000
        print(
            "%-5s %-16s %-7d %-7d [%d] (%dms)"
            % ("EXIT", comm, event.pid, event.ppid, event.exit_code >> 8, ms)
        )


def print_json(cpu, data, size):
    """The keys of ebpf-bootstrap --json."""
    global seen
    seen += 1
    event = b["events"].event(data)
    is_exec = event.kind == 0
    row = {
        "time": time.strftime("%H:%M:%S"),
        "event": "EXEC" if is_exec else "EXIT",
        "comm": event.comm.decode("utf-8", "replace"),
        "pid": event.pid,
        "ppid": event.ppid,
        "filename": event.filename.decode("utf-8", "replace") if is_exec else None,
        "truncated": False if is_exec else None,
        "exit_code": None if is_exec else event.exit_code >> 8,
        "signal": None,
        "duration_ns": None if is_exec else event.duration_ns,
        "since_exec_ns": None if is_exec else event.duration_ns,
    }
    print(json.dumps(row))


b["events"].open_perf_buffer(print_json if "--json" in sys.argv else print_event, page_cnt=1024)
sys.stderr.write("Tracing... Ctrl-C to end.\n")
while True:
    try:
        b.perf_buffer_poll()
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.stderr.write("%d events\n" % seen)
        break
