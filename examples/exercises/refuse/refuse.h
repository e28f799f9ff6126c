/* What the program sends to refuse.py for each mkdir in the cgroup. */
struct event {
	char comm[16];
	char name[32];	/* of the directory, without the path; a long one is cut off */
};

#define EPERM 1	/* uapi/asm-generic/errno-base.h */
