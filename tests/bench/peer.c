/* The C program that the libbpf engine is measured against: it loads the same
 * object, the way libbpf-bootstrap does, and reads its ring buffer.
 *
 *	peer bootstrap OBJECT	print a row for each event, as ebpf-bootstrap does
 *	peer flood OBJECT	count the events
 *	peer empty OBJECT	only attach its programs
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/libbpf.h>

typedef __u64 u64;

#include "flood.h"
#define event bootstrap_event
#include "bootstrap.h"
#undef event

static volatile sig_atomic_t exiting;
static unsigned long seen;

static void note(int sig)
{
	(void)sig;
	exiting = 1;
}

static int print_event(void *context, void *data, size_t size)
{
	const struct bootstrap_event *e = data;
	char clock[9];
	time_t now = time(NULL);
	struct tm tm;

	(void)context;
	(void)size;
	seen++;
	localtime_r(&now, &tm);
	strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	if (e->kind == EVENT_EXEC)
		printf("%-8s %-5s %-16s %7d %7d %s\n", clock, "EXEC", e->comm, e->pid, e->ppid,
		       e->filename);
	else
		printf("%-8s %-5s %-16s %7d %7d [%u] (%llums)\n", clock, "EXIT", e->comm, e->pid,
		       e->ppid, e->exit_code >> 8 & 0xff, e->duration_ns / 1000000);
	return 0;
}

static int count_event(void *context, void *data, size_t size)
{
	const struct event *e = data;

	(void)context;
	(void)size;
	if (e->pid)
		seen++;
	return 0;
}

int main(int argc, char **argv)
{
	bool bootstrap = argc == 3 && !strcmp(argv[1], "bootstrap");
	struct bpf_program *program;
	struct bpf_object *object;
	struct ring_buffer *rb;
	int err = 0;

	if (argc != 3)
		return 2;
	signal(SIGINT, note);
	object = bpf_object__open_file(argv[2], NULL);
	if (!object || bpf_object__load(object))
		return 1;
	bpf_object__for_each_program(program, object)
		if (!bpf_program__attach(program))
			return 1;
	if (!strcmp(argv[1], "empty")) {
		fprintf(stderr, "Tracing... Ctrl-C to end.\n");
		pause();
		return 0;
	}
	rb = ring_buffer__new(bpf_object__find_map_fd_by_name(object, "rb"),
			      bootstrap ? print_event : count_event, NULL, NULL);
	if (!rb)
		return 1;
	fprintf(stderr, "Tracing... Ctrl-C to end.\n");
	while (!exiting && (err >= 0 || err == -EINTR))
		err = ring_buffer__poll(rb, 100 /* ms */);
	ring_buffer__consume(rb);
	fprintf(stderr, "%lu events\n", seen);
	ring_buffer__free(rb);
	bpf_object__close(object);
	return 0;
}
