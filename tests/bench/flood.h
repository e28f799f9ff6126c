/* What the flood's programs send for each call of getppid(2). */
#pragma once

struct event {
	__u64 time_ns;
	__u32 pid;
	__u32 cpu;
};
