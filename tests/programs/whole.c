/* Allocates from its first moment to its last: 7 times 1001 bytes before main(), 11 times 2002
 * in a second thread, 13 times 3003 after main(). Its argument says how it ends: "join"
 * returns 3 from main(), "thread" ends it by the second thread. Any other, as the path
 * of a script, is like "join".
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static const char *how;
static void *volatile kept;	/* or the compiler leaves out the calls */

static void allocate(int calls, size_t bytes)
{
	for (int i = 0; i < calls; i++)
		if (!(kept = malloc(bytes)))
			abort();
}

__attribute__((constructor)) static void before(void)
{
	allocate(7, 1001);
}

static void after(void)
{
	allocate(13, 3003);
}

static void *second(void *unused)
{
	allocate(11, 2002);
	if (!strcmp(how, "thread"))
		exit(5);
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	how = argc > 1 ? argv[1] : "";
	atexit(after);
	if (pthread_create(&thread, NULL, second, NULL))
		return 1;
	pthread_join(thread, NULL);
	return 3;
}
