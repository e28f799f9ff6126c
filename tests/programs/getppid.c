/* Call getppid() some times in each of some threads, which are spread over the
 * CPUs: getppid THREADS TIMES. It says that it is there, and begins when a byte
 * comes.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static char **arguments;

static void *work(void *number)
{
	cpu_set_t cpu;

	CPU_ZERO(&cpu);
	CPU_SET((long)number % sysconf(_SC_NPROCESSORS_ONLN), &cpu);
	sched_setaffinity(0, sizeof(cpu), &cpu);
	for (int i = 0; i < atoi(arguments[2]); i++)
		syscall(SYS_getppid);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[64];
	int count = atoi(argv[1]);
	char byte;

	arguments = argv;
	if (write(1, "r", 1) < 0 || read(0, &byte, 1) < 0)
		return 1;
	for (long i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, work, (void *)i))
			return 1;
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
