/* End the first thread long before the last one, which ends the process with 5. */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static void *last(void *unused)
{
	usleep(100000);
	exit(5);
}

int main(void)
{
	pthread_t thread;

	for (int i = 0; i < 3; i++)
		if (pthread_create(&thread, NULL, last, NULL))
			return 1;
	pthread_exit(NULL);
}
