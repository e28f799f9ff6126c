/* End at once. Linked statically, nothing is opened before that. */
int main(void)
{
	return 0;
}
