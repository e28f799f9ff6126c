/* Make 100 calls of malloc, end the first thread, and make 100 more, when a byte
 * comes for each; then wait for the end of the input.
 */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static void allocate(void)
{
	char byte;

	if (read(0, &byte, 1) != 1)
		exit(1);
	for (int i = 0; i < 100; i++) {
		void *volatile pointer = malloc(333);

		free(pointer);
	}
	if (write(1, "\n", 1) != 1)
		exit(1);
}

static void *work(void *first)
{
	char byte;

	pthread_join(*(pthread_t *)first, NULL);
	allocate();
	while (read(0, &byte, 1) > 0)
		;
	exit(0);
}

int main(void)
{
	static pthread_t first;
	pthread_t thread;

	first = pthread_self();
	if (pthread_create(&thread, NULL, work, &first))
		return 1;
	allocate();
	pthread_exit(NULL);
}
