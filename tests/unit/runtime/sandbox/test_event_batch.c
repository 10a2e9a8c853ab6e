/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "runtime/sandbox/event_batch.h"

/* Where they are in the text. */
#define KIND_AT 0
#define DIRECTORY_AT 1
#define LEN_AT 2
#define TO_LEN_AT 4
#define ZERO_AT 6

static const struct fs_event rename_event = {
	.kind = FILE_EVENT_RENAME,
	.directory = true,
	.dir = UINT64_MAX,
	.to_dir = 7,
	.name = "from",
	.to_name = "to",
};

static void test_round_trip(void **state)
{
	struct event_batch batch = {.len = 0};
	Agent__ReplayEventsRequest *request;
	const Agent__FileEvent *e;

	assert_true(event_batch_add(&batch, &rename_event));
	assert_true(event_batch_add(&batch, &(struct fs_event){
						    .kind = FILE_EVENT_FORGET,
						    .dir = 9,
						    .name = "",
						    .to_name = "",
					    }));
	assert_true(event_batch_add(&batch, &(struct fs_event){
						    .kind = FILE_EVENT_ROOT,
						    .to_dir = 10,
						    .name = "id/0-file",
						    .to_name = "",
					    }));
	request = event_batch_read(batch.text, batch.len);
	assert_non_null(request);
	assert_int_equal(request->n_events, 3);
	e = request->events[0];
	assert_int_equal(e->kind, FILE_EVENT_RENAME);
	assert_true(e->directory);
	assert_true(e->dir == UINT64_MAX && e->to_dir == 7);
	assert_int_equal(e->name.len, 4);
	assert_memory_equal(e->name.data, "from", 4);
	assert_int_equal(e->to_name.len, 2);
	assert_memory_equal(e->to_name.data, "to", 2);
	assert_int_equal(request->events[1]->dir, 9);
	assert_int_equal(request->events[1]->name.len, 0);
	/* A file. */
	assert_false(request->events[2]->directory);
	assert_int_equal(request->events[2]->to_dir, 10);
	agent__replay_events_request__free_unpacked(request, NULL);
	request = event_batch_read("", 0);
	assert_non_null(request);
	assert_int_equal(request->n_events, 0);
	agent__replay_events_request__free_unpacked(request, NULL);
}

static void test_full(void **state)
{
	struct event_batch batch = {.len = 0};
	Agent__ReplayEventsRequest *request;
	char name[REPLAY_NAME_MAX + 1];
	unsigned n = 0;

	memset(name, 'n', REPLAY_NAME_MAX);
	name[REPLAY_NAME_MAX] = '\0';
	while (event_batch_add(&batch, &(struct fs_event){
					       .kind = FILE_EVENT_CREATE,
					       .dir = n,
					       .name = name,
					       .to_name = "",
				       }))
		n++;
	assert_true(n >= CONTROL_TEXT_MAX / 300);
	request = event_batch_read(batch.text, batch.len);
	assert_non_null(request);
	assert_int_equal(request->n_events, n);
	agent__replay_events_request__free_unpacked(request, NULL);
}

static void refused(const struct event_batch *batch, size_t at, uint8_t value)
{
	struct event_batch bad = *batch;

	bad.text[at] = (char)value;
	assert_null(event_batch_read(bad.text, bad.len));
}

static void test_malformed(void **state)
{
	struct event_batch batch = {.len = 0};

	assert_true(event_batch_add(&batch, &rename_event));
	for (size_t len = 1; len < batch.len; len++)
		assert_null(event_batch_read(batch.text, len));
	refused(&batch, KIND_AT, FILE_EVENT_KINDS);
	refused(&batch, DIRECTORY_AT, 2);
	refused(&batch, LEN_AT, 5);
	refused(&batch, LEN_AT + 1, 0xff);
	refused(&batch, TO_LEN_AT, 3);
	refused(&batch, TO_LEN_AT + 1, 1);
	refused(&batch, ZERO_AT, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
