/* Wait in open() for the other end of a FIFO, in some threads: waiting FIFO WAY
 * THREADS. It says that it is there, and begins when a byte comes; when a second
 * one comes, the process ends in the way that WAY names.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static char **arguments;

static void *wait_in_open(void *unused)
{
	open(arguments[1], O_RDONLY);
	return unused;
}

static void *execute(void *unused)
{
	execl("/bin/true", "true", NULL);
	return unused;
}

static volatile sig_atomic_t interruptions;

static void interrupted(int number)
{
	interruptions++;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = interrupted };
	pthread_t thread;
	char byte;

	arguments = argv;
	sigaction(SIGUSR1, &action, NULL);
	action.sa_flags = SA_RESTART;
	sigaction(SIGUSR2, &action, NULL);
	if (write(1, "r", 1) < 0 || read(0, &byte, 1) < 0)
		return 1;
	for (int i = 0; i < atoi(argv[3]); i++)
		if (pthread_create(&thread, NULL, wait_in_open, NULL))
			return 1;
	if (read(0, &byte, 1) < 0)
		return 1;
	switch (argv[2][0]) {
	case 'e':	/* exit: the others go with the first thread */
		_exit(0);
	case 'k':	/* killed */
		raise(SIGKILL);
	case 'x':	/* a thread executes a program, so all others go */
		if (pthread_create(&thread, NULL, execute, NULL))
			return 1;
		pthread_join(thread, NULL);
	case 'i':	/* interrupted, and called anew by the kernel */
		pthread_kill(thread, SIGUSR2);
		while (!interruptions)
			usleep(1000);
		open(arguments[1], O_WRONLY);
		break;
	case 'h':	/* interrupted, and over: EINTR */
		pthread_kill(thread, SIGUSR1);
		break;
	}
	pthread_join(thread, NULL);
	return 0;
}
